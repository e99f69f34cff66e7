"""What a model says of many shapes. Artefacts stream: what is kept is the feature and the scores of each item."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FeatureName = Literal["penultimate", "scores", "metric"]


Feature = NDArray[np.float32]


class Output(NamedTuple):
    """What a network says of a shape.

    feature: (D,), what its classifier sees, as it is.  scores: (C,) probabilities, summing to 1; None without classes.
    views: (V, D), the feature each view or rotation would give if it were the only one; None unless asked for.
    """

    feature: Feature
    scores: Feature | None
    views: Feature | None = None
