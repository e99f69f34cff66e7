"""Similarity of shapes, computed from their features: by the cosine, or by the alignment of light fields.

:mod:`shapecnn.models.adapted_space` adapts the similarity to a collection of shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.adaptation import Statistics
from shapecnn.shared.similarity import Similarity, cosines

Features = NDArray[np.float32]

HALF = np.float32(0.5**0.5)
"""Factor for two vectors of unit length that are joined to one: each then counts half in the cosine."""


class Placed(NamedTuple):
    """Features of a collection, adapted to it by :class:`shapecnn.models.adapted_space.AdaptedSpace`.

    An index caches them, because it takes long to find the neighbours of each shape.

    Attributes:
        gallery: (N, D) float32 of unit length, D adapted features of each of N shapes; None to compute them from
            ``neighbours``.
        distinct: (N,) bool, False for a shape that is a copy of an earlier shape.
        neighbours: (N, K) int32, the K shapes whose features are added to those of each shape, numbered without the
            copies; -1 for none. None if they are not known.
        statistics: Statistics of the collection; None if they are not stored.
    """

    gallery: Features | None
    distinct: NDArray[np.bool_]
    neighbours: NDArray[np.int32] | None = None
    statistics: Statistics | None = None


class Space(Protocol):
    """Interface for the similarity of queries and the N shapes of a collection.

    Each shape has D features. They are converted to S values, which :attr:`similarity` compares.
    """

    @property
    def similarity(self) -> Similarity:
        """Function from Q queries (Q, S) and N shapes (N, S), S values each, to similarities (Q, N) from -1 to 1."""

    @property
    def placed(self) -> Placed | None:
        """Features that are adapted to the collection, for an index to cache; None in a space without adaptation."""

    @property
    def rows(self) -> Features:
        """The N shapes of the collection, converted for comparison: (N, S) float32, S values each, of unit length."""

    def place(self, queries: Features) -> Features:
        """Convert the features of queries to the values that are compared with the collection.

        Args:
            queries: (Q, D) float32, D features of each of Q queries, of any length.

        Returns:
            (Q, S) float32, S values of each query.
        """


class FeatureSpace:
    """Similarity as the cosine of the features of two shapes, which are not adapted to a collection.

    Args:
        features: (N, D) float32 of unit length, D features of each of N shapes of the collection.
    """

    similarity: Similarity = staticmethod(cosines)
    placed: None = None

    def __init__(self, features: Features) -> None:
        self.gallery = features

    @property
    def rows(self) -> Features:
        """Features of the collection before any adaptation: (N, D) float32, D features of each of N shapes."""
        return self.gallery

    def place(self, queries: Features) -> Features:
        """Return the features of queries unchanged: (Q, D), D features of each of Q queries."""
        return queries


class LightFieldSpace(FeatureSpace):
    """Similarity of light field descriptors, 1 / (1 + d / 5000) for the smallest distance d over all alignments.

    Args:
        features: (N, 4501) float32 of unit length, the descriptors of N shapes of the collection, in the form of
            :func:`shapecnn.descriptors.light_field.to_row`.
    """

    @staticmethod
    def similarity(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
        """Return the similarities (Q, N) of Q queries (Q, 4501) and N shapes (N, 4501), above 0 and up to 1."""
        from shapecnn.descriptors.light_field import light_field_similarity

        return light_field_similarity(queries, gallery)


class JoinedSpace:
    """Similarity as the mean of the similarity by a network and the cosine of engineered descriptors.

    Args:
        network: Similarity by the features of the network, computed from inner products.
        descriptors: (N, E) float32 of length :data:`HALF`, the descriptors of N shapes, E values each.
    """

    def __init__(self, network: Space, descriptors: Features) -> None:
        self._network, self._descriptors = network, descriptors

    @property
    def placed(self) -> Placed | None:
        """Features of the network that are adapted to the collection, for an index to cache."""
        return self._network.placed

    @property
    def rows(self) -> Features:
        """The N shapes: (N, S) float32 of unit length, first the values of the network, then E of the descriptor."""
        return np.concatenate([self._network.rows * HALF, self._descriptors], axis=1)

    def place(self, queries: Features) -> Features:
        """Convert the joined features of queries to the values that are compared with the collection.

        Args:
            queries: (Q, D) float32 of unit length, D joined features of each of Q queries.

        Returns:
            (Q, S) float32 of unit length, S values of each query.
        """
        size = self._descriptors.shape[1]
        return np.concatenate([self._network.place(queries[:, :-size]) * HALF, queries[:, -size:]], axis=1)

    def similarity(self, queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
        """Return the similarities (Q, N) of Q queries (Q, S) and N shapes (N, S), from -1 to 1."""
        size = self._descriptors.shape[1]
        # Both factors of each inner product are halved vectors, so queries of twice the length make it whole.
        network = self._network.similarity(2 * queries[:, :-size], gallery[:, :-size])
        descriptor = cosines(2 * queries[:, -size:], gallery[:, -size:])
        mean: NDArray[Any] = (network + descriptor) / 2
        return mean
