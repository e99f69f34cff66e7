"""Features adapted to their collection, held against the definition in plain loops."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.models import adapted_space as space
from shapecnn.models.adaptation import FARTHER, PRIOR, SHARE
from shapecnn.models.adapted_space import AdaptedSpace
from shapecnn.models.space import FeatureSpace
from shapecnn.shared.similarity import most_similar


def features(count: int, size: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """As of a network: most numbers small, a few large, none negative; rows of many lengths."""
    random = np.random.default_rng(seed)
    return (random.gamma(0.5, size=(count, size)) * random.uniform(0.1, 9, (count, 1))).astype(np.float32)


def clusters(seed: int) -> tuple[NDArray[np.float32], list[str]]:
    """Ten classes of twelve that a few channels tell apart, under two loud ones that all shapes share."""
    random = np.random.default_rng(seed)
    classes = np.repeat(np.arange(10), 12)
    quiet = random.gamma(2.0, size=(10, 30))[classes] + random.gamma(0.7, size=(120, 30))
    loud = random.gamma(2.0, 40, size=(120, 2))
    return np.hstack([quiet, loud]).astype(np.float32), [str(label) for label in classes]


def places(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first half of compared rows, of unit length again."""
    found: NDArray[np.float32] = rows[:, : rows.shape[1] // 2] * np.float32(2**0.5)
    return found


def unit(row: list[float]) -> list[float]:
    length = math.sqrt(sum(number**2 for number in row))
    return [number / length for number in row] if length else row


def naive(gallery: NDArray[np.float32], queries: NDArray[np.float32], neighbours: int) -> NDArray[np.float64]:
    """Where the definition moves queries among a collection without copies, number by number."""

    def rooted(row: NDArray[np.float32]) -> list[float]:
        return [math.copysign(math.sqrt(abs(number)), number) for number in unit([float(x) for x in row])]

    rows, count = [rooted(row) for row in gallery], len(gallery)
    means = [sum(column) / (count + PRIOR) for column in zip(*rows, strict=True)]
    columns = list(zip(*rows, strict=True))
    variances = [sum((x - mean) ** 2 for x in column) / count for column, mean in zip(columns, means, strict=True)]
    typical = sum(variances) / len(variances)
    scales = [math.sqrt((count * variance + PRIOR * typical) / (count + PRIOR)) for variance in variances]

    def standardized(row: list[float]) -> list[float]:
        return unit([(x - mean) / (scale or 1) for x, mean, scale in zip(row, means, scales, strict=True)])

    known = [standardized(row) for row in rows]
    answer = []
    for query in queries:
        mine = standardized(rooted(query))
        cosines = sorted(
            ((sum(a * b for a, b in zip(mine, other, strict=True)), other) for other in known), reverse=True
        )
        others = [(cosine, other) for cosine, other in cosines if cosine < 1 - 1e-5]
        moved = list(mine)
        for cosine, other in others[: min(neighbours, count // SHARE)]:
            moved = [a + max(cosine, 0) ** 2 * b for a, b in zip(moved, other, strict=True)]
        answer.append(unit(moved))
    return np.array(answer)


@pytest.mark.parametrize(("count", "neighbours"), [(1, 5), (9, 5), (35, 5), (60, 1), (60, 4), (60, 0)])
def test_it_is_the_definition(count: int, neighbours: int) -> None:
    known = features(count)
    others = np.concatenate([features(7, seed=1) - 0.2, -known[:3]])  # the last are unlike all: cosines below 0
    adapted = AdaptedSpace(known, neighbours)
    np.testing.assert_allclose(adapted.gallery, naive(known, known, neighbours), atol=2e-6)
    np.testing.assert_allclose(places(adapted.place(others)), naive(known, others, neighbours), atol=2e-6)


def test_a_query_that_is_in_the_collection_lies_where_it_is_there() -> None:
    known = np.repeat(features(30), 2, axis=0)  # each shape twice: a copy is no neighbour
    adapted = AdaptedSpace(known, 3)
    np.testing.assert_allclose(adapted.place(known[8:9] * 7), adapted.rows[8:9], atol=2e-6)
    np.testing.assert_array_equal(adapted.gallery[::2], adapted.gallery[1::2])


def test_copies_count_once() -> None:
    """Whatever is there more than once, means, variances and neighbours are those of it once."""
    known = features(40)
    once = AdaptedSpace(known, 4)
    for copied in ([0] * 60, [3, 3, 7, 30], range(40)):
        more = AdaptedSpace(np.concatenate([known, known[list(copied)] * 2]), 4)
        np.testing.assert_allclose(more.gallery[:40], once.gallery, atol=2e-6)
        np.testing.assert_allclose(more.place(features(5, seed=1)), once.place(features(5, seed=1)), atol=2e-6)


def scores(adapted: AdaptedSpace, queries: NDArray[np.float32]) -> NDArray[np.float64]:
    return adapted.similarity(adapted.place(queries).astype(np.float64), adapted.rows.astype(np.float64))


@given(st.integers(2, 60), st.integers(0, 6), st.integers(0, 100))
def test_a_copy_is_first_with_1_and_a_near_copy_before_what_is_much_farther(
    count: int, neighbours: int, seed: int
) -> None:
    """Whatever else the collection holds."""
    random = np.random.default_rng(seed)
    known = features(count, seed=seed)
    near = known[:1] * random.uniform(0.97, 1.03, (1, 24)).astype(np.float32)
    adapted = AdaptedSpace(np.concatenate([known, near, known[:1] * 3]), neighbours)
    (found,) = scores(adapted, known[:1])
    assert found[0] == pytest.approx(1, abs=1e-5)
    assert found[-1] == pytest.approx(1, abs=1e-5)
    assert found.max() <= 1 + 1e-5
    alone = AdaptedSpace(known[:1], 0)  # where nothing but the network says how far two shapes are apart
    half = adapted.rows.shape[1] // 2
    own = np.sqrt(2) * alone.place(known[:1])[:, half:] @ (np.sqrt(2) * adapted.rows[:, half:].T)
    distance = 1 - own[0]
    assert (1 - found >= distance - 1e-4).all()
    assert (1 - found <= FARTHER * distance + 1e-4).all()


def test_adding_copies_and_a_second_collection_of_the_same_changes_no_order() -> None:
    known, queries = features(40), features(6, seed=1)
    before = scores(AdaptedSpace(known, 4), queries)
    for more in (known[:1].repeat(30, axis=0), known, known[::2] * 5):
        after = scores(AdaptedSpace(np.concatenate([known, more]), 4), queries)[:, :40]
        np.testing.assert_allclose(after, before, atol=1e-5)


@given(st.integers(1, 80), st.integers(0, 8))
def test_the_order_of_shapes_does_not_matter(count: int, neighbours: int) -> None:
    known = features(count, seed=count)
    order = np.random.default_rng(count).permutation(count)
    straight, mixed = AdaptedSpace(known, neighbours), AdaptedSpace(known[order], neighbours)
    np.testing.assert_allclose(mixed.gallery, straight.gallery[order], atol=1e-5)


@pytest.mark.parametrize("count", [1, 9, 60])
def test_what_was_kept_is_what_is_made(count: int) -> None:
    known = features(count).repeat(2, axis=0)
    made = AdaptedSpace(known, 4)
    again = AdaptedSpace(known, 4, made.placed)
    assert made.placed.distinct.tolist() == [True, False] * count
    np.testing.assert_array_equal(again.rows, made.rows)
    np.testing.assert_array_equal(again.place(features(5, seed=1)), made.place(features(5, seed=1)))


def test_what_is_given_is_not_changed() -> None:
    known, queries = features(40), features(3, seed=1)
    before = known.copy(), queries.copy()
    AdaptedSpace(known, 5).place(queries)
    np.testing.assert_array_equal(known, before[0])
    np.testing.assert_array_equal(queries, before[1])


@pytest.mark.parametrize("count", [1, 2, 40])
def test_channels_and_shapes_that_say_nothing_stay_finite(count: int) -> None:
    known = features(count)
    known[:, 3] = 0.0
    known[0] = 0.0
    adapted = AdaptedSpace(known, 5)
    for rows in (adapted.gallery, adapted.rows, adapted.place(known), adapted.place(np.zeros((1, 24), np.float32))):
        assert rows.dtype == np.float32
        assert np.isfinite(rows).all()
        assert (np.linalg.norm(rows, axis=1) < 1 + 1e-5).all()
    found = scores(adapted, known)
    assert np.isfinite(found).all()
    assert (np.abs(found) <= 1 + 1e-5).all()
    assert np.isfinite(AdaptedSpace(np.zeros((count, 4), np.float32), 5).gallery).all()


def test_a_few_shapes_keep_apart() -> None:
    known = features(9)
    cosines = AdaptedSpace(known, 5).gallery @ AdaptedSpace(known, 5).gallery.T
    assert cosines[~np.eye(9, dtype=bool)].max() < 0.95


def test_each_step_finds_more_without_a_label() -> None:
    gains = []
    for seed in range(5):
        known, labels = clusters(seed)
        spaces = (FeatureSpace(known), AdaptedSpace(known, 0), AdaptedSpace(known, 5))
        gains.append([mvcnn(each.rows, labels, each.similarity).mAP or 0.0 for each in spaces])
    plain, standardized, moved = np.mean(gains, axis=0)
    assert plain + 0.1 < standardized < moved - 0.01


def test_it_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    known, queries = features(70), features(11, seed=1)
    whole = AdaptedSpace(known, 4)
    monkeypatch.setattr(space, "_BLOCK", 200)
    blocks = AdaptedSpace(known, 4)
    np.testing.assert_allclose(blocks.gallery, whole.gallery, atol=1e-6)
    np.testing.assert_allclose(blocks.place(queries), whole.place(queries), atol=1e-6)


def test_neighbours_do_not_depend_on_the_rounding_of_another_machine() -> None:
    """With other numbers of cores, BLAS sums in another order; here, the rounding errors are random."""
    random = np.random.default_rng(0)
    rows = space.scale_to_unit(random.normal(size=(60, 32)).astype(np.float32))
    known = space.scale_to_unit(random.normal(size=(100, 32)).astype(np.float32))
    near = known + random.normal(size=known.shape).astype(np.float32) * np.float32(1e-7)
    known = np.concatenate([known, near, known[:20]])[random.permutation(220)]  # almost equal, and equal
    exact = rows.astype(np.float64) @ known.T.astype(np.float64)
    expected = np.sort(np.argsort(-exact.round(14), axis=1, kind="stable")[:, :5], axis=1)
    for _ in range(5):
        cosines = (exact + random.uniform(-3e-7, 3e-7, exact.shape)).astype(np.float32)
        assert (most_similar(cosines, rows, known, 5) == expected).all()


def test_memory_does_not_grow_with_the_square_of_the_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_BLOCK", 1 << 18)
    known = features(3000, 8)
    tracemalloc.start()
    AdaptedSpace(known, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 3000 * 4 / 4


def test_features_are_compared_as_they_are_where_nothing_is_adapted() -> None:
    known, queries = features(4), features(2, seed=1)
    plain = FeatureSpace(known)
    assert plain.gallery is known
    assert plain.rows is known
    assert plain.place(queries) is queries
