"""Calibration of a run: softmax temperature, and the similarity below which a shape is reported as unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature, rejection threshold and calibration errors of a classifier.

    They are measured on shapes that were not used to fit the classifier that scored them.
    ``loss`` and ``ece`` are cross-fitted: each shape is scored with a temperature that was fitted without this shape.

    Attributes:
        shapes: Number of shapes used for the calibration.
        temperature: Divisor of the logits (Guo et al., "On calibration of modern neural networks", 2017).
        loss_before: Mean cross-entropy without a temperature, in nats.
        loss: Mean cross-entropy with a temperature, in nats, cross-fitted.
        ece_before: Expected calibration error without a temperature, in [0, 1].
        ece: Expected calibration error with a temperature, in [0, 1], cross-fitted.
        threshold: Familiarity (cosine similarity to the most similar training shape) below which a shape is reported as
            of no known class.
        rejected: Share of the calibration shapes with a familiarity below ``threshold``, in [0, 1].
        by: Which shapes were used for the calibration. ``held out``: the validation shapes. ``cross-validation``: the
            training shapes of a run with a closed-form classifier. The classifier that scored a fold of these shapes
            was fitted to the other folds.
    """

    shapes: int
    temperature: float
    loss_before: float
    loss: float
    ece_before: float
    ece: float
    threshold: float
    rejected: float
    by: Literal["held out", "cross-validation"] = "held out"


# scipy.special.softmax returns the same bits, but its import takes 0.25 s, a quarter of the time of `predict`.
def probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return class probabilities: the softmax of logits / temperature.

    Args:
        logits: (..., C), logits of C classes.
        temperature: Divisor of the logits, above 0. A higher temperature brings the probabilities closer together.

    Returns:
        (..., C) float64, probabilities of the C classes, which sum to 1.
    """
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
