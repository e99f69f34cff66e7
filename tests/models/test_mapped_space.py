"""The adapted space whose rows are computed when they are compared is that of the collection in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.models import adapted_space, large_space, mapped_space
from shapecnn.models.adaptation import Roots, Statistics, rooted
from shapecnn.models.adapted_space import AdaptedSpace
from shapecnn.models.mapped_space import AdaptedRows, JoinedRows, MappedSpace, place_collection
from shapecnn.models.space import Placed
from shapecnn.search.small_rows import PackedFeatures, pack, unpack
from shapecnn.shared import lists
from tests.models.test_large_space import clouds


@pytest.fixture(scope="module")
def features() -> NDArray[np.float32]:
    """Some of them are copies."""
    return np.abs(clouds(600))


@pytest.fixture(scope="module")
def space(features: NDArray[np.float32]) -> AdaptedSpace:
    return AdaptedSpace(features, 5)


def forms(placed: Placed) -> list[Placed]:
    """What full and small rows store."""
    return [placed._replace(neighbours=None), placed._replace(gallery=None)]


def all_of(count: int) -> Any:
    """Names every shape, whatever is asked for."""
    return lambda query, *, ranked: np.arange(count)  # noqa: ARG005


def nearest_of(rows: NDArray[np.float32], asked: list[int] | None = None) -> Any:
    """Names the rows that are most similar, of equal ones the first."""

    def candidates(query: NDArray[np.float32], *, ranked: int) -> NDArray[np.int64]:
        if asked is not None:
            asked.append(ranked)
        return np.sort(np.argsort(-(rows @ query), kind="stable")[:ranked])

    return candidates


def test_rows_are_those_of_the_space_in_memory(
    features: NDArray[np.float32], space: AdaptedSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not space.placed.distinct.all()
    monkeypatch.setattr(mapped_space, "_BLOCK", 100)
    for placed in forms(space.placed):
        rows = AdaptedRows(features, placed)
        joined = JoinedRows(rows)
        assert (len(rows), len(joined)) == (600, 600)
        for some in (slice(0, 600), slice(590, 800), np.array([5, 3, 3, 599])):
            np.testing.assert_allclose(rows[some], space.gallery[some], atol=1e-6)
            np.testing.assert_allclose(joined[some], space.rows[some], atol=1e-6)
        np.testing.assert_allclose(np.asarray(joined), space.rows, atol=1e-6)


def test_queries_lie_where_they_lie_in_the_space_in_memory(features: NDArray[np.float32], space: AdaptedSpace) -> None:
    queries = np.concatenate([np.abs(clouds(20, seed=1)), features[:20] * 3])  # the last are shapes of the collection
    for placed in forms(space.placed):
        for candidates in (all_of(600), nearest_of(space.gallery)):
            mapped = MappedSpace(AdaptedRows(features, placed), 5, candidates)
            np.testing.assert_allclose(mapped.place(queries), space.place(queries), atol=1e-6)
            assert mapped.similarity is space.similarity
            assert len(mapped.rows) == 600


def test_a_crowd_of_copies_hides_no_neighbour(features: NDArray[np.float32]) -> None:
    many = np.concatenate([features[:60], np.repeat(features[:1], 500, axis=0)])
    space, asked = AdaptedSpace(many, 5), list[int]()
    assert np.count_nonzero(space.placed.distinct) == 60
    mapped = MappedSpace(AdaptedRows(many, space.placed), 5, nearest_of(space.gallery, asked))
    near = features[:1] + 0.02 * features[5:6]
    for query in (features[:1], near):
        np.testing.assert_allclose(mapped.place(query), space.place(query), atol=1e-6)
    assert asked == [200, 800, 200, 800]


@pytest.mark.parametrize("count", [1, 9, 19])
def test_a_few_shapes_have_fewer_neighbours(features: NDArray[np.float32], count: int) -> None:
    few = features[:count]
    space = AdaptedSpace(few, 5)
    mapped = MappedSpace(AdaptedRows(few, space.placed._replace(gallery=None)), 5, all_of(count))
    np.testing.assert_allclose(mapped.place(few), space.rows, atol=1e-6)
    np.testing.assert_allclose(np.asarray(mapped.rows), space.rows, atol=1e-6)


def test_stored_statistics_are_used_and_missing_ones_computed(
    features: NDArray[np.float32], space: AdaptedSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = MappedSpace(AdaptedRows(features, space.placed), 5, all_of(600))
    statistics = mapped.placed.statistics
    assert statistics is not None
    first = features[space.placed.distinct]
    roots = np.sqrt(first / np.linalg.norm(first, axis=1, keepdims=True)).astype(np.float64)
    mean = roots.sum(axis=0) / (len(first) + 10)
    variance = ((roots - mean) ** 2).mean(axis=0)
    scale = ((len(first) * variance + 10 * variance.mean()) / (len(first) + 10)) ** -0.5
    np.testing.assert_allclose(statistics.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(statistics.scale, scale, rtol=1e-5)

    def refuse(_: Any) -> Statistics:
        raise AssertionError("the statistics were computed again")

    monkeypatch.setattr(Statistics, "of", refuse)
    again = MappedSpace(AdaptedRows(features, mapped.placed), 5, all_of(600))
    np.testing.assert_array_equal(again.place(features[:5]), mapped.place(features[:5]))


def test_no_array_of_the_size_of_the_collection_is_held(tmp_path: Path) -> None:
    random, count = np.random.default_rng(0), 20_000
    features = np.abs(random.normal(size=(count, 64))).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    stored = np.load(tmp_path / "features.npy", mmap_mode="r")
    placed = Placed(None, np.ones(count, np.bool_), random.integers(-1, count, (count, 5)).astype(np.int32))
    tracemalloc.start()
    mapped = MappedSpace(AdaptedRows(stored, placed), 5, lambda query, *, ranked: np.arange(ranked))  # noqa: ARG005
    for query in features[:30]:
        assert mapped.rows[np.arange(300, 500)].shape == (200, 128)
        assert mapped.place(query[None]).shape == (1, 128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 2


def test_stored_roots_are_those_of_the_features() -> None:
    packed = pack(clouds(50) * np.linspace(0, 3, 50, dtype=np.float32)[:, None])
    assert not packed[0].any()
    roots = rooted(unpack(packed))
    for some in (slice(0, 50), np.array([7, 3, 3])):
        np.testing.assert_allclose(Roots(PackedFeatures(packed))[some], roots[some], atol=1e-6)


def test_a_collection_is_placed_as_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(np.abs(clouds(1500)))
    packed[400:420] = packed[30]
    monkeypatch.setattr(mapped_space, "_BLOCK", 100)
    monkeypatch.setattr(adapted_space, "EXACT", 100)
    expected = AdaptedSpace(unpack(packed), 5).placed
    placed = place_collection(PackedFeatures(packed), 5)
    assert placed.gallery is None
    assert placed.neighbours is not None
    assert np.array_equal(placed.distinct, expected.distinct)
    assert not placed.distinct[400:420].any()
    assert np.array_equal(placed.neighbours, expected.neighbours)
    assert placed.neighbours.dtype == np.int32
    assert place_collection(PackedFeatures(packed), 0).neighbours.shape == (1500, 0)  # type: ignore[union-attr]


def test_a_collection_is_placed_without_arrays_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what is stored of it, which is 1 byte a number, and what does not grow with the features."""
    packed = pack(np.abs(clouds(6000, 512)))
    monkeypatch.setattr(large_space, "_BLOCK", 256)
    monkeypatch.setattr(large_space, "_MOST", 1 << 14)
    monkeypatch.setattr(large_space, "_SAMPLE", 256)
    monkeypatch.setattr(lists, "_BLOCK", 256)
    monkeypatch.setattr(lists, "SAMPLE", 4)
    place_collection(PackedFeatures(packed[:50]), 5)  # the kernels are compiled
    tracemalloc.start()
    place_collection(PackedFeatures(packed), 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * packed.nbytes / 1.3
