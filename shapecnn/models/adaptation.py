"""The steps by which features are adapted to a collection, for spaces in memory and for mapped ones.

:mod:`adapted_space` says what the steps are for, :mod:`mapped_space` takes them for the rows that a search reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.lists import FeatureRows
from shapecnn.shared.similarity import scale_to_unit

Features = NDArray[np.float32]
Floating = TypeVar("Floating", np.float32, np.float64)

PRIOR = 10  # weight of the prior (mean 0, equal variance of all features), as a number of shapes
SHARE = 10  # fewest shapes of a collection per neighbour; otherwise all shapes of a small one would be neighbours
FARTHER = 5  # largest factor by which adaptation can increase the unadapted distance of two shapes
COPY = 1e-3  # largest unadapted distance of copies of a shape, such as one mesh in two file formats
LIMIT = 2 * COPY  # the corresponding squared Euclidean distance of unit vectors
_ROWS = 1024  # shapes processed at a time, to limit memory


def bounded_similarity(queries: NDArray[Floating], gallery: NDArray[Floating]) -> NDArray[Floating]:
    """Return the similarity of shapes: the cosine of their adapted features, limited by their unadapted distance.

    Let d be the unadapted distance of a query and a shape: 1 - cosine of the square roots of their features. The
    similarity is limited to the range from 1 - 5 d to 1 - d, so exact copies have similarity 1. If d of one shape is
    less than a fifth of d of another shape, the first shape never ranks below the other, whatever the collection.

    Args:
        queries: (Q, 2 D), values of Q queries: D adapted features, then the square roots of the D original features;
            see :func:`joined`.
        gallery: (N, 2 D), the same values of N shapes.

    Returns:
        (Q, N), similarity of each query and each shape, from -1 to 1.
    """
    size = queries.shape[1] // 2
    distance = 1 - 2 * (queries[:, :size] @ gallery[:, :size].T)
    alone = np.maximum(1 - 2 * (queries[:, size:] @ gallery[:, size:].T), 0)
    np.clip(distance, alone, FARTHER * alone, out=distance)
    similarity: NDArray[Floating] = np.maximum(1 - distance, -1)
    return similarity


class Statistics(NamedTuple):
    """Mean and scale of each feature in a collection, with which features are standardized.

    Attributes:
        mean: (D,) float32, mean of the square roots of each feature, towards the prior.
        scale: (D,) float32, 1 / standard deviation, towards the prior.
    """

    mean: Features
    scale: Features

    @classmethod
    def of(cls, rows: FeatureRows) -> Self:
        """Compute the statistics of a collection.

        Args:
            rows: (N, D), square roots of the features of N > 0 shapes that are no copies, read block by block.
        """
        count = len(rows)
        parts = [slice(start, start + _ROWS) for start in range(0, count, _ROWS)]
        sums = np.sum([rows[part].sum(axis=0, dtype=np.float64) for part in parts], axis=0)
        mean = (sums / (count + PRIOR)).astype(np.float32)
        squares = np.zeros(len(mean))
        for part in parts:
            block = rows[part] - mean
            squares += np.einsum("nd,nd->d", block, block, dtype=np.float64)
        variance = squares / count
        variance = (count * variance + PRIOR * variance.mean()) / (count + PRIOR) if variance.size else variance
        return cls(mean, np.asarray(np.where(variance > 0, variance, 1) ** -0.5, np.float32))

    def standardize(self, rows: Features) -> Features:
        """Standardize the square roots of the features of Q shapes, (Q, D), and scale them to unit length, in place."""
        rows -= self.mean
        rows *= self.scale
        return scale_to_unit(rows)


def rooted(features: FeatureRows) -> Features:
    """Scale N feature vectors (N, D) of D values to unit length, and return the signed square roots as a new array."""
    roots: Features = np.empty((len(features), features[:1].shape[1]), np.float32)
    for start in range(0, len(roots), _ROWS):
        rows = scale_to_unit(np.array(features[start : start + _ROWS], np.float32))
        roots[start : start + _ROWS] = np.copysign(np.sqrt(np.abs(rows)), rows)
    return roots


@runtime_checkable
class StoredRoots(Protocol):
    """Features that are stored as numbers in proportion to their signed square roots.

    Attributes:
        packed: (N, D), these numbers, of any dtype.
    """

    packed: NDArray[np.int8]


class Roots:
    """Signed square roots of the features of N shapes, as of :func:`rooted`, computed for those that are asked for.

    Args:
        features: (N, D) float32, D features of each of N shapes, of any length.
    """

    def __init__(self, features: FeatureRows) -> None:
        self._features = features

    def __len__(self) -> int:
        """Return N."""
        return len(self._features)

    def __getitem__(self, rows: Any) -> Features:
        """Return the square roots (n, D) of some of the shapes, as an array is indexed."""
        if not isinstance(self._features, StoredRoots):
            return rooted(self._features[rows])
        roots: Features = self._features.packed[rows].astype(np.float32)  # four times as fast as to decode the features
        squares = roots * roots
        lengths = np.einsum("nd,nd->n", squares, squares, dtype=np.float64) ** 0.25
        roots /= np.where(lengths > 0, lengths, 1).astype(np.float32)[:, None]
        return roots


def moved(items: Features, nearest: NDArray[np.int32], known: Callable[[NDArray[np.int32]], Features]) -> Features:
    """Add the vectors of K similar shapes to the vectors of Q shapes.

    Args:
        items: (Q, D), standardized square roots of D features of each of Q shapes, of unit length.
        nearest: (Q, K), numbers of the similar shapes, in ascending order; -1 for none.
        known: Function that returns the standardized square roots of shapes by their numbers, of which -1 is one.

    Returns:
        (Q, D), adapted features of unit length.
    """
    places: Features = items.copy()
    for start in range(0, len(items), _ROWS):
        block, sums = items[start : start + _ROWS], places[start : start + _ROWS]
        for numbers in nearest[start : start + _ROWS].T:  # in the same order for all blocks: copies stay equal
            others = known(numbers)
            weights = np.einsum("qd,qd->q", block, others, dtype=np.float64)
            weights = np.where(numbers < 0, 0, np.maximum(weights, 0) ** 2)
            sums += weights.astype(np.float32)[:, None] * others
    return scale_to_unit(places) if nearest.shape[1] else places


def joined(places: Features, alone: Features) -> Features:
    """Join the D adapted features of Q shapes, (Q, D), and the square roots of their features: (Q, 2 D), unit length.

    Args:
        places: (Q, D) float32 of unit length, the adapted features.
        alone: (Q, D) float32 of unit length, the square roots.
    """
    values: Features = np.concatenate([places, alone], axis=1)
    values *= np.float32(0.5**0.5)
    return values
