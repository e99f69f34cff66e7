"""How a model compares shapes: by which feature, in which space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.metric import Projection
from shapecnn.models.output import Feature, FeatureName, Output
from shapecnn.models.space import AdaptedSpace, FeatureSpace, Placed, Space
from shapecnn.shared.similarity import unit


class Comparison(Protocol):
    """The feature by which shapes are compared, and the space in which it lies."""

    @property
    def feature(self) -> FeatureName:
        """Name of the feature: ``penultimate`` or ``metric``."""

    @property
    def adapts(self) -> bool:
        """Whether the space depends on all shapes of the collection."""

    @property
    def discriminant(self) -> bool:
        """Whether the features are coordinates in a discriminant space, where training shapes of a class coincide."""

    def represent(self, output: Output) -> Feature:
        """Return the feature (D,) float32 of unit length that stands for one shape."""

    def space(self, features: NDArray[np.float32], placed: Placed | None = None) -> Space:
        """Return the space in which a collection and queries are compared.

        Args:
            features: (N, D), what :meth:`represent` gives for each shape of the collection.
            placed: Places of these features, where an index has stored them.
        """


@dataclass(frozen=True, slots=True)
class FeatureComparison:
    """Compares features by their cosine, as the network gives them or as a learned metric projects them.

    Attributes:
        projection: Learned metric; None compares the features of the penultimate layer.
        discriminant: Whether these are coordinates in a discriminant space.
    """

    projection: Projection | None = None
    discriminant: bool = False

    @property
    def feature(self) -> FeatureName:
        """Name of the feature."""
        return "penultimate" if self.projection is None else "metric"

    @property
    def adapts(self) -> bool:
        """Always False: the projection, if there is one, was learned from the training shapes."""
        return False

    def represent(self, output: Output) -> Feature:
        """Return the feature (D,) float32 of unit length that stands for one shape."""
        return unit(output.feature) if self.projection is None else self.projection(output.feature)

    def space(
        self,
        features: NDArray[np.float32],
        placed: Placed | None = None,  # noqa: ARG002  # an index stores places of adapted spaces only
    ) -> FeatureSpace:
        """Return the space of the features themselves."""
        return FeatureSpace(features)


@dataclass(frozen=True, slots=True)
class AdaptedComparison:
    """Compares features of a network that was never trained on shapes, in a space adapted to the collection.

    Attributes:
        neighbours: Number of neighbours that each shape moves towards; see :class:`AdaptedSpace`.
    """

    neighbours: int

    @property
    def feature(self) -> FeatureName:
        """Name of the feature."""
        return "penultimate"

    @property
    def adapts(self) -> bool:
        """Always True."""
        return True

    @property
    def discriminant(self) -> bool:
        """Always False: nothing was trained on shapes."""
        return False

    def represent(self, output: Output) -> Feature:
        """Return the feature (D,) float32 of unit length that stands for one shape."""
        return unit(output.feature)

    def space(self, features: NDArray[np.float32], placed: Placed | None = None) -> Space:
        """Return the adapted space; that of the features themselves for an empty collection."""
        return AdaptedSpace(features, self.neighbours, placed) if len(features) else FeatureSpace(features)
