"""Copies and nearest vectors in large collections: copies exactly, nearest vectors by an inverted file.

Comparing all pairs takes a time that grows with the square of the collection. Two ways around it are used here:

- Copies differ little in every direction. The vectors are sorted along the direction in which they differ most, and
  each is compared only with those beside it. This finds every copy.
- Nearest vectors are searched in the parts of the collection that are nearest (Sivic and Zisserman, "Video Google",
  ICCV 2003): the vectors are divided into lists by k-means on a sample, and each vector is compared with all vectors of
  the :data:`PROBES` nearest lists. This finds nearly all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.shared.lists import Lists

Features = NDArray[np.float32]
Rows = NDArray[np.int64]

PROBES = 12  # lists that each vector is compared with
_FIRST = 4  # coordinates that are compared first, because they are the largest
_BLOCK = 4096  # vectors processed at a time


def find_copies(rows: Features, heads: Features, limit: float) -> Rows:
    """Find the original of each vector: the first vector within a distance of it that is no copy itself.

    Args:
        rows: (N, D) float32, N vectors of D values.
        heads: (N, H) float32, shortened vectors, whose distances are never larger than those of the vectors.
        limit: Largest squared distance of a vector and its copy.

    Returns:
        (N,) int64, the row of the original of each vector; its own row for a vector that is no copy.
    """
    coordinates = _principal(heads)
    order = np.argsort(coordinates[:, 0], kind="stable")
    table = np.ascontiguousarray(coordinates[order])
    first = np.arange(len(rows))
    places = np.empty(len(rows), np.int64)
    places[order] = first
    _compare_beside(rows, table, np.ascontiguousarray(table[:, :_FIRST]), order, places, limit, first)
    return first


def find_nearest(items: Features, known: Features, own: Rows, count: int, probes: int = PROBES) -> Rows:
    """Find known vectors with the largest inner product with each item, nearly always the largest of all.

    Args:
        items: (Q, D) float32, Q vectors of unit length.
        known: (N, D) float32, N vectors of unit length.
        own: (Q,) int64, row in ``known`` that is left out for each item; -1 for none.
        count: Number K of vectors to find, from 1, and far below N.
        probes: Number of lists that each item is compared with.

    Returns:
        (Q, K) int64, rows of ``known`` in ascending order; -1 where the lists have fewer vectors.
    """
    lists = Lists.train(known)
    members, starts = lists.divide(known)
    probed = np.concatenate([lists.nearest(items[i : i + _BLOCK], probes) for i in range(0, len(items), _BLOCK)])
    asking = np.argsort(probed.ravel(), kind="stable")
    ends = np.searchsorted(probed.ravel()[asking], np.arange(len(lists) + 1))
    best = np.full((len(items), count), -2, np.float32)
    found = np.full((len(items), count), -1)
    for number in range(len(lists)):
        here = members[starts[number] : starts[number + 1]]
        if not len(here):
            continue
        vectors = known[here]
        askers = asking[ends[number] : ends[number + 1]] // probed.shape[1]
        for start in range(0, len(askers), _BLOCK):
            some = askers[start : start + _BLOCK]
            cosines = items[some] @ vectors.T
            cosines[own[some][:, None] == here] = -2
            values = np.concatenate([best[some], cosines], axis=1)
            rows = np.concatenate([found[some], np.broadcast_to(here, cosines.shape)], axis=1)
            top = np.argpartition(-values, count - 1, axis=1)[:, :count]
            best[some] = np.take_along_axis(values, top, axis=1)
            found[some] = np.take_along_axis(rows, top, axis=1)
    found[best <= -2] = -1
    return np.sort(found, axis=1)


def _principal(heads: Features) -> Features:
    """Return the coordinates of (N, H) vectors in the directions of largest variance, with the same distances."""
    centred = heads - heads.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    return np.asarray(centred @ axes[:, ::-1].astype(np.float32), np.float32)


@numba.njit(cache=True)
def _compare_beside(
    rows: Features, table: Features, shortest: Features, order: Rows, places: Rows, limit: float, first: Rows
) -> None:
    """Write the original of each of the (N, D) vectors ``rows`` to ``first`` (N,), which holds their own rows.

    ``table`` (N, H) has the coordinates of the vectors, sorted by the first; ``shortest`` has the first few of them.
    ``order`` has the row at each place of the table, and ``places`` the place of each row.
    """
    slack = limit + 1e-5  # the rounding error of float32
    reach = slack**0.5
    for row in range(len(rows)):
        place, best = places[row], row
        for step in (-1, 1):
            other = place + step
            while 0 <= other < len(order) and abs(shortest[other, 0] - shortest[place, 0]) <= reach:
                candidate = order[other]
                if candidate < best and first[candidate] == candidate:
                    distance = 0.0
                    for k in range(shortest.shape[1]):
                        distance += (shortest[other, k] - shortest[place, k]) ** 2
                    if distance <= slack:
                        for k in range(shortest.shape[1], table.shape[1]):
                            distance += (table[other, k] - table[place, k]) ** 2
                            if distance > slack:
                                break
                    if distance <= slack:
                        distance = 0.0
                        for k in range(rows.shape[1]):
                            distance += (rows[row, k] - rows[candidate, k]) ** 2
                        if distance <= limit:
                            best = candidate
                other += step
        first[row] = best
