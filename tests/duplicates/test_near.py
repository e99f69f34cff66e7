"""Near copies against single linkage, and the limits that end its chains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from shapecnn.duplicates import groups as duplicates
from shapecnn.duplicates import near
from shapecnn.duplicates.groups import group_rows
from shapecnn.duplicates.near import group_near


def unit_vectors(seed: int, count: int, size: int = 3) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, size))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def on_a_circle(*degrees: float) -> NDArray[np.float32]:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def alone(count: int) -> NDArray[np.int64]:
    return np.arange(count)


def lists(grouping: NDArray[np.int64]) -> list[list[int]]:
    return [rows.tolist() for rows in group_rows(grouping)]


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("most", [10, 1 << 22])
@given(seed=st.integers(0, 200), distance=st.floats(0.1, 0.6))
def test_without_limits_it_is_single_linkage(block: int, most: int, seed: int, distance: float) -> None:
    vectors = unit_vectors(seed, 30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        patch.setattr(near, "_MOST", most)
        found = group_near(vectors, distance, alone(30), np.full(30, 30))
    clusters = fcluster(linkage(vectors.astype(np.float64), "single"), distance, "distance")
    assert sorted(lists(found.groups)) == sorted(np.flatnonzero(clusters == k).tolist() for k in np.unique(clusters)
                                                 if (clusters == k).sum() > 1)  # fmt: skip
    assert found.apart is None or len(found.apart) == 0  # None: too many pairs to keep


@given(seed=st.integers(0, 200), limit=st.integers(1, 6))
def test_no_group_is_larger_than_a_limit_and_pairs_apart_are_counted(seed: int, limit: int) -> None:
    vectors = unit_vectors(seed, 25)
    found = group_near(vectors, 0.5, alone(25), np.full(25, limit))
    assert np.unique(found.groups, return_counts=True)[1].max() <= limit
    close = np.triu(squareform(pdist(vectors.astype(np.float64))) <= 0.5, 1)
    apart = np.argwhere(close & (found.groups[:, None] != found.groups))
    assert found.apart is not None
    assert found.apart.tolist() == apart.tolist()


def test_the_closest_are_grouped_first() -> None:
    chain = on_a_circle(0, 10, 11, 12, 20)
    found = group_near(chain, 0.25, alone(5), np.full(5, 3))
    assert lists(found.groups) == [[1, 2, 3]]
    assert found.apart is not None
    assert len(found.apart) == 6  # of 0 with the three others up to 12 degrees, and of 20 with three


def test_the_smallest_limit_of_its_items_holds_for_a_group() -> None:
    found = group_near(on_a_circle(0, 1, 2, 40, 41), 0.1, alone(5), np.array([5, 1, 5, 2, 2]))
    assert lists(found.groups) == [[0, 2], [3, 4]]
    found = group_near(on_a_circle(0, 1, 3), 0.1, alone(3), np.array([3, 2, 3]))
    assert lists(found.groups) == [[0, 1]]


def test_copies_are_together_whatever_the_limits() -> None:
    copies = np.array([0, 0, 0, 3, 4])
    found = group_near(on_a_circle(0, 90, 180, 1, 2), 0.1, copies, np.full(5, 2))
    assert lists(found.groups) == [[0, 1, 2], [3, 4]]


def test_a_copy_links_as_its_twin_does() -> None:
    copies = np.array([0, 1, 1])
    found = group_near(on_a_circle(0, 2, 90), 0.1, copies, np.full(3, 3))
    assert lists(found.groups) == [[0, 1, 2]]


def test_what_is_left_at_the_rim_of_a_full_group_is_grouped() -> None:
    """The two outer items are near each other, but nearer to the group that has no room for them."""
    rim = np.array([[0.0, 0, 1], [0.02, 0, 1], [0.11, 0.05, 1], [0.11, -0.05, 1]])
    vectors = (rim / np.linalg.norm(rim, axis=1, keepdims=True)).astype(np.float32)
    found = group_near(vectors, 0.15, alone(4), np.full(4, 2))
    assert lists(found.groups) == [[0, 1], [2, 3]]
    assert found.apart is not None
    assert len(found.apart) == 4


@given(seed=st.integers(0, 50))
def test_numbers_do_not_depend_on_the_order_of_equal_distances(seed: int) -> None:
    """The corners of a square are equally far from their neighbours, up to rounding."""
    noise = np.random.default_rng(seed).normal(0, 1e-7, (4, 2)).astype(np.float32)
    found = group_near(on_a_circle(0, 10, 20, 30) + noise, 0.2, alone(4), np.full(4, 4))
    assert found.groups.tolist() == [0, 0, 0, 0]


def test_few_items() -> None:
    assert group_near(np.empty((0, 3), np.float32), 0.1, alone(0), alone(0)).groups.tolist() == []
    assert group_near(on_a_circle(0), 0.1, alone(1), np.array([1])).groups.tolist() == [0]
    assert lists(group_near(on_a_circle(0, 0, 0), 0.1, alone(3), np.full(3, 3)).groups) == [[0, 1, 2]]
