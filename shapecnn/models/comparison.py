"""Comparison of shapes by a model: which feature represents a shape, and how the similarity is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.adaptation import StoredRoots
from shapecnn.models.adapted_space import EXACT, AdaptedSpace
from shapecnn.models.mapped_space import AdaptedRows, Candidates, MappedSpace, place_collection
from shapecnn.models.metric import Projection
from shapecnn.models.output import Feature, FeatureName, Output
from shapecnn.models.space import HALF, FeatureSpace, JoinedSpace, LightFieldSpace, Placed, Space
from shapecnn.settings.networks import DescriptorName
from shapecnn.shared.lists import FeatureRows
from shapecnn.shared.similarity import unit


class ShapeComparison(Protocol):
    """Interface of the comparison of shapes: which feature represents a shape, and how the similarity is computed."""

    @property
    def feature(self) -> FeatureName:
        """Name of the compared feature: ``penultimate`` (classifier input) or ``metric`` (from the learned metric)."""

    @property
    def adapts(self) -> bool:
        """Whether the similarity of two shapes depends on the other shapes of the collection."""

    @property
    def divisible(self) -> bool:
        """Whether similar shapes are near each other as vectors, so that an inverted file finds them."""

    @property
    def discriminant(self) -> bool:
        """Whether the features are coordinates in a discriminant (LDA) space, where each training class is compact."""

    def represent(self, output: Output) -> Feature:
        """Return the feature by which a shape is compared: (D,) float32, D values, scaled to unit length."""

    def place(self, features: FeatureRows) -> Placed | None:
        """Return what an index caches of the shapes of a collection; None if their features are compared as they are.

        Args:
            features: (N, D) float32, D features of each of N > 0 shapes, computed by :meth:`represent`.
        """

    def space(
        self, features: NDArray[np.float32], placed: Placed | None = None, candidates: Candidates | None = None
    ) -> Space:
        """Return an object that computes the similarities of queries and the shapes of a collection.

        Args:
            features: (N, D) float32, D features of each of N shapes, computed by :meth:`represent`.
            placed: Adapted features of these shapes, cached in an index; None to compute them.
            candidates: Function that names the shapes most similar to a query, so that the others are not read; None
                to compare all. It needs ``placed`` if the features are adapted.
        """


@dataclass(frozen=True, slots=True)
class FeatureComparison:
    """Compares shapes by the cosine of their penultimate features, or of their features of a learned metric.

    Attributes:
        projection: Learned metric; None to compare penultimate features.
        discriminant: Whether the features of the network are coordinates in a discriminant (LDA) space.
    """

    projection: Projection | None = None
    discriminant: bool = False

    @property
    def feature(self) -> FeatureName:
        """Name of the compared feature: ``metric`` with a learned metric, otherwise ``penultimate``."""
        return "penultimate" if self.projection is None else "metric"

    @property
    def adapts(self) -> bool:
        """Always False: similarities do not depend on the collection."""
        return False

    @property
    def divisible(self) -> bool:
        """Always True: the similarity is the cosine of two features."""
        return True

    def represent(self, output: Output) -> Feature:
        """Return the feature by which a shape is compared: (D,) float32, D values, scaled to unit length."""
        return unit(output.feature) if self.projection is None else self.projection(output.feature)

    def place(self, features: FeatureRows) -> None:
        """Return None: the features are compared as they are."""

    def space(
        self,
        features: NDArray[np.float32],
        placed: Placed | None = None,  # noqa: ARG002  # an index caches adapted features only
        candidates: Candidates | None = None,  # noqa: ARG002  # the features are compared as they are
    ) -> FeatureSpace:
        """Return an object that compares two shapes by the cosine of their features, without regard to other shapes."""
        return FeatureSpace(features)


@dataclass(frozen=True, slots=True)
class AdaptedComparison:
    """Compares shapes by features adapted to the collection, for networks that were never trained on shapes.

    Attributes:
        neighbours: Largest number of similar shapes whose features are added to the features of each shape; see
            :class:`AdaptedSpace`.
    """

    neighbours: int

    @property
    def feature(self) -> FeatureName:
        """Name of the compared feature: always ``penultimate``, the input of a classifier."""
        return "penultimate"

    @property
    def adapts(self) -> bool:
        """Always True: similarities depend on the collection."""
        return True

    @property
    def divisible(self) -> bool:
        """Always True: the similarity is the cosine of two adapted features, within limits."""
        return True

    @property
    def discriminant(self) -> bool:
        """Always False: only networks that were trained on shapes have a discriminant (LDA) space."""
        return False

    def represent(self, output: Output) -> Feature:
        """Return the feature by which a shape is compared: (D,) float32, D values, scaled to unit length."""
        return unit(output.feature)

    def place(self, features: FeatureRows) -> Placed | None:
        """Return the adapted features of a collection; for many that are stored as small rows, only their neighbours.

        Args:
            features: (N, D) float32, D features of each of N > 0 shapes.
        """
        if len(features) > EXACT and isinstance(features, StoredRoots):
            return place_collection(features, self.neighbours)
        return self.space(cast("NDArray[np.float32]", features)).placed

    def space(
        self, features: NDArray[np.float32], placed: Placed | None = None, candidates: Candidates | None = None
    ) -> Space:
        """Return an object that compares shapes by features adapted to the collection of shapes with ``features``.

        If the collection is empty, it compares shapes by their own features.
        """
        if candidates is not None and placed is not None:
            return cast("Space", MappedSpace(AdaptedRows(features, placed), self.neighbours, candidates))
        return AdaptedSpace(features, self.neighbours, placed) if len(features) else FeatureSpace(features)


class LightFieldComparison(FeatureComparison):
    """Compares shapes by their light field descriptors: the smallest distance over all alignments of two shapes."""

    @property
    def divisible(self) -> bool:
        """Always False: two shapes are aligned with each other."""
        return False

    def space(
        self,
        features: NDArray[np.float32],
        placed: Placed | None = None,  # noqa: ARG002  # an index caches adapted features only
        candidates: Candidates | None = None,  # noqa: ARG002  # the features are compared as they are
    ) -> LightFieldSpace:
        """Return an object that compares two shapes by the smallest distance of their light fields."""
        return LightFieldSpace(features)


@dataclass(frozen=True, slots=True)
class JoinedComparison:
    """Compares shapes by the feature of a network and an engineered descriptor, both with equal weight.

    Attributes:
        network: Comparison of shapes by the feature of the network.
        descriptor: Name of the descriptor, which is compared by the cosine.
    """

    network: ShapeComparison
    descriptor: DescriptorName

    @property
    def feature(self) -> FeatureName:
        """Name of the feature of the network: ``penultimate`` or ``metric``."""
        return self.network.feature

    @property
    def adapts(self) -> bool:
        """Whether the similarity by the network depends on the other shapes of the collection."""
        return self.network.adapts

    @property
    def divisible(self) -> bool:
        """Whether the similarity is the cosine of the joined vectors: unless the network adapts to the collection."""
        return not self.adapts and self.network.divisible

    @property
    def discriminant(self) -> bool:
        """Whether the features of the network are coordinates in a discriminant (LDA) space."""
        return self.network.discriminant

    def represent(self, output: Output) -> Feature:
        """Return the feature of the network and the descriptor as one vector: (D,) float32, scaled to unit length.

        The cosine of two such vectors is the mean of the cosine of the features and the cosine of the descriptors.
        """
        assert output.descriptor is not None
        joined: Feature = np.concatenate([self.network.represent(output), unit(output.descriptor)]) * HALF
        return joined

    def place(self, features: FeatureRows) -> Placed | None:
        """Return the adapted features of the network; None if it does not adapt them.

        Args:
            features: (N, D) float32, D joined features of each of N > 0 shapes.
        """
        return self.space(cast("NDArray[np.float32]", features)).placed

    def space(
        self,
        features: NDArray[np.float32],
        placed: Placed | None = None,
        candidates: Candidates | None = None,  # noqa: ARG002  # joined features are compared as they are, or all
    ) -> Space:
        """Return an object that compares shapes by the mean of two similarities: by the network, and by the descriptor.

        Args:
            features: (N, D) float32, D joined features of each of N shapes, computed by :meth:`represent`.
            placed: Adapted features of the network, cached in an index; None to compute them.
            candidates: Function that names the shapes most similar to a query; None to compare all.
        """
        if not (self.adapts and len(features)):
            return FeatureSpace(features)
        from shapecnn.descriptors import descriptor_size

        size = descriptor_size(self.descriptor)
        return JoinedSpace(self.network.space(features[:, :-size], placed), features[:, -size:])
