"""An inverted file finds nearly what a full comparison finds, and goes with the features through updates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.models.space import FeatureSpace
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.index import Index, IndexedShape
from shapecnn.search.inverted import PROBES, RANKED, FeatureRows, InvertedFile, measured_recall
from shapecnn.search.neighbours import search
from shapecnn.search.record import ModelRecord
from shapecnn.search.small_rows import PackedFeatures, pack
from shapecnn.shared.lists import list_count
from shapecnn.shared.similarity import unit

SIZE = 64
RECORD = ModelRecord.of(UntrainedModel.of(adapt=False), "z", None)


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
        rows = inverted.candidates(query)
        assert len(rows) == RANKED
        assert (np.diff(rows) > 0).all()
        shares.append(np.isin(exact(features, query, 10), rows).mean())
    assert np.mean(shares) > 0.95
    assert measured_recall(inverted, features, FeatureSpace(features)) > 0.95
    others = features[::-1]
    assert measured_recall(inverted, others, FeatureSpace(others)) < 0.5  # it can be low: these are other features


def test_with_all_lists_and_more_ranked_the_search_is_exact(
    features: NDArray[np.float32], inverted: InvertedFile
) -> None:
    for query in groups(5, seed=2):
        rough = inverted.candidates(query, probes=10_000, ranked=600)
        assert np.isin(exact(features, query, 20), rough).all()
        assert np.array_equal(inverted.candidates(query, ranked=3000), np.arange(3000))


def test_it_reads_packed_features(features: NDArray[np.float32]) -> None:
    packed = PackedFeatures(pack(features))
    built = InvertedFile.build(packed)
    assert found(packed, built, features[7], 3)[0] == 7


def test_a_file_is_read_as_it_was_written(
    features: NDArray[np.float32], inverted: InvertedFile, tmp_path: Path
) -> None:
    assert len(inverted.write(tmp_path / "inverted")) == 64
    content = (tmp_path / "inverted").read_bytes()
    again = InvertedFile.read(content, 3000, SIZE, len(inverted.lists))
    for query in groups(3, seed=3):
        assert np.array_equal(again.candidates(query), inverted.candidates(query))
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
        assert found(after, followed, after[row], 1) == [row]
    assert measured_recall(followed, after, FeatureSpace(after)) > 0.95
    unchanged = inverted.follow(features, np.arange(3000))
    assert np.array_equal(unchanged.codes, inverted.codes)


def test_lists_are_made_again_when_too_much_is_new(features: NDArray[np.float32], inverted: InvertedFile) -> None:
    after = np.concatenate([features[:1000], groups(1000, seed=6)])
    origins = np.concatenate([np.arange(1000), np.full(1000, -1)])
    followed = inverted.follow(after, origins)
    assert followed.trained.all()
    assert np.array_equal(followed.lists.centres, InvertedFile.build(after).lists.centres)


def found(features: FeatureRows, inverted: InvertedFile, query: NDArray[np.float32], count: int) -> list[int]:
    """Rows that a search of an index with this inverted file finds."""
    shapes = [IndexedShape(f"{row:06}.off", None, None, "", "") for row in range(len(features))]
    index = Index(RECORD, {}, shapes, features, inverted=inverted)
    return [int(hit.shape.id[:6]) for hit in search(index, query[None], count)[0]]


@pytest.mark.parametrize("left", [300, 40, 1])
def test_a_file_that_shrinks_still_finds_as_many_as_are_asked_for(
    features: NDArray[np.float32], inverted: InvertedFile, left: int
) -> None:
    kept = np.linspace(0, 2999, left).astype(np.int64)
    after = features[kept]
    followed = inverted.follow(after, kept)
    assert len(followed.lists) <= 1.5 * list_count(left)
    for count in (1, 10, 200):
        for query in after[:3]:
            assert len(found(after, followed, query, count)) == min(count, left)
    assert 0.9 < measured_recall(followed, after, FeatureSpace(after)) <= 1


def test_when_the_nearest_lists_lose_their_members_further_lists_are_read(
    features: NDArray[np.float32], inverted: InvertedFile
) -> None:
    """As when a class is removed."""
    query = features[5]
    near = np.argsort(-(inverted.lists.centres @ query))[:PROBES]
    kept = np.flatnonzero(~np.isin((features @ inverted.lists.centres.T).argmax(axis=1), near))
    followed = inverted.follow(features[kept], kept)
    assert followed.lists is inverted.lists
    assert found(features[kept], followed, query, 5) == exact(features[kept], query, 5).tolist()
    assert len(found(features[kept], followed, query, 200)) == 200


@pytest.mark.parametrize("others", [0, 500])
def test_of_many_copies_the_first_are_found(features: NDArray[np.float32], others: int) -> None:
    many = np.concatenate([features[:others], np.repeat(features[2999:], 3000, axis=0)])
    built = InvertedFile.build(many)
    for query in (many[-1], many[others]):
        assert found(many, built, query, 10) == list(range(others, others + 10))
    assert measured_recall(built, many, FeatureSpace(many)) == 1


def test_the_recall_is_of_other_shapes_than_the_query() -> None:
    features = unit(np.random.default_rng(7).normal(size=(2000, SIZE)).astype(np.float32))
    inverted, shares = InvertedFile.build(features), []
    for row in np.unique(np.linspace(0, 1999, 100).astype(np.int64)):
        others = exact(features, features[row], 11)[1:]
        shares.append(np.isin(others, found(features, inverted, features[row], 200)).mean())
    assert measured_recall(inverted, features, FeatureSpace(features)) == pytest.approx(np.mean(shares), abs=1e-9)
    assert np.mean(shares) < 0.95
