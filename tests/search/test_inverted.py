"""An inverted file finds nearly what a full comparison finds, and goes with the features through updates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.search.inverted import InvertedFile, measured_recall
from shapecnn.search.small_rows import PackedFeatures, pack
from shapecnn.shared.similarity import unit

SIZE = 64


def groups(count: int, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, SIZE))
    return unit((centres[random.integers(40, size=count)] + 0.7 * random.normal(size=(count, SIZE))).astype(np.float32))


@pytest.fixture(scope="module")
def features() -> NDArray[np.float32]:
    return groups(3000)


@pytest.fixture(scope="module")
def inverted(features: NDArray[np.float32]) -> InvertedFile:
    return InvertedFile.build(features)


def exact(features: NDArray[np.float32], query: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    return np.argsort(-(features @ query), kind="stable")[:count]


def test_what_is_found_is_nearly_what_a_full_comparison_finds(
    features: NDArray[np.float32], inverted: InvertedFile
) -> None:
    queries = groups(50, seed=1)
    shares = []
    for query in queries:
        rows, cosines = inverted.search(features, query, 10)
        assert cosines == pytest.approx(features[rows] @ query, abs=1e-6)  # exact, whatever the codes are
        assert (np.diff(cosines) <= 0).all()
        shares.append(len({*rows} & {*exact(features, query, 10)}) / 10)
    assert np.mean(shares) > 0.95
    assert measured_recall(inverted, features) > 0.95
    assert measured_recall(inverted, features[::-1]) < 0.5  # it can be low: these are other features


def test_with_all_lists_and_all_ranked_the_search_is_exact(
    features: NDArray[np.float32], inverted: InvertedFile
) -> None:
    for query in groups(5, seed=2):
        rows, _ = inverted.search(features, query, 20, probes=10_000, ranked=3000)
        assert np.array_equal(rows, exact(features, query, 20))


def test_it_reads_packed_features(features: NDArray[np.float32]) -> None:
    packed = PackedFeatures(pack(features))
    built = InvertedFile.build(packed)
    rows, cosines = built.search(packed, features[7], 3)
    assert rows[0] == 7
    assert cosines[0] == pytest.approx(1, abs=1e-3)


def test_a_file_is_read_as_it_was_written(
    features: NDArray[np.float32], inverted: InvertedFile, tmp_path: Path
) -> None:
    assert len(inverted.write(tmp_path / "inverted")) == 64
    content = (tmp_path / "inverted").read_bytes()
    again = InvertedFile.read(content, 3000, SIZE, len(inverted.lists))
    for query in groups(3, seed=3):
        assert np.array_equal(again.search(features, query, 10)[0], inverted.search(features, query, 10)[0])
    with pytest.raises(ValueError, match="exactly these arrays"):
        InvertedFile.read(content, 2999, SIZE, len(inverted.lists))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("members", 3000, "name each feature once"), ("members", 5, "once"), ("members", -1, "once"),
     ("starts", 1, "into lists"), ("factors", np.nan, "NaN")],
)  # fmt: skip
def test_numbers_that_cannot_be_used_are_refused(
    inverted: InvertedFile, tmp_path: Path, name: str, value: float, message: str
) -> None:
    arrays = {key: np.array(getattr(inverted, key)) for key in ("starts", "members", "factors", "codes", "trained")}
    arrays[name][0] = value if arrays[name][0] != value else value + 1
    InvertedFile(inverted.lists, **arrays).write(tmp_path / "inverted")
    with pytest.raises(ValueError, match=message):
        InvertedFile.read((tmp_path / "inverted").read_bytes(), 3000, SIZE, len(inverted.lists))


def test_an_update_drops_what_left_and_finds_what_came(features: NDArray[np.float32], inverted: InvertedFile) -> None:
    new = groups(200, seed=4)
    kept = np.sort(np.random.default_rng(5).permutation(3000)[:2700])
    after = np.concatenate([new[:50], features[kept], new[50:]])
    origins = np.concatenate([np.full(50, -1), kept, np.full(150, -1)])
    followed = inverted.follow(after, origins)
    assert sorted(followed.members.tolist()) == list(range(2900))
    assert followed.lists is inverted.lists  # they were not made again
    assert followed.trained.sum() == 2700
    for row in (0, 49, 50, 1234, 2750, 2899):
        assert followed.search(after, after[row], 1)[0].tolist() == [row]
    assert measured_recall(followed, after) > 0.95
    unchanged = inverted.follow(features, np.arange(3000))
    assert np.array_equal(unchanged.codes, inverted.codes)


def test_lists_are_made_again_when_too_much_is_new(features: NDArray[np.float32], inverted: InvertedFile) -> None:
    after = np.concatenate([features[:1000], groups(1000, seed=6)])
    origins = np.concatenate([np.arange(1000), np.full(1000, -1)])
    followed = inverted.follow(after, origins)
    assert followed.trained.all()
    assert np.array_equal(followed.lists.centres, InvertedFile.build(after).lists.centres)
