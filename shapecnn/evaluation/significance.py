"""Tests whether one of two models is better beyond chance, from the results of both on the same shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLIPS = 10_000
_BLOCK = 1 << 20  # drawn signs held at a time
_ROUNDING = 1e-12  # of a value: sums of the same numbers in another order differ by less


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Test whether two classifiers differ in accuracy, by the exact test of McNemar (1947).

    By chance, a shape that one model alone predicts right falls to either model with probability 1/2.

    Args:
        first: (N,), which shapes the first model predicts right.
        second: (N,), the same of the second model.

    Returns:
        The two-sided p, in [0, 1]; 1 if both are right on the same shapes.
    """
    from scipy.stats import binomtest  # takes more than a second to import, and only a comparison needs it

    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    differing = first_only + second_only
    return float(binomtest(min(first_only, second_only), differing).pvalue) if differing else 1.0


# scipy.stats.permutation_test draws other signs from the same seed, which changes stored p, and takes 2.1 s instead of
# 0.3 s for 2,468 values; without ``batch`` it takes 1.6 GB.
def sign_flips(differences: NDArray[np.floating], seed: int = 0) -> float:
    """Test whether a mean of paired differences is 0, by the permutation test of Fisher (1935).

    By chance either model may have had either value, so each difference keeps its sign or changes it.

    Args:
        differences: (N,), N ≥ 1, the first model's value less the second's, for each shape.
        seed: That of the 10,000 draws of N signs.

    Returns:
        The two-sided p: the share of means as far from 0 as the observed one, which counts as drawn too. So p is never
        below 1 / 10,001.
    """
    generator = np.random.default_rng(seed)
    values = differences.astype(np.float64)
    rows = max(1, _BLOCK // len(values))
    observed = abs(values.sum()) - _ROUNDING * len(values)
    as_far = 0
    for start in range(0, FLIPS, rows):
        signs = generator.integers(0, 2, (min(rows, FLIPS - start), len(values)), np.int8)
        as_far += int((np.abs(values.sum() - 2 * (signs @ values)) >= observed).sum())
    return (as_far + 1) / (FLIPS + 1)


# scipy has no Holm: scipy.stats.false_discovery_control bounds another rate.
def holm(values: Sequence[float]) -> list[float]:
    """Correct the p of several tests for their number (Holm, 1979).

    Args:
        values: p of each test, in [0, 1].

    Returns:
        The raised p in the same order. Where no model differs, any of them is α or less with probability α at most.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    raised, highest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[i]))
        raised[i] = highest
    return raised
