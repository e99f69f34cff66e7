"""The ranks of the relevant items in the list of each query: all that metrics of binary relevance need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.shared.similarity import STEPS

Classes = NDArray[np.int64]
Rows = NDArray[np.int64]
Ranks = NDArray[np.float64]

_DIGIT, _DIGITS = 12, 3  # bits of a digit; three digits hold the 2 · 10¹⁰ + 1 distances
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # steps of SplitMix64
_LAST = (1 << _DIGIT * _DIGITS) - 1


def relevant_ranks(
    similarity: NDArray[np.float64], query_classes: Classes, classes: Classes, own: Rows, numbers: Rows
) -> tuple[Ranks, Rows]:
    """Rank the relevant items of each query in the gallery sorted by similarity, best first.

    Similarities are compared to 10 decimals. Equal ones are shuffled, so that no order of rows or classes is favoured:
    each list by its own random numbers, the same every time.

    Args:
        similarity: (Q, N), from -1 to 1.
        query_classes: (Q,), from 0 on.
        classes: (N,), the same; an item is relevant if it is of the query's class.
        own: (Q,), the row of the gallery that is the query itself and is left out of its list, or -1.
        numbers: (Q,), which query each is; they seed the random numbers.

    Returns:
        Ranks, (Q, M), M the size of the largest class: from 1 on, ascending, then inf. Ties, (Q,): how many items of
        each list are as similar to the query as another one of it.
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
    """A radix sort per query, with no comparison to mispredict.

    The last pass puts into place only what matters of an item: whether it is relevant.
    """
    count = similarity.shape[1]
    distances = np.empty(count, np.int64)
    order = np.empty(count, np.int64)
    reordered = np.empty(count, np.int64)
    relevant = np.empty(count, np.bool_)
    tied = np.empty(count + 1, np.bool_)  # with the item before
    tied[count] = False
    before = np.empty(1 << _DIGIT, np.int64)  # the last distance that was put into place, for each highest digit
    mask = (1 << _DIGIT) - 1
    for query in range(similarity.shape[0]):
        # For each digit, at d + 1 how many items have it as d; then at d where the next of them goes.
        place = np.zeros((_DIGITS, mask + 2), np.int64)
        for row in range(count):
            distance = int(STEPS - np.rint(similarity[query, row] * STEPS))
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
    """Shuffle each run of ties in place (Fisher and Yates), seeded by ``number``; returns how many items tie."""
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
    """Mix a count into a random number: SplitMix64 of Steele, Lea and Flood (2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
