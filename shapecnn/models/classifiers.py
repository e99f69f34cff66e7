"""Last layers in numpy. They compute in float32, even if OpenVINO computes the features in bfloat16."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Linear classifier: computes the logits of C classes from D features.

    Attributes:
        weight: (C, D) float32, weights of the D features for each class.
        bias: (C,) float32, constant added to the logit of each class.
    """

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Return the class logits of one or more shapes.

        Args:
            features: (..., D) float32, D features of each shape.

        Returns:
            (..., C) float32, logits of C classes.
        """
        return np.asarray(features @ self.weight.T + self.bias, np.float32)


@dataclass(frozen=True, slots=True)
class Regressor:
    """Linear last layer that computes a quantity, such as the area, from D features.

    Attributes:
        weight: (D,) float32, weights of the D features.
        bias: Constant added to the sum.
    """

    weight: Array
    bias: float

    def value(self, feature: Array) -> float:
        """Return the quantity of one shape.

        Args:
            feature: (D,) float32, D features of the shape.
        """
        return float(feature @ self.weight) + self.bias
