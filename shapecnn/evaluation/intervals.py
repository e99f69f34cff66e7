"""How far a figure would move with other shapes: 95 % intervals by the percentile bootstrap (Efron, 1979).

Shapes are drawn anew, with replacement; the network, and the gallery that a query is answered from, stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_BLOCK = 1 << 20  # drawn values held at a time
_TAILS = (2.5, 97.5)  # percent

Interval = tuple[float, float]


def mean_interval(values: NDArray[np.floating], seed: int = 0) -> Interval:
    """Of the mean of one value a shape, (N,), N ≥ 1: accuracy, if 1 is right and 0 wrong, or mAP."""
    generator = np.random.default_rng(seed)
    values = values.astype(np.float64)
    rows = max(1, _BLOCK // len(values))
    means = [
        values[generator.integers(0, len(values), (min(rows, RESAMPLES - start), len(values)))].mean(axis=1)
        for start in range(0, RESAMPLES, rows)
    ]
    return _percentiles(np.concatenate(means))


def class_mean_interval(right: NDArray[np.int64], counts: NDArray[np.int64], seed: int = 0) -> Interval:
    """Of mean class accuracy.  right, counts: (C,), how many shapes of each class are right and how many there are ≥ 1.

    Shapes are drawn within their class, whose sizes a benchmark sets. Of n with r right, the right ones among n drawn
    are binomial with probability r/n, so that they are drawn at once.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.binomial(counts, right / counts, (RESAMPLES, len(counts)))
    return _percentiles((drawn / counts).mean(axis=1))


def _percentiles(means: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(means, _TAILS)
    return float(low), float(high)
