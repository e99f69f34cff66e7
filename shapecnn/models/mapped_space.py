"""The adapted space of a collection that is not held in memory: rows are computed when they are compared.

:class:`shapecnn.models.adapted_space.AdaptedSpace` says what the space is. Here, the features stay where they are, as a
rule in a mapped file, and an inverted file over the adapted features (:mod:`shapecnn.search.inverted`) names the shapes
that a query is compared with: by its own features, shapes that may be its neighbours; by its adapted features, shapes
that may be the answer. Both are compared exactly.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.adaptation import (
    LIMIT,
    SHARE,
    Roots,
    Statistics,
    StoredRoots,
    bounded_similarity,
    joined,
    moved,
    rooted,
)
from shapecnn.models.large_space import find_copies, find_nearest
from shapecnn.models.space import Features, Placed
from shapecnn.shared.lists import FeatureRows
from shapecnn.shared.similarity import Similarity, most_similar, scale_to_unit

Rows = NDArray[np.int64]

_RANKED = 200  # shapes among which the neighbours of a query are searched
_BLOCK = 1024  # rows computed at a time


class Candidates(Protocol):
    """Function that names the shapes of a collection that are most similar to a query, nearly always."""

    def __call__(self, query: Features, *, ranked: int) -> Rows:
        """Return ``ranked`` rows, or all, in ascending order, for a vector (D,) in the space of adapted features."""


class Originals:
    """Square roots of the features of the M shapes that are no copies, computed for those that are asked for.

    Args:
        roots: Square roots of the features of all N shapes.
        distinct: (N,) bool, False for a shape that is a copy of an earlier shape.
    """

    def __init__(self, roots: Roots, distinct: NDArray[np.bool_]) -> None:
        self._roots, self.rows = roots, np.flatnonzero(distinct)

    def __len__(self) -> int:
        """Return M."""
        return len(self.rows)

    def __getitem__(self, numbers: Any) -> Features:
        """Return the square roots (m, D) of some of the shapes, as an array is indexed."""
        return self._roots[self.rows[numbers]]


class Standardized:
    """Standardized square roots of the features of shapes, computed for those that are asked for.

    Args:
        roots: The square roots.
        statistics: Statistics of the collection.
    """

    def __init__(self, roots: FeatureRows, statistics: Statistics) -> None:
        self._roots, self._statistics = roots, statistics

    def __len__(self) -> int:
        """Return the number of shapes."""
        return len(self._roots)

    def __getitem__(self, rows: Any) -> Features:
        """Return the vectors (n, D) of some of the shapes, of unit length, as an array is indexed."""
        return self._statistics.standardize(self._roots[rows])


class AdaptedRows:
    """Adapted features of a collection, computed for the shapes that are asked for.

    Args:
        features: (N, D) float32, D features of each of N shapes, of any length.
        placed: Adapted features of the same shapes, or their neighbours; and the statistics, which are computed if they
            are None.
    """

    def __init__(self, features: FeatureRows, placed: Placed) -> None:
        self.roots = Roots(features)
        self.originals = Originals(self.roots, placed.distinct)
        self.statistics = placed.statistics or Statistics.of(self.originals)
        self.placed = placed._replace(statistics=self.statistics)
        self._items, self.known = (Standardized(each, self.statistics) for each in (self.roots, self.originals))

    def __len__(self) -> int:
        """Return N."""
        return len(self.roots)

    def __getitem__(self, rows: Any) -> Features:
        """Return the adapted features (n, D) of some of the shapes, as an array is indexed."""
        if self.placed.gallery is not None:
            gallery: Features = self.placed.gallery[rows]
            return gallery
        rows, neighbours = np.arange(len(self))[rows], self.placed.neighbours
        assert neighbours is not None
        places = np.empty((len(rows), len(self.statistics.mean)), np.float32)
        for start in range(0, len(rows), _BLOCK):
            part = rows[start : start + _BLOCK]
            places[start : start + _BLOCK] = moved(self._items[part], neighbours[part], self.known.__getitem__)
        return places


class JoinedRows:
    """What :func:`bounded_similarity` compares, computed for the shapes that are asked for.

    Args:
        adapted: Adapted features of N shapes.
    """

    def __init__(self, adapted: AdaptedRows) -> None:
        self._adapted = adapted

    def __len__(self) -> int:
        """Return N."""
        return len(self._adapted)

    def __getitem__(self, rows: Any) -> Features:
        """Return the values (n, 2 D) of some of the shapes, as an array is indexed."""
        return joined(self._adapted[rows], scale_to_unit(self._adapted.roots[rows]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Compute the values of all shapes: (N, 2 D) float32."""
        whole = np.empty((len(self), 2 * len(self._adapted.statistics.mean)), np.float32)
        for start in range(0, len(whole), _BLOCK):
            whole[start : start + _BLOCK] = self[start : start + _BLOCK]
        return whole.astype(dtype or np.float32, copy=False)


