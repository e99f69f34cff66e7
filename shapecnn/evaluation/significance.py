"""Test whether two models differ significantly, from the results of both models on the same shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLIPS = 10_000
"""Number of random sign changes in a permutation test."""

_BLOCK = 1 << 20  # number of drawn signs in memory at a time
_ROUNDING = 1e-12  # largest rounding error of a sum, for each value that is added


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Test whether two models differ in accuracy, by the exact test of McNemar (1947).

    The test looks at the shapes that only one of the models classifies correctly. If the models are equally good, each
    such shape is classified correctly by either model with probability 1/2.

    Args:
        first: Whether the first model classifies each of N shapes correctly, (N,).
        second: Whether the second model classifies each of the same shapes correctly, (N,).

    Returns:
        The two-sided p, in [0, 1]; 1 if both models are correct on the same shapes.
    """
    from scipy.stats import binomtest  # imported only for comparisons: the import takes over a second

    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    differing = first_only + second_only
    return float(binomtest(min(first_only, second_only), differing).pvalue) if differing else 1.0


# Why not scipy.stats.permutation_test: it draws other signs from the same seed, which changes stored p, and takes 2.1 s
# instead of 0.3 s for 2,468 values (and 1.6 GB of memory without ``batch``).
def sign_flips(differences: NDArray[np.floating], seed: int = 0) -> float:
    """Test whether the mean of paired differences is 0, by the permutation test of Fisher (1935).

    If the models are equally good, the two values of a shape could just as well be swapped. So the test flips the sign
    of each difference at random, 10,000 times, and compares the means with the observed mean.

    Args:
        differences: Value of the first model minus value of the second model for each of N ≥ 1 shapes, (N,).
        seed: Random seed of the signs.

    Returns:
        The two-sided p: the fraction of means that are at least as far from 0 as the observed mean. The observed mean
        is counted as one of 10,001 means, so p is at least 1 / 10,001.
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


# scipy has no Holm correction: scipy.stats.false_discovery_control bounds the false discovery rate instead.
def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple testing by the method of Holm (1979).

    Args:
        values: The p-value of each test, in [0, 1].

    Returns:
        The corrected p-values in the same order, each at least as large as its uncorrected value. If no models differ,
        the probability that any corrected p-value is α or less is at most α.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    raised, highest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[i]))
        raised[i] = highest
    return raised
