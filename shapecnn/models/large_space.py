"""Copies and nearest vectors in large collections: copies exactly, nearest vectors by an inverted file.

Comparing all pairs takes a time that grows with the square of the collection. Two ways around it are used here:

- Copies differ little in every direction. The vectors are divided into cells along the directions in which they differ
  most, and each is compared only with the originals in its own cell and those beside it. This finds every copy. Where
  vectors are crowded, so that many originals share a cell, the time still grows with the square of their number.
- Nearest vectors are searched in the parts of the collection that are nearest (Sivic and Zisserman, "Video Google",
  ICCV 2003): the vectors are divided into lists by k-means on a sample, and each vector is compared with all vectors of
  the :data:`PROBES` nearest lists. This finds nearly all of them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.shared.lists import FeatureRows, Lists

Features = NDArray[np.float32]
Rows = NDArray[np.int64]

PROBES = 12  # lists that each vector is compared with
_ROUNDING = 1e-5  # upper bound of the rounding error of a squared distance in float32
_AXES = 5  # directions along which vectors are divided into cells
_SHORT = 16  # coordinates that are compared before whole vectors are
_SAMPLE = 4096  # vectors from which the directions of largest variance are computed
_BLOCK = 4096  # vectors processed at a time
_MOST = 1 << 21  # largest number of cosines in memory at a time


def find_copies(rows: NDArray[Any], limit: float, scales: Features | None = None) -> Rows:
    """Find the original of each vector: the first vector within a distance of it that is no copy itself.

    Args:
        rows: (N, D), N vectors of D values, of any dtype.
        limit: Largest squared distance of a vector and its copy.
        scales: (N,) float32, a factor for each vector; None for 1.

    Returns:
        (N,) int64, the row of the original of each vector; its own row for a vector that is no copy.
    """
    scales = np.ones(len(rows), np.float32) if scales is None else scales
    coordinates = _principal(rows, scales)
    cells = np.floor(coordinates[:, :_AXES].astype(np.float64) / (limit + _ROUNDING) ** 0.5).astype(np.int64)
    cells -= cells.min(axis=0) - 1  # the cells beside the first and the last are counted, too: no number wraps around
    strides = np.append(np.cumprod((cells.max(axis=0) + 2)[:0:-1])[::-1], 1)
    occupied, own = np.unique(cells @ strides, return_inverse=True)
    beside = np.array([*itertools.product((-1, 0, 1), repeat=len(strides) - 1)], np.int64).reshape(-1, len(strides) - 1)
    first = np.arange(len(rows))
    _compare_beside(rows, scales, coordinates, occupied, own, beside @ strides[:-1], limit, first)
    return first


def find_nearest(items: FeatureRows, known: FeatureRows, own: Rows, count: int, probes: int = PROBES) -> Rows:
    """Find known vectors with the largest inner product with each item, nearly always the largest of all.

    Args:
        items: (Q, D) float32, Q vectors of unit length, read block by block.
        known: (N, D) float32, N vectors of unit length, read in parts.
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
    kept = 2 * count  # more than count: where rounding could decide, exact cosines do
    best = np.full((len(items), kept), -2, np.float32)
    found = np.full((len(items), kept), -1)
    for number in range(len(lists)):
        here = members[starts[number] : starts[number + 1]]
        if not len(here):
            continue
        vectors = known[here]
        askers = asking[ends[number] : ends[number + 1]] // probed.shape[1]
        step = max(1, _MOST // len(here))
        for start in range(0, len(askers), step):
            some = askers[start : start + step]
            cosines = items[some] @ vectors.T
            cosines[own[some][:, None] == here] = -2
            values = np.concatenate([best[some], cosines], axis=1)
            rows = np.concatenate([found[some], np.broadcast_to(here, cosines.shape)], axis=1)
            top = np.argpartition(-values, kept - 1, axis=1)[:, :kept]
            best[some] = np.take_along_axis(values, top, axis=1)
            found[some] = np.take_along_axis(rows, top, axis=1)
    found[best <= -2] = -1
    for start in range(0, len(items), _BLOCK):
        part = slice(start, start + _BLOCK)
        rows = np.sort(found[part], axis=1)
        exact = [(items[part] * known[each].astype(np.float64)).sum(axis=1) for each in rows.T]
        order = np.argsort(-np.where(rows < 0, -2, np.stack(exact, axis=1)), axis=1, kind="stable")
        found[part] = np.take_along_axis(rows, order, axis=1)
    return np.sort(found[:, :count], axis=1)


def _principal(rows: NDArray[Any], scales: Features) -> Features:
    """Return the coordinates of (N, D) vectors along the :data:`_SHORT` directions of largest variance in a sample.

    The distance of two shortened vectors is never larger than the distance of the vectors.
    """
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)
    sample = rows[chosen] * scales[chosen, None].astype(np.float64)
    centre = sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample - centre).T @ (sample - centre))
    axes = axes[:, ::-1][:, :_SHORT]
    turned, moved = axes.astype(np.float32), (centre @ axes).astype(np.float32)
    parts = [slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK)]
    return np.concatenate([(rows[part] * scales[part, None]) @ turned - moved for part in parts])


@numba.njit(cache=True)
def _compare_beside(
    rows: NDArray[Any],
    scales: Features,
    coordinates: Features,
    occupied: Rows,
    own: Rows,
    beside: Rows,
    limit: float,
    first: Rows,
) -> None:
    """Write the original of each of the (N, D) vectors ``rows`` to ``first`` (N,), which holds their own rows.

    ``scales`` (N,) are the factors of the vectors. ``coordinates`` (N, S) are the same vectors, shortened. ``occupied``
    has the numbers of the cells with vectors, in ascending order, and ``own`` (N,) the index of the cell of each vector
    in it. The cells beside a cell have numbers that differ by one of ``beside``, and by at most 1 more.
    """
    newest = np.full(len(occupied), -1)  # of the originals in each cell; each names the one before
    before = np.full(len(rows), -1)
    whole = np.float32(1)
    for row in range(len(rows)):
        best = row
        for step in beside:
            lowest = occupied[own[row]] + step - 1
            cell = np.searchsorted(occupied, lowest)
            while cell < len(occupied) and occupied[cell] <= lowest + 2:
                candidate = newest[cell]
                while candidate >= 0:
                    if (
                        candidate < best
                        and _is_near(coordinates[row], whole, coordinates[candidate], whole, limit + _ROUNDING)
                        and _is_near(rows[row], scales[row], rows[candidate], scales[candidate], limit)
                    ):
                        best = candidate
                    candidate = before[candidate]
                cell += 1
        first[row] = best
        if best == row:
            before[row], newest[own[row]] = newest[own[row]], row


@numba.njit(cache=True)
def _is_near(one: NDArray[Any], scale: np.float32, other: NDArray[Any], factor: np.float32, limit: float) -> bool:
    """Return whether the squared distance of two vectors with their factors is at most ``limit``."""
    distance = 0.0
    for place in range(len(one)):
        distance += float((scale * np.float32(one[place]) - factor * np.float32(other[place])) ** 2)
        if distance > limit:
            return False
    return True
