"""Group items, such as shapes, that have equal keys or that are close to each other, directly or in a chain.

A grouping is an (N,) int64 array with one group number for each of N items. Items with the same number are in one
group.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shapecnn.workers.progress import Progress, no_progress

Grouping = NDArray[np.int64]
"""One group number for each of N items, (N,): items with the same number are in one group."""

_BLOCK = 1024  # rows and columns of a block of distances in memory


def group_by_key(keys: Sequence[Hashable | None]) -> Grouping:
    """Group items with equal keys.

    Args:
        keys: One key for each of N items. An item with the key None forms a group of its own.

    Returns:
        One group number for each item, (N,) int64.
    """
    first: dict[Hashable, int] = {}
    return np.array(
        [row if key is None else first.setdefault(key, row) for row, key in enumerate(keys)], np.int64
    ).reshape(len(keys))


def group_by_distance(
    vectors: NDArray[np.float32], distance: float, progress: Progress = no_progress
) -> tuple[Grouping, NDArray[np.float32]]:
    """Group vectors whose Euclidean distance is small, directly or in a chain of close vectors.

    Only one block of distances is in memory at any time.

    Args:
        vectors: N vectors of D numbers, (N, D) float32, each of unit length or zero.
        distance: Largest distance between two vectors that are grouped directly. Short distances have an error of
            about 0.001, since they are computed from float32 products.
        progress: Function that is called with the number of compared blocks and the number of all blocks.

    Returns:
        One group number for each vector, (N,) int64. And the distance from each vector to the nearest other vector,
        (N,) float32; inf if there is only one vector.
    """
    grouping = np.arange(len(vectors), dtype=np.int64)
    nearest = np.full(len(vectors), np.inf, np.float32)
    for top, left, squared_distances in distance_blocks(vectors, progress):
        rows, columns = slice(top, top + len(squared_distances)), slice(left, left + squared_distances.shape[1])
        nearest[rows] = np.minimum(nearest[rows], squared_distances.min(axis=1))
        nearest[columns] = np.minimum(nearest[columns], squared_distances.min(axis=0))
        near_rows, near_columns = np.nonzero(squared_distances <= distance**2)
        if len(near_rows):
            grouping = _link(grouping, near_rows + top, near_columns + left)
    return grouping, np.sqrt(np.maximum(nearest, 0))


def distance_blocks(
    vectors: NDArray[np.float32], progress: Progress = no_progress
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yield the squared Euclidean distances between all pairs of N vectors, one block after the other.

    Args:
        vectors: N vectors of D numbers, (N, D) float32, each of unit length or zero.
        progress: Function that is called with the number of finished blocks and the number of all blocks.

    Yields:
        The first row and the first column of a block, and its squared distances, (R, C) float32 with R and C up to
        1,024. No column of a block is left of its rows: each pair comes up once, or twice in a block on the diagonal.
        The distance of a vector to itself is inf. Rounding may make short distances negative.
    """
    squared_norms = np.einsum("nd,nd->n", vectors, vectors)
    starts = range(0, len(vectors), _BLOCK)
    done, total = 0, len(starts) * (len(starts) + 1) // 2
    for top in starts:
        rows = slice(top, top + _BLOCK)
        for left in range(top, len(vectors), _BLOCK):
            columns = slice(left, left + _BLOCK)
            squared_distances = (
                squared_norms[rows, None] + squared_norms[columns] - 2 * (vectors[rows] @ vectors[columns].T)
            )
            if left == top:
                np.fill_diagonal(squared_distances, np.inf)
            yield top, left, squared_distances
            done += 1
            progress(done, total)


def expand_grouping(grouping: Grouping, rows: Sequence[int], count: int) -> Grouping:
    """Expand group numbers of M items to group numbers of N items: every added item forms a group of its own.

    Args:
        grouping: One group number for each of M items, (M,) int64.
        rows: Positions of the M items among all N items.
        count: Number N of all items.

    Returns:
        One group number for each of the N items, (N,) int64.
    """
    whole = np.arange(count, dtype=np.int64)
    whole[rows] = np.array(rows, np.int64)[firsts(grouping)]
    return whole


def firsts(grouping: Grouping) -> NDArray[np.int64]:
    """Return for each item the position of the first item of its group.

    Args:
        grouping: One group number for each of N items, (N,) int64.

    Returns:
        Positions from 0 to N - 1, (N,) int64.
    """
    _, heads, inverse = np.unique(grouping, return_index=True, return_inverse=True)
    return np.asarray(heads[inverse], np.int64)


def merge_groupings(*groupings: Grouping) -> Grouping:
    """Merge several groupings of the same items: items that share a group in any grouping share one in the result.

    Args:
        groupings: One or more groupings of the same N items, each with one group number for each item, (N,) int64.

    Returns:
        One group number for each item, (N,) int64.
    """
    first, *others = groupings
    for other in others:
        first = _link(first, firsts(other), np.arange(len(first)))
    return first


def group_rows(grouping: Grouping) -> list[NDArray[np.int64]]:
    """List the groups of two or more items, each by the positions of its items.

    Args:
        grouping: One group number for each of N items, (N,) int64.

    Returns:
        One int64 array of ascending positions for each group. The groups are in order of their first positions.
    """
    order = np.argsort(grouping, kind="stable")
    cuts = np.flatnonzero(np.diff(grouping[order])) + 1
    return sorted((rows for rows in np.split(order, cuts) if len(rows) > 1), key=lambda rows: int(rows[0]))


def _link(grouping: Grouping, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Grouping:
    """Merge, for each i, the group of item ``rows[i]`` with the group of item ``columns[i]``; return the new groups."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = grouping[rows], grouping[columns]
    size = int(grouping.max(initial=-1)) + 1
    _, parts = connected_components(coo_array((np.ones(len(rows), bool), ends), (size, size)), directed=False)
    return np.asarray(parts[grouping], np.int64)
