"""How far the scores of a run can be trusted: the temperature of its probabilities, and when a shape is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the ``shapes`` held out of a training tell of its scores.

    by: ``cross-validation`` where a run in closed form was trained on all of them: each was told by a run of the other
    folds.

    temperature: divides the logits (Guo et al., "On calibration of modern neural networks", 2017).  loss_before, loss:
    mean cross-entropy in nats, without and with a temperature.  ece_before, ece: expected calibration error likewise.
    Loss and ece are cross-fitted: each shape is measured with the temperature that the others ask for.

    threshold: a shape of lower familiarity (:meth:`evidence.Evidence.familiarity`) is of no class that was
    trained.  rejected: the share of the held-out shapes that lie below it.
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


def probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """(..., C) → softmax of logits / temperature, (..., C), each row summing to 1."""
    warmed = logits.astype(np.float64) / temperature
    powers = np.exp(warmed - warmed.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
