"""What turns features into logits, in numpy: the last step of every engine, always in float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Classifier:
    """weight: (C, D).  bias: (C,)."""

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """(..., D) → (..., C)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float32)
