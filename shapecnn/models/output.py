"""Output of a model for one shape: features, and class probabilities or a quantity."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FeatureName = Literal["penultimate", "scores", "metric"]
Feature = NDArray[np.float32]


class Output(NamedTuple):
    """Output of a model for one shape: feature, class probabilities or quantity, and optionally more.

    Attributes:
        feature: (D,) float32, the D features that the classifier receives, not scaled to unit length.
        scores: (C,) float32, probabilities of C classes, which sum to 1; None for a model without classes.
        views: (V, D) float32, a separate feature for each of V views or rotations; None if they were not requested.
        descriptor: (E,) float32, the engineered descriptor that the model joins with the feature, E values; None for a
            model that joins none.
        value: Predicted quantity, such as the area; None for a model that predicts no quantity.
    """

    feature: Feature
    scores: Feature | None
    views: Feature | None = None
    descriptor: Feature | None = None
    value: float | None = None
