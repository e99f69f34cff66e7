"""Where the relevant items stand in each query's list: all that a metric of binary relevance needs to know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ShapecnnError
from shapecnn.jit import numba

Features = NDArray[np.float64]
Classes = NDArray[np.int64]
Rows = NDArray[np.int64]
Ranks = NDArray[np.float64]

_STEPS = 1e10  # similarities are compared to 10 decimals: copies tie, whatever the order of the product's additions
_DIGIT, _DIGITS = 12, 3  # bits of a digit; three digits hold the 2 · 10¹⁰ + 1 distances
_LAST = (1 << _DIGIT * _DIGITS) - 1


def unit_rows(features: NDArray[np.floating]) -> Features:
    """Rows of unit length, (N, D) → (N, D); rows of zeros stay, and are as similar to anything as a right angle is.

    In float64, because in float32 the noise of a product may straddle the rounding of a similarity.
    Raises ShapecnnError where a value is not finite.
    """
    rows: Features = features.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]  # np.linalg.norm would square a copy
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ShapecnnError(
            f"The feature of row {row} is not finite: the network that made it has diverged, train again"
        )
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def relevant_ranks(queries: Features, gallery: Features, query_classes: Classes, classes: Classes, own: Rows) -> Ranks:
    """Ranks of each query's relevant items when the gallery is sorted by cosine similarity, best first.

    queries: (Q, D) and gallery: (N, D), rows of unit length or zero.  query_classes: (Q,) and classes: (N,), from 0 on;
    an item is relevant if it is of the query's class.  own: (Q,), the row of the gallery that is the query itself and
    is left out of its list, or -1.

    Returns (Q, M), M the size of the largest class: ranks from 1 on, ascending, then inf. Similarities are compared to
    10 decimals; equal ones keep the order of rows.
    """
    widest = int(np.bincount(classes).max(initial=0))
    ranks = np.full((len(queries), widest), np.inf)
    _rank(queries @ gallery.T, query_classes, classes, own, ranks)
    return ranks


def nearest(queries: Features, gallery: Features, own: Rows, count: int) -> tuple[Rows, NDArray[np.float64]]:
    """The first ``count`` rows of each query's list, in the order of :func:`relevant_ranks`, and their similarities.

    For a few queries: (Q, N) similarities are sorted in full. Returns (Q, K) int64 and (Q, K) float64, K the smaller of
    ``count`` and what there is to list.
    """
    similarity = np.rint(queries @ gallery.T * _STEPS) / _STEPS
    left_out = own >= 0
    similarity[left_out, own[left_out]] = -np.inf
    shown = min(count, max(len(gallery) - int(left_out.any()), 0))
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :shown]
    return order, np.take_along_axis(similarity, order, axis=1)


@numba.njit(cache=True)
def _rank(similarity: NDArray[np.float64], query_classes: Classes, classes: Classes, own: Rows, ranks: Ranks) -> None:
    """A radix sort per query: stable, hence ties in order of rows, and with no comparison to mispredict.

    The last pass puts into place only what matters of an item: whether it is relevant.
    """
    count = similarity.shape[1]
    distances = np.empty(count, np.int64)
    order = np.empty(count, np.int64)
    reordered = np.empty(count, np.int64)
    relevant = np.empty(count, np.bool_)
    mask = (1 << _DIGIT) - 1
    for query in range(similarity.shape[0]):
        # For each digit, at d + 1 how many items have it as d; then at d where the next of them goes.
        place = np.zeros((_DIGITS, mask + 2), np.int64)
        for row in range(count):
            distance = int(_STEPS - np.rint(similarity[query, row] * _STEPS))
            # Only the query itself is as far as the last distance, and so behind all others.
            distance = _LAST if row == own[query] else min(max(distance, 0), _LAST - 1)
            distances[row] = distance
            order[row] = row
            for digit in range(_DIGITS):
                place[digit, ((distance >> digit * _DIGIT) & mask) + 1] += 1
        for digit in range(_DIGITS):
            for below in range(mask):
                place[digit, below + 1] += place[digit, below]
        for digit in range(_DIGITS - 1):
            for item in order:
                value = (distances[item] >> digit * _DIGIT) & mask
                reordered[place[digit, value]] = item
                place[digit, value] += 1
            order, reordered = reordered, order
        for item in order:
            value = distances[item] >> (_DIGITS - 1) * _DIGIT
            relevant[place[-1, value]] = classes[item] == query_classes[query] and item != own[query]
            place[-1, value] += 1
        found = 0
        for rank in range(count):
            if relevant[rank]:
                ranks[query, found] = rank + 1
                found += 1
