"""Whether one of two models is better beyond chance: tests of what both made of the same shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLIPS = 10_000
_BLOCK = 1 << 20  # drawn signs held at a time
_NOISE = 1e-12  # sums of the same numbers in another order differ by less


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Two-sided p of the exact test of McNemar (1947): shapes that one alone tells right fall to either with odds of 1.

    first, second: (N,), which shapes are right.  1 if they are right on the same ones.
    """
    only = sorted((int((first & ~second).sum()), int((second & ~first).sum())))
    trials = sum(only)
    ways, tail = 1, 0  # of choosing k of the trials, and of all up to k
    for k in range(only[0] + 1):
        tail += ways
        ways = ways * (trials - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << trials))


def sign_flips(differences: NDArray[np.floating], seed: int = 0) -> float:
    """Two-sided p of the paired permutation test of a mean of 0 (Fisher, 1935): either model may have had either value.

    differences: (N,), N ≥ 1, one value a shape.  Signs are drawn 10,000 times; p is the share of means as far from 0 as
    the one that is there, which counts as drawn too, so that p is never below 1 / 10,001.
    """
    generator = np.random.default_rng(seed)
    values = differences.astype(np.float64)
    rows = max(1, _BLOCK // len(values))
    found = abs(values.sum()) - _NOISE * len(values)
    as_far = 0
    for start in range(0, FLIPS, rows):
        signs = generator.integers(0, 2, (min(rows, FLIPS - start), len(values)), np.int8)
        as_far += int((np.abs(values.sum() - 2 * (signs @ values)) >= found).sum())
    return (as_far + 1) / (FLIPS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """p of several tests, raised so that any is below α by chance with probability α at most (Holm, 1979)."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    raised, highest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[i]))
        raised[i] = highest
    return raised
