"""Linear classifier in numpy: the last step of the OpenVINO engine, in float32 whatever the engine's precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Linear classifier of C classes.

    Attributes:
        weight: (C, D) float32.
        bias: (C,) float32.
    """

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Return the logits of features.

        Args:
            features: (..., D) float32.

        Returns:
            (..., C) float32.
        """
        return np.asarray(features @ self.weight.T + self.bias, np.float32)
