"""Copies and neighbours in large collections: copies as a loop over all pairs finds them, neighbours nearly so."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.models import adapted_space, large_space
from shapecnn.models.adapted_space import AdaptedSpace, _originals
from shapecnn.models.large_space import find_copies, find_nearest
from shapecnn.shared.similarity import unit


def clouds(count: int, size: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """Vectors in groups, as the features of classes are, some of them copies."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(20, size))
    rows = centres[random.integers(20, size=count)] + 0.6 * random.normal(size=(count, size))
    rows[::7] = rows[(np.arange(count) * 5 % count)[::7]] + 1e-4 * random.normal(size=(len(rows[::7]), size))
    return unit(rows.astype(np.float32))


def originals(rows: NDArray[np.float32], limit: float) -> NDArray[np.int64]:
    """The definition: the first vector within the limit that is no copy itself."""
    first = np.arange(len(rows))
    for row in range(len(rows)):
        near = np.flatnonzero(((rows[:row].astype(float) - rows[row]) ** 2).sum(axis=1) <= limit)
        near = near[first[near] == near]
        first[row] = near[0] if len(near) else row
    return first


@pytest.mark.parametrize("limit", [1e-6, 2e-3, 0.3, 5.0])
def test_every_copy_is_found(limit: float) -> None:
    rows = clouds(300)
    expected = originals(rows, limit)
    assert np.array_equal(find_copies(rows, limit), expected)
    assert 0 < (expected != np.arange(300)).sum() < 300


def test_nearly_all_nearest_vectors_are_found_and_never_the_own_one() -> None:
    rows = clouds(2000)
    own = np.arange(2000)
    found = find_nearest(rows, rows, own, 5)
    cosines = rows @ rows.T
    cosines[own, own] = -2
    nearest = np.argsort(-cosines, axis=1)[:, :5]
    shared = np.mean([len({*a} & {*b}) / 5 for a, b in zip(found, nearest, strict=True)])
    assert shared > 0.9
    assert not (found == own[:, None]).any()
    assert (np.diff(found, axis=1) > 0).all()
    whole = find_nearest(rows, rows, own, 5, probes=1000)
    best = [-np.sort(-np.take_along_axis(cosines, each, axis=1)) for each in (whole, nearest)]
    assert best[0] == pytest.approx(best[1], abs=1e-6)  # of equally near vectors, either may be found


def test_rounding_does_not_decide_which_vector_is_nearest() -> None:
    """Each vector has a near twin, whose cosines differ by less than float32 can tell."""
    random = np.random.default_rng(3)
    known = unit(np.repeat(random.normal(size=(60, 32)), 2, axis=0))
    known = unit((known + 3e-8 * random.normal(size=known.shape)).astype(np.float32))
    items = unit(random.normal(size=(400, 32)).astype(np.float32))
    exact = items.astype(np.float64) @ known.T.astype(np.float64)
    found = find_nearest(items, known, np.full(400, -1), 1, probes=1000)
    assert np.array_equal(found[:, 0], exact.argmax(axis=1))


def test_long_lists_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clouds(300)
    found = find_nearest(rows, rows, np.arange(300), 5)
    monkeypatch.setattr(large_space, "_MOST", 1)
    assert np.array_equal(find_nearest(rows, rows, np.arange(300), 5), found)


def test_a_large_collection_is_adapted_almost_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.abs(clouds(1500))
    exact = AdaptedSpace(features, 5)
    monkeypatch.setattr(adapted_space, "EXACT", 100)
    large = AdaptedSpace(features, 5)
    assert np.array_equal(large.placed.distinct, exact.placed.distinct)
    assert not large.placed.distinct.all()
    assert exact.placed.neighbours is not None
    assert large.placed.neighbours is not None
    assert (large.placed.neighbours == exact.placed.neighbours).mean() > 0.9
    same = (large.placed.neighbours == exact.placed.neighbours).all(axis=1)
    assert np.array_equal(large.gallery[same], exact.gallery[same])
    assert np.array_equal(large.place(features[:3]), exact.place(features[:3]))


def test_copies_have_the_place_of_their_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapted_space, "EXACT", 100)
    features = np.abs(clouds(400))
    features[300] = features[20]
    space = AdaptedSpace(features, 5)
    assert np.array_equal(space.gallery[300], space.gallery[20])
    assert _originals(features)[300] == 20


def test_neighbours_are_enough_to_place_the_collection_again() -> None:
    features = np.abs(clouds(400))
    space = AdaptedSpace(features, 5)
    again = AdaptedSpace(features, 5, space.placed._replace(gallery=None))
    assert np.array_equal(space.gallery, again.gallery)
