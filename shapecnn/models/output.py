"""Outputs of a network for one shape: features and class probabilities."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FeatureName = Literal["penultimate", "scores", "metric"]
Feature = NDArray[np.float32]


class Output(NamedTuple):
    """Output of a network for one shape.

    Attributes:
        feature: (D,) float32 of any length, input of the classifier.
        scores: (C,) float32, probabilities that sum to 1; None for a model without classes.
        views: (V, D) float32, the feature of each view or rotation by itself; None unless asked for.
    """

    feature: Feature
    scores: Feature | None
    views: Feature | None = None
