"""Groupings of N things as connected components, from equal keys or short distances.

A grouping is an (N,) int64 array; things with the same number are in one group.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from shapecnn.workers.progress import Progress, no_progress

Grouping = NDArray[np.int64]

_BLOCK = 1024  # rows and columns of a block of distances in memory


def group_by_key(keys: Sequence[Hashable | None]) -> Grouping:
    """Group things with equal keys.

    Args:
        keys: N keys; each thing with the key None is a group of its own.

    Returns:
        (N,) int64.
    """
    first: dict[Hashable, int] = {}
    return np.array(
        [row if key is None else first.setdefault(key, row) for row, key in enumerate(keys)], np.int64
    ).reshape(len(keys))


def group_by_distance(
    vectors: NDArray[np.float32], distance: float, progress: Progress = no_progress
) -> tuple[Grouping, NDArray[np.float32]]:
    """Group vectors whose Euclidean distance is small, directly or in a chain.

    At any time, one block of distances is in memory.

    Args:
        vectors: (N, D) float32, of unit length or zero.
        distance: Largest distance between two vectors of one group. Short distances have an error of about 0.001,
            since they come from float32 products.
        progress: Called with the number of compared blocks and their total.

    Returns:
        The grouping, (N,) int64, and the distance of each vector to its nearest other one, (N,) float32; inf for a
        single vector.
    """
    count = len(vectors)
    grouping = np.arange(count, dtype=np.int64)
    squared_norms = np.einsum("nd,nd->n", vectors, vectors)
    nearest = np.full(count, np.inf, np.float32)
    starts = range(0, count, _BLOCK)
    done, total = 0, len(starts) * (len(starts) + 1) // 2
    for top in starts:
        rows = slice(top, top + _BLOCK)
        for left in range(top, count, _BLOCK):
            columns = slice(left, left + _BLOCK)
            squared_distances = (
                squared_norms[rows, None] + squared_norms[columns] - 2 * (vectors[rows] @ vectors[columns].T)
            )
            if left == top:
                np.fill_diagonal(squared_distances, np.inf)
            nearest[rows] = np.minimum(nearest[rows], squared_distances.min(axis=1))
            nearest[columns] = np.minimum(nearest[columns], squared_distances.min(axis=0))
            near_rows, near_columns = np.nonzero(squared_distances <= distance**2)
            if len(near_rows):
                grouping = _link(grouping, near_rows + top, near_columns + left)
            done += 1
            progress(done, total)
    return grouping, np.sqrt(np.maximum(nearest, 0))


def expand_grouping(grouping: Grouping, rows: Sequence[int], count: int) -> Grouping:
    """Expand a grouping of some things to all things; each of the others is a group of its own.

    Args:
        grouping: (M,) int64.
        rows: The M rows that it groups.
        count: Number of all things, N.

    Returns:
        (N,) int64.
    """
    whole = np.arange(count, dtype=np.int64)
    whole[rows] = np.array(rows, np.int64)[firsts(grouping)]
    return whole


def firsts(grouping: Grouping) -> NDArray[np.int64]:
    """Return the first row of each thing's group.

    Args:
        grouping: (N,) int64.

    Returns:
        (N,) int64, rows from 0 to N - 1.
    """
    _, heads, inverse = np.unique(grouping, return_index=True, return_inverse=True)
    return np.asarray(heads[inverse], np.int64)


def merge_groupings(*groupings: Grouping) -> Grouping:
    """Merge groupings: things that share a group in any of them, directly or in a chain, share one in the result.

    Args:
        groupings: One or more, each (N,) int64.

    Returns:
        (N,) int64.
    """
    first, *others = groupings
    for other in others:
        first = _link(first, firsts(other), np.arange(len(first)))
    return first


def group_rows(grouping: Grouping) -> list[NDArray[np.int64]]:
    """Return the rows of each group of two or more things.

    Args:
        grouping: (N,) int64.

    Returns:
        One int64 array of ascending rows for each group, in order of their first rows.
    """
    order = np.argsort(grouping, kind="stable")
    cuts = np.flatnonzero(np.diff(grouping[order])) + 1
    return sorted((rows for rows in np.split(order, cuts) if len(rows) > 1), key=lambda rows: int(rows[0]))


def _link(grouping: Grouping, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Grouping:
    """Merge the groups of rows[i] and columns[i], for each i."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = grouping[rows], grouping[columns]
    size = int(grouping.max(initial=-1)) + 1
    _, parts = connected_components(coo_array((np.ones(len(rows), bool), ends), (size, size)), directed=False)
    return np.asarray(parts[grouping], np.int64)
