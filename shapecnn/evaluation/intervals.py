"""95 % intervals of figures by the percentile bootstrap (Efron, 1979): how far a figure moves with other shapes.

Shapes are drawn anew, with replacement. The network and the gallery that a query is answered from stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_BLOCK = 1 << 20  # drawn values held at a time
_TAILS = (2.5, 97.5)  # percent

Interval = tuple[float, float]
"""The lower and the upper end, in the unit of the figure."""


# scipy.stats.bootstrap draws the same resamples from the same seed, but refuses a single shape, changes the last bit of
# stored ends and is slower: 0.23 s instead of 0.17 s for 2,468 values, and 475 MB instead of 115 MB without ``batch``.
def mean_interval(values: NDArray[np.floating], seed: int = 0) -> Interval:
    """Draw the 95 % interval of a mean over shapes: accuracy (values of 1 and 0), mAP, or a difference of two models.

    Args:
        values: (N,), N ≥ 1, one for each shape.
        seed: That of the draws.

    Returns:
        The 2.5th and the 97.5th percentile of 10,000 means.
    """
    generator = np.random.default_rng(seed)
    values = values.astype(np.float64)
    rows = max(1, _BLOCK // len(values))
    means = [
        values[generator.integers(0, len(values), (min(rows, RESAMPLES - start), len(values)))].mean(axis=1)
        for start in range(0, RESAMPLES, rows)
    ]
    return _percentiles(np.concatenate(means))


def class_mean_interval(right: NDArray[np.int64], counts: NDArray[np.int64], seed: int = 0) -> Interval:
    """Draw the 95 % interval of mean class accuracy.

    Shapes are drawn within their class, because a benchmark sets the sizes of classes. Of n shapes with r right, the
    number of right ones among n drawn is binomial with probability r/n, so it is drawn at once.

    Args:
        right: (C,), how many shapes of each class are predicted right.
        counts: (C,), how many shapes each class has, at least 1.
        seed: That of the draws.

    Returns:
        The 2.5th and the 97.5th percentile of 10,000 mean class accuracies, in [0, 1].
    """
    generator = np.random.default_rng(seed)
    resampled = generator.binomial(counts, right / counts, (RESAMPLES, len(counts)))
    return _percentiles((resampled / counts).mean(axis=1))


def _percentiles(means: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(means, _TAILS)
    return float(low), float(high)
