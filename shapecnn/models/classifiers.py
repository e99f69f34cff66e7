"""Linear classifier in numpy. It computes in float32, also after a network that OpenVINO runs in bfloat16."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Linear classifier: computes the logits of C classes from D features.

    Attributes:
        weight: (C, D) float32.
        bias: (C,) float32.
    """

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Return the logits of features.

        Args:
            features: (..., D) float32, features of one or more shapes.

        Returns:
            (..., C) float32, logits.
        """
        return np.asarray(features @ self.weight.T + self.bias, np.float32)
