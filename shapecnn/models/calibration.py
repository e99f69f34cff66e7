"""How far the scores of a run can be trusted: the temperature of its probabilities, and when a shape is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature, threshold and the errors of a run's probabilities, measured on shapes it was not trained on.

    Losses and errors "after" are cross-fitted: each shape is measured with the temperature fitted to the others.

    Attributes:
        shapes: How many shapes it was measured on.
        temperature: Divides the logits (Guo et al., "On calibration of modern neural networks", 2017).
        loss_before: Mean cross-entropy without a temperature, in nats.
        loss: Mean cross-entropy with a temperature, in nats, cross-fitted.
        ece_before: Expected calibration error without a temperature, in [0, 1].
        ece: Expected calibration error with a temperature, in [0, 1], cross-fitted.
        threshold: Familiarity (see models/familiarity.py) below which a shape is of no class of the run.
        rejected: Share of the measured shapes that lie below ``threshold``, in [0, 1].
        by: ``cross-validation`` for a run in closed form that was trained on all shapes: each shape was predicted by a
            run of the other folds.
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


# scipy.special.softmax gives the same bits, but its import takes a quarter of a second of the second of a `predict`.
def probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Turn logits into probabilities: the softmax of logits / temperature.

    Args:
        logits: (..., C), of C classes.
        temperature: Above 0; a higher one makes probabilities more alike.

    Returns:
        (..., C), each row summing to 1.
    """
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
