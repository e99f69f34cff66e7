"""Which of N things are the same: groups as connected components, from equal keys or from short distances.

A grouping is (N,) int64: things of one number are in one group.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from shapecnn.workers.progress import Progress, no_progress

Grouping = NDArray[np.int64]

_BLOCK = 1024  # rows, and columns, of the products held at a time


def alike(keys: Sequence[Hashable | None]) -> Grouping:
    """Things of equal keys are in one group; one whose key is None is alone."""
    first: dict[Hashable, int] = {}
    return np.array(
        [row if key is None else first.setdefault(key, row) for row, key in enumerate(keys)], np.int64
    ).reshape(len(keys))


def close(
    vectors: NDArray[np.float32], distance: float, progress: Progress = no_progress
) -> tuple[Grouping, NDArray[np.float32]]:
    """Groups joined by Euclidean distances up to ``distance``, of (N, D) vectors of unit length or zero; and the
    distance (N,) of each to its nearest other, inf where there is none.

    Distances come from products in float32 and are true to about 0.001 where they are short. Memory is that of a block
    of them, however many are short.
    """
    count = len(vectors)
    grouping = np.arange(count, dtype=np.int64)
    squares = np.einsum("nd,nd->n", vectors, vectors)
    nearest = np.full(count, np.inf, np.float32)
    starts = range(0, count, _BLOCK)
    done, total = 0, len(starts) * (len(starts) + 1) // 2
    for top in starts:
        rows = slice(top, top + _BLOCK)
        for left in range(top, count, _BLOCK):
            columns = slice(left, left + _BLOCK)
            apart = squares[rows, None] + squares[columns] - 2 * (vectors[rows] @ vectors[columns].T)
            if left == top:
                np.fill_diagonal(apart, np.inf)
            nearest[rows] = np.minimum(nearest[rows], apart.min(axis=1))
            nearest[columns] = np.minimum(nearest[columns], apart.min(axis=0))
            linked = np.nonzero(apart <= distance**2)
            if len(linked[0]):
                grouping = _linked(grouping, linked[0] + top, linked[1] + left)
            done += 1
            progress(done, total)
    return grouping, np.sqrt(np.maximum(nearest, 0))


def spread(grouping: Grouping, rows: Sequence[int], count: int) -> Grouping:
    """A grouping of some ``rows`` of ``count`` things as one of all; the others are alone."""
    whole = np.arange(count, dtype=np.int64)
    whole[rows] = np.array(rows, np.int64)[firsts(grouping)]
    return whole


def firsts(grouping: Grouping) -> NDArray[np.int64]:
    """(N,): the first row of each thing's group."""
    _, heads, of = np.unique(grouping, return_index=True, return_inverse=True)
    return np.asarray(heads[of], np.int64)


def joined(*groupings: Grouping) -> Grouping:
    """What any of the groupings holds together, directly or through others, is in one group."""
    first, *others = groupings
    for other in others:
        first = _linked(first, firsts(other), np.arange(len(first)))
    return first


def members(grouping: Grouping) -> list[NDArray[np.int64]]:
    """The rows of each group of two or more, ascending, in order of their first rows."""
    order = np.argsort(grouping, kind="stable")
    cuts = np.flatnonzero(np.diff(grouping[order])) + 1
    return sorted((rows for rows in np.split(order, cuts) if len(rows) > 1), key=lambda rows: int(rows[0]))


def _linked(grouping: Grouping, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Grouping:
    """The grouping once rows[i] and columns[i] are in one group, for each i."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = grouping[rows], grouping[columns]
    size = int(grouping.max(initial=-1)) + 1
    _, parts = connected_components(coo_array((np.ones(len(rows), bool), ends), (size, size)), directed=False)
    return np.asarray(parts[grouping], np.int64)
