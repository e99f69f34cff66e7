"""Find the ranks of the relevant items in the sorted result list of each query, as the input of all metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.shared.similarity import STEPS

Classes = NDArray[np.int64]
"""Class number, from 0, of each of N items: (N,)."""

Rows = NDArray[np.int64]
"""Positions of items in an array."""

Ranks = NDArray[np.float64]
"""Ranks of at most M relevant items of Q queries, (Q, M): ascending from 1, each row padded with inf."""

_DIGIT, _DIGITS = 12, 3  # bits of a radix digit; three digits hold all 2 · 10¹⁰ + 1 possible distances
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # increment of the SplitMix64 random number generator
_LAST = (1 << _DIGIT * _DIGITS) - 1  # distance of an item that sorts behind all other items


def relevant_ranks(
    similarity: NDArray[np.float64], query_classes: Classes, classes: Classes, own: Rows, numbers: Rows
) -> tuple[Ranks, Rows]:
    """Sort the gallery by similarity for each query, and return the ranks of the relevant items.

    An item is relevant if it has the class of the query. Similarities are rounded to 10 decimals. Items with equal
    similarity are shuffled, so that no order of rows or classes is favoured. The random numbers differ between queries
    and are the same every time.

    Args:
        similarity: Similarity of Q queries and N gallery items, (Q, N), from -1 to 1.
        query_classes: Class number of each query, (Q,), from 0.
        classes: Class number of each gallery item, (N,), from 0.
        own: Position in the gallery of the query itself, which is left out of the list, (Q,); -1 to leave out nothing.
        numbers: Number of each query, (Q,), used as its random seed.

    Returns:
        Ranks of the relevant items, (Q, M), for M items in the largest class: ascending from 1, padded with inf. And
        the number of items in each list that have the same similarity as another item of the list, (Q,).
    """
    widest = int(np.bincount(classes).max(initial=0))
    ranks = np.full((len(similarity), widest), np.inf)
    ties = np.zeros(len(similarity), np.int64)
    _rank(similarity, query_classes, classes, own, numbers.astype(np.uint64), ranks, ties)
    return ranks, ties


@numba.njit(cache=True)
def _rank(
    similarity: NDArray[np.float64],
    query_classes: Classes,
    classes: Classes,
    own: Rows,
    numbers: NDArray[np.uint64],
    ranks: Ranks,
    ties: Rows,
) -> None:
    """Sort the gallery for each query by a radix sort, and fill ``ranks`` and ``ties`` with the results.

    A radix sort is fast because it compares no items: the processor often predicts the result of a comparison wrongly.
    The last pass does not sort the item numbers themselves. It only stores at the rank of each item whether the item is
    relevant, and whether it ties with the item before.
    """
    count = similarity.shape[1]
    distances = np.empty(count, np.int64)
    order = np.empty(count, np.int64)
    reordered = np.empty(count, np.int64)
    relevant = np.empty(count, np.bool_)
    tied = np.empty(count + 1, np.bool_)  # whether an item has the same distance as the item before
    tied[count] = False
    before = np.empty(1 << _DIGIT, np.int64)  # last distance that was placed, for each highest digit
    mask = (1 << _DIGIT) - 1
    for query in range(similarity.shape[0]):
        # First, place[digit, d + 1] counts the items whose digit is d. Then place[digit, d] is the next free position
        # for such an item.
        place = np.zeros((_DIGITS, mask + 2), np.int64)
        for row in range(count):
            distance = int(STEPS - np.rint(similarity[query, row] * STEPS))
            # Only the query itself gets the distance _LAST, which sorts it behind all other items.
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
        before[:] = -1
        for item in order:
            value = distances[item] >> (_DIGITS - 1) * _DIGIT
            relevant[place[-1, value]] = classes[item] == query_classes[query] and item != own[query]
            tied[place[-1, value]] = distances[item] == before[value]
            before[value] = distances[item]
            place[-1, value] += 1
        ties[query] = _shuffle_ties(relevant, tied, numbers[query])
        column = 0
        for rank in range(count):
            if relevant[rank]:
                ranks[query, column] = rank + 1
                column += 1


@numba.njit(cache=True)
def _shuffle_ties(relevant: NDArray[np.bool_], tied: NDArray[np.bool_], number: np.uint64) -> int:
    """Shuffle each run of items with equal similarity in place (Fisher and Yates), with the random seed ``number``.

    Returns:
        Number of items that have the same similarity as another item.
    """
    state = _mixed(number)
    total, first = 0, 0
    for place in range(1, len(tied)):
        if tied[place]:
            continue
        size = place - first
        if size > 1:
            total += size
            for last in range(size - 1, 0, -1):
                state += _GOLDEN
                other = np.int64(_mixed(state) % np.uint64(last + 1))
                kept = relevant[first + last]
                relevant[first + last] = relevant[first + other]
                relevant[first + other] = kept
        first = place
    return total


@numba.njit(cache=True)
def _mixed(state: np.uint64) -> np.uint64:
    """Turn a 64-bit counter into a random number by the mixing function of SplitMix64 (Steele, Lea and Flood, 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