class MappedSpace:
    """The space of :class:`shapecnn.models.adapted_space.AdaptedSpace`, without arrays of the size of the collection.

    Args:
        adapted: Adapted features of the collection.
        neighbours: Largest number of similar shapes that are added to each shape.
        candidates: Function that names the shapes most similar to a query.
    """

    similarity: Similarity = staticmethod(bounded_similarity)

    def __init__(self, adapted: AdaptedRows, neighbours: int, candidates: Candidates) -> None:
        self._adapted, self._candidates = adapted, candidates
        self._neighbours = min(neighbours, len(adapted.originals) // SHARE)

    @property
    def placed(self) -> Placed:
        """Adapted features of the collection, or the neighbours from which they are computed, with the statistics."""
        return self._adapted.placed

    @property
    def rows(self) -> JoinedRows:
        """Each shape's D adapted features, then the square roots of its D features: (N, 2 D) float32 of unit length."""
        return JoinedRows(self._adapted)

    def place(self, queries: Features) -> Features:
        """Return the adapted features of queries, followed by the square roots of their features.

        Args:
            queries: (Q, D) float32, D features of each of Q queries, of any length.

        Returns:
            (Q, 2 D) float32 of unit length: D adapted features, then D square roots.
        """
        roots = rooted(queries)
        alone = scale_to_unit(roots.copy())
        items = self._adapted.statistics.standardize(roots)
        nearest = np.stack([self._nearest(*each) for each in zip(items, alone, strict=True)])
        return joined(moved(items, nearest, self._adapted.known.__getitem__), alone)

    def _nearest(self, item: Features, alone: Features) -> NDArray[np.int32]:
        """Find the K neighbours of a query in the collection, never the shape that it is a copy of.

        Args:
            item: (D,), standardized square roots of the features of the query, of unit length.
            alone: (D,), the square roots alone, of unit length.

        Returns:
            (K,), numbers of the neighbours among the shapes that are no copies, in ascending order.
        """
        if not self._neighbours:
            return np.empty(0, np.int32)
        numbers, ranked = np.empty(0, np.int64), _RANKED
        while len(numbers) <= self._neighbours:  # a crowd of copies names one neighbour only
            found = self._candidates(item, ranked=ranked)
            found = found[self._adapted.placed.distinct[found]]
            numbers, ranked = np.searchsorted(self._adapted.originals.rows, found), 4 * ranked
        roots = self._adapted.originals[numbers]
        differences = scale_to_unit(roots.copy()).astype(np.float64) - alone
        copied = np.flatnonzero(np.einsum("nd,nd->n", differences, differences) <= LIMIT)
        known = np.delete(self._adapted.statistics.standardize(roots), copied[:1], axis=0)
        nearest = most_similar((known @ item)[None], item[None], known, self._neighbours)[0]
        return np.asarray(np.delete(numbers, copied[:1])[nearest], np.int32)


def place_collection(features: StoredRoots, neighbours: int) -> Placed:
    """Find the copies and the neighbours in a large collection, without arrays of features of its size.

    They are those of :class:`shapecnn.models.adapted_space.AdaptedSpace` for more shapes than it compares exactly.

    Args:
        features: Features of the collection.
        neighbours: Largest number of similar shapes that are added to each shape.

    Returns:
        Neighbours and statistics, from which adapted features are computed.
    """
    packed, roots = features.packed, Roots(cast("FeatureRows", features))
    scales = np.empty(len(packed), np.float32)
    for start in range(0, len(packed), _BLOCK):
        lengths = np.linalg.norm(packed[start : start + _BLOCK].astype(np.float64), axis=1)
        scales[start : start + _BLOCK] = 1 / np.where(lengths > 0, lengths, 1)
    first = find_copies(packed, LIMIT, scales)
    distinct = first == np.arange(len(first))
    originals = Originals(roots, distinct)
    statistics = Statistics.of(originals)
    nearest = np.empty((len(first), 0), np.int32)
    if count := min(neighbours, len(originals) // SHARE):
        items, known = (Standardized(each, statistics) for each in (roots, originals))
        nearest = find_nearest(items, known, (np.cumsum(distinct) - 1)[first], count).astype(np.int32)
    return Placed(None, distinct, nearest, statistics)
