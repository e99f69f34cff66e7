"""Groups against an oracle that follows every link, and distances against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.duplicates import groups as duplicates
from shapecnn.duplicates.groups import (
    expand_grouping,
    firsts,
    group_by_distance,
    group_by_key,
    group_rows,
    merge_groupings,
)


def components(count: int, links: list[tuple[int, int]]) -> list[list[int]]:
    """The groups of two or more, by walking from each thing along the links."""
    beside: dict[int, set[int]] = {k: {k} for k in range(count)}
    for a, b in links:
        beside[a].add(b)
        beside[b].add(a)
    found = []
    for start in range(count):
        reached, waiting = {start}, [start]
        while waiting:
            new = beside[waiting.pop()] - reached
            reached |= new
            waiting += new
        if start == min(reached) and len(reached) > 1:
            found.append(sorted(reached))
    return found


def lists(grouping: NDArray[np.int64]) -> list[list[int]]:
    return [rows.tolist() for rows in group_rows(grouping)]


keys = st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=12)


@given(keys)
def test_equal_keys_are_alike_and_none_is_like_nothing(keys: list[int | None]) -> None:
    links = [(a, b) for a, x in enumerate(keys) for b, y in enumerate(keys) if x is not None and x == y]
    assert lists(group_by_key(keys)) == components(len(keys), links)


@given(st.data(), st.integers(0, 12))
def test_joined_follows_links_of_all(data: st.DataObject, count: int) -> None:
    groupings = [data.draw(st.lists(st.integers(0, 8), min_size=count, max_size=count)) for _ in range(3)]
    links = [(a, b) for g in groupings for a in range(count) for b in range(count) if g[a] == g[b]]
    found = merge_groupings(*(np.array(g, np.int64) for g in groupings))
    assert lists(found) == components(count, links)
    for group in [*lists(found), *([[0]] if count else [])]:
        assert set(firsts(found)[group]) == {group[0]}


@pytest.mark.parametrize("block", [1, 3, 1024])
@given(seed=st.integers(0, 1000), count=st.integers(0, 14))
def test_close_is_that_of_all_pairs(block: int, seed: int, count: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(apart, np.inf)
    steps: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        found, nearest = group_by_distance(
            vectors.astype(np.float32), 0.6, lambda done, total: steps.append((done, total))
        )
    assert lists(found) == components(count, [(int(a), int(b)) for a, b in np.argwhere(apart <= 0.6)])
    np.testing.assert_allclose(nearest, apart.min(axis=1, initial=np.inf), atol=2e-3)
    assert steps == [(k + 1, len(steps)) for k in range(len(steps))]


def test_zeros_are_close_to_zeros_alone() -> None:
    vectors = np.array([[0, 0], [1, 0], [0, 0]], np.float32)
    found, nearest = group_by_distance(vectors, 0.01)
    assert lists(found) == [[0, 2]]
    assert nearest.tolist() == [0, 1, 0]


def test_copies_of_one_thing_by_the_thousand_are_one_group() -> None:
    vectors = np.zeros((3000, 4), np.float32)
    vectors[:, 0] = 1
    assert [len(rows) for rows in group_rows(group_by_distance(vectors, 0.01)[0])] == [3000]


def test_a_grouping_of_some_leaves_the_others_alone() -> None:
    assert lists(expand_grouping(np.array([7, 9, 7]), [1, 2, 4], 6)) == [[1, 4]]
