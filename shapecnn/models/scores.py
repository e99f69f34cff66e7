"""Convert the logits of a model to class probabilities, and refuse outputs that are not finite."""

from __future__ import annotations

import numpy as np

from shapecnn.errors import StoredDataError
from shapecnn.models.calibration import probabilities
from shapecnn.models.model import Model, temperature_of
from shapecnn.models.output import Feature


def scores_of(model: Model, logits: Feature) -> Feature:
    """Return the probabilities (C,) of C classes: the softmax of the logits (C,) divided by the temperature.

    Args:
        model: Model that computed the logits.
        logits: (C,) float32, logits of C classes.

    Returns:
        (C,) float32, probabilities that sum to 1.

    Raises:
        StoredDataError: A logit is infinite or NaN.
    """
    require_finite(model, logits)
    return probabilities(logits, temperature_of(model)).astype(np.float32)


def value_of(model: Model, value: float) -> float:
    """Return the quantity that a model computed, after checking that it is finite.

    Args:
        model: Model that computed the value.
        value: The quantity.

    Raises:
        StoredDataError: The value is infinite or NaN.
    """
    require_finite(model, np.float32(value))
    return value


def require_finite(model: Model, values: Feature | np.float32) -> None:
    """Raise StoredDataError if outputs of the network are infinite or NaN, which damaged weights can cause.

    Args:
        model: Model that computed the outputs.
        values: Outputs of any shape.

    Raises:
        StoredDataError: A value is infinite or NaN.
    """
    if not np.isfinite(values).all():
        raise StoredDataError(
            f"The network of {model.name} computes infinite values or NaN: its weights are damaged, or its training "
            f"diverged. Restore the model from a copy, or use another model."
        )
