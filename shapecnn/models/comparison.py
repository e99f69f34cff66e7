"""Comparison of shapes by a model: the feature that stands for a shape, and the space that defines similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.metric import Projection
from shapecnn.models.output import Feature, FeatureName, Output
from shapecnn.models.space import AdaptedSpace, FeatureSpace, Placed, Space
from shapecnn.shared.similarity import unit


class ShapeComparison(Protocol):
    """Method by which a model compares shapes: the feature of a shape, and the space that defines their similarity."""

    @property
    def feature(self) -> FeatureName:
        """Name of the compared feature: ``penultimate`` or ``metric``."""

    @property
    def adapts(self) -> bool:
        """Whether the similarity of two shapes depends on the other shapes of the collection."""

    @property
    def discriminant(self) -> bool:
        """Whether the features are coordinates in a discriminant space, where training shapes of one class coincide."""

    def represent(self, output: Output) -> Feature:
        """Return the feature that represents a shape in comparisons: D numbers (D,) float32, of unit length."""

    def space(self, features: NDArray[np.float32], placed: Placed | None = None) -> Space:
        """Return the space that compares the shapes of a collection with queries.

        Args:
            features: (N, D) float32, features of N shapes, computed by :meth:`represent`.
            placed: Coordinates of these features in the space, cached in an index; None to compute them.
        """


@dataclass(frozen=True, slots=True)
class FeatureComparison:
    """Compares shapes by the cosine of their penultimate features, or of the projections by a learned metric.

    Attributes:
        projection: Learned metric; None to compare penultimate features.
        discriminant: Whether the features of the network are coordinates in a discriminant space.
    """

    projection: Projection | None = None
    discriminant: bool = False

    @property
    def feature(self) -> FeatureName:
        """Name of the compared feature."""
        return "penultimate" if self.projection is None else "metric"

    @property
    def adapts(self) -> bool:
        """Always False: similarities do not depend on the collection."""
        return False

    def represent(self, output: Output) -> Feature:
        """Return the feature that represents a shape in comparisons: D numbers (D,) float32, of unit length."""
        return unit(output.feature) if self.projection is None else self.projection(output.feature)

    def space(
        self,
        features: NDArray[np.float32],
        placed: Placed | None = None,  # noqa: ARG002  # an index caches coordinates in adapted spaces only
    ) -> FeatureSpace:
        """Return the space that compares the features of a collection by cosine, without adaptation."""
        return FeatureSpace(features)


@dataclass(frozen=True, slots=True)
class AdaptedComparison:
    """Compares features in a space adapted to the collection, for networks that were never trained on shapes.

    Attributes:
        neighbours: Number of nearest neighbours that are averaged into each shape; see :class:`AdaptedSpace`.
    """

    neighbours: int

    @property
    def feature(self) -> FeatureName:
        """Name of the compared feature."""
        return "penultimate"

    @property
    def adapts(self) -> bool:
        """Always True: similarities depend on the collection."""
        return True

    @property
    def discriminant(self) -> bool:
        """Always False: only networks that were trained on shapes have a discriminant space."""
        return False

    def represent(self, output: Output) -> Feature:
        """Return the feature that represents a shape in comparisons: D numbers (D,) float32, of unit length."""
        return unit(output.feature)

    def space(self, features: NDArray[np.float32], placed: Placed | None = None) -> Space:
        """Return the space adapted to a collection; for an empty collection, a space without adaptation."""
        return AdaptedSpace(features, self.neighbours, placed) if len(features) else FeatureSpace(features)
