"""Measure how well a model predicts a quantity of shapes, such as the area: R², errors and their 95 % intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.intervals import Interval, joint_intervals
from shapecnn.settings.networks import QuantityName

Values = NDArray[np.floating]


class Errors(NamedTuple):
    """Errors of the predictions of a quantity.

    Attributes:
        R2: Coefficient of determination: 1 − Σ (y − f)² / Σ (y − mean of y)², for values y and predictions f. 1 if all
            predictions are right, 0 if they are as good as the mean of the values, below 0 if they are worse. None if
            all values are the same.
        RMSE: Root mean squared error √(mean of (y − f)²), in the unit of the quantity.
        MAE: Mean absolute error, the mean of |y − f|, in the unit of the quantity.
    """

    R2: float | None
    RMSE: float
    MAE: float


@dataclass(frozen=True, slots=True)
class Regression:
    """Results of the prediction of a quantity on the evaluated shapes.

    Attributes:
        target: The quantity: ``area`` or ``volume``.
        count: Number of shapes whose quantity is known.
        left_out: Number of evaluated shapes whose quantity is not known, such as the volume of an open surface. They
            are left out of the results.
        R2: Coefficient of determination, see :class:`Errors`; None if all values are the same.
        RMSE: Root mean squared error, in the unit of the quantity.
        MAE: Mean absolute error, in the unit of the quantity.
        intervals: 95 % bootstrap intervals of ``R2``, ``RMSE`` and ``MAE``, by name; None if undefined.
    """

    target: QuantityName
    count: int
    left_out: int
    R2: float | None
    RMSE: float
    MAE: float
    intervals: dict[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """Return the results as a JSON object."""
        intervals = {name: interval and list(interval) for name, interval in self.intervals.items()}
        return {**asdict(self), "intervals": intervals}


def errors(values: Values, predictions: Values) -> Errors:
    """Compute R² and the errors of predictions.

    Args:
        values: (N,), true values of N ≥ 1 shapes.
        predictions: (N,), predicted values of the shapes.

    Returns:
        R², root mean squared error and mean absolute error.

    Example:
        >>> errors(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
        Errors(R2=0.5, RMSE=0.5773502691896257, MAE=0.3333333333333333)
    """
    values, predictions = values.astype(np.float64), predictions.astype(np.float64)
    squared = float(((values - predictions) ** 2).mean())
    spread = float(values.var())
    return Errors(
        1 - squared / spread if spread > 0 else None, squared**0.5, float(np.abs(values - predictions).mean())
    )


def regress(target: QuantityName, values: Values, predictions: Values, left_out: int = 0, seed: int = 0) -> Regression:
    """Compute R², the errors and their 95 % intervals.

    Args:
        target: The quantity: ``area`` or ``volume``.
        values: (N,), true values of N ≥ 1 shapes.
        predictions: (N,), predicted values of the shapes.
        left_out: Number of further shapes whose quantity is not known.
        seed: Random seed of the bootstrap behind the intervals.

    Returns:
        The results.
    """
    found = errors(values, predictions)
    centred = values.astype(np.float64) - values.mean()
    missed = values.astype(np.float64) - predictions
    columns = np.stack([missed**2, np.abs(missed), centred, centred**2], axis=1)

    def resampled(means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return R², RMSE and MAE of each of R resamples, (R, 3), from the means of the columns, (R, 4)."""
        squared, absolute, mean, spread = means.T
        spread = spread - mean**2
        r_squared = np.full(len(means), np.nan)  # a resample may draw the same value everywhere
        np.divide(squared, spread, out=r_squared, where=spread > 1e-12 * columns[:, 3].mean())
        return np.stack([1 - r_squared, np.sqrt(squared), absolute], axis=1)

    intervals = joint_intervals(columns, resampled, seed)
    named = dict(zip(Errors._fields, intervals, strict=True))
    if found.R2 is None:
        named["R2"] = None
    return Regression(target, len(values), left_out, *found, named)
