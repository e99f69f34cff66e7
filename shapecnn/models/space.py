"""Spaces in which shapes are compared: the features of a network as they are, or adapted to a collection.

The adapted space needs no labels: it is for networks that were never trained on shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.shared.similarity import Similarity, cosines, scale_to_unit

Features = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floating = TypeVar("Floating", np.float32, np.float64)

VERSION = 3  # of AdaptedSpace; places that an index stored with another version are computed again
PRIOR = 10  # weight, in shapes, of the prior that channels have mean 0 and equal variance; it matters for few shapes
SHARE = 10  # shapes per neighbour, at least; else all shapes of a small collection would be neighbours of each other
FARTHER = 5  # largest factor by which a collection can increase the distance that the network alone gives
COPY = 1e-3  # largest 1 - cosine (of square roots) of copies, such as the same mesh in another file format
_LIMIT = 2 * COPY  # the same as a squared distance of vectors of unit length
_HEAD = 64  # sums per row, enough to distinguish most rows
_BLOCK = 1 << 21  # cosines in memory at a time


def bounded_similarity(queries: NDArray[Floating], gallery: NDArray[Floating]) -> NDArray[Floating]:
    """Return the cosines of places, bounded by the distance that the network alone gives.

    With d the distance (1 - cosine) of the square roots of two features, the similarity is at least 1 - 5 d and at
    most 1 - d. So it is 1 for a copy, and a shape less than a fifth as far as another by d never ranks below it,
    whatever else the collection contains.

    Args:
        queries: (Q, 2 D), rows of an :class:`AdaptedSpace`.
        gallery: (N, 2 D), rows of the same space.

    Returns:
        (Q, N), from -1 to 1.
    """
    size = queries.shape[1] // 2
    distance = 1 - 2 * (queries[:, :size] @ gallery[:, :size].T)
    alone = np.maximum(1 - 2 * (queries[:, size:] @ gallery[:, size:].T), 0)
    np.clip(distance, alone, FARTHER * alone, out=distance)
    similarity: NDArray[Floating] = np.maximum(1 - distance, -1)
    return similarity


class Placed(NamedTuple):
    """Part of a space that an index stores, because computing it takes time quadratic in the number of shapes.

    Attributes:
        gallery: (N, D) float32 of unit length, places of the shapes.
        distinct: (N,) bool, False for a shape that is a copy of an earlier one.
    """

    gallery: Features
    distinct: Flags


class Space(Protocol):
    """Space that compares the shapes of a collection with each other and with queries."""

    @property
    def similarity(self) -> Similarity:
        """Similarity of two sets of :meth:`rows`, (Q, S) and (N, S) → (Q, N), from -1 to 1."""

    @property
    def placed(self) -> Placed | None:
        """Part that an index stores; None if it is quick to compute."""

    @property
    def rows(self) -> Features:
        """Shapes of the collection as rows to compare, (N, S) float32 of unit length."""

    def place(self, queries: Features) -> Features:
        """Return queries as rows to compare.

        Args:
            queries: (Q, D) float32 features of any length.

        Returns:
            (Q, S) float32.
        """


class FeatureSpace:
    """Space of the features themselves, compared by cosine.

    Args:
        features: (N, D) float32 of unit length.
    """

    similarity: Similarity = staticmethod(cosines)
    placed: None = None

    def __init__(self, features: Features) -> None:
        self.gallery = features

    @property
    def rows(self) -> Features:
        """Features of the collection, unchanged."""
        return self.gallery

    def place(self, queries: Features) -> Features:
        """Return the features of queries unchanged."""
        return queries


class AdaptedSpace:
    """Space adapted to a collection by the statistics of its features, without labels.

    Signed square roots keep a few strong channels from dominating. Each channel is standardized over the collection,
    which removes what all its shapes have in common. Then each shape moves towards its ``neighbours`` most similar
    shapes, weighted by the squared cosine: database-side augmentation for the collection, query expansion for a query
    (Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012; Radenović,
    Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018). There is at most one neighbour
    for each :data:`SHARE` shapes of the collection.

    Two rules limit the influence of the collection:

    - Copies count once in means, variances and neighbours: of shapes up to :data:`COPY` apart only the first counts.
      More copies of a shape change nothing.
    - The distance ``1 - similarity`` of two shapes is at least the distance of their square roots, which does not
      depend on the collection, and at most :data:`FARTHER` times as large: see :func:`bounded_similarity`.

    The space depends on the features alone, not on when or in which order they were added.
    """

    similarity: Similarity = staticmethod(bounded_similarity)

    def __init__(self, features: Features, neighbours: int, placed: Placed | None = None) -> None:
        """Adapt the space to a collection.

        Args:
            features: (N, D) float32, N > 0, rows of any length.
            neighbours: Number of neighbours that each shape moves towards.
            placed: Stored part of the space of the same features; with it the time is linear in N.
        """
        rooted = _rooted(features)
        self._alone = scale_to_unit(rooted.copy())
        first = _distinct(self._alone) if placed is None else placed.distinct
        self._distinct, distinct, count = self._alone[first], rooted[first], int(np.count_nonzero(first))
        self._mean = (distinct.sum(axis=0, dtype=np.float64) / (count + PRIOR)).astype(np.float32)
        distinct -= self._mean
        variance = np.einsum("nd,nd->d", distinct, distinct, dtype=np.float64) / max(count, 1)
        variance = (count * variance + PRIOR * variance.mean()) / (count + PRIOR) if variance.size else variance
        self._scale: Features = np.asarray(np.where(variance > 0, variance, 1) ** -0.5, np.float32)
        distinct *= self._scale
        self._known = scale_to_unit(distinct)
        self._neighbours = min(neighbours, count // SHARE)
        self.placed = Placed(self._moved(rooted, self._alone), first) if placed is None else placed

    @property
    def gallery(self) -> Features:
        """Places of the shapes, (N, D) float32 of unit length."""
        return self.placed.gallery

    @property
    def rows(self) -> Features:
        """Places and square roots of the shapes side by side, (N, 2 D) float32 of unit length."""
        return _joined(self.gallery, self._alone)

    def place(self, queries: Features) -> Features:
        """Return places and square roots of queries side by side.

        Args:
            queries: (Q, D) float32 features of any length.

        Returns:
            (Q, 2 D) float32 of unit length.
        """
        rooted = _rooted(queries)
        alone = scale_to_unit(rooted.copy())
        return _joined(self._moved(rooted, alone), alone)

    def _moved(self, rooted: Features, alone: Features) -> Features:
        """Return places: rows standardized and moved towards their neighbours, copies excepted.

        Args:
            rooted: (Q, D), square roots of features.
            alone: (Q, D), the same rows of unit length.

        Returns:
            (Q, D) of unit length.
        """
        items = scale_to_unit((rooted - self._mean) * self._scale)
        if not self._neighbours:
            return items
        own = _copied(alone, self._distinct)
        moved: Features = np.empty_like(items)
        step = max(1, _BLOCK // len(self._known))
        for start in range(0, len(items), step):
            block, itself = items[start : start + step], own[start : start + step]
            cosines = block @ self._known.T
            copies = np.flatnonzero(itself >= 0)
            cosines[copies, itself[copies]] = -1
            nearest = np.sort(np.argpartition(cosines, -self._neighbours, axis=1)[:, -self._neighbours :], axis=1)
            sums = moved[start : start + step]
            sums[:] = block
            for rows in nearest.T:  # in order of rows, with sums that do not depend on the block: copies tie
                weights = np.einsum("qd,qd->q", block, self._known[rows], dtype=np.float64)
                weights = np.where(rows == itself, 0, np.maximum(weights, 0) ** 2)
                sums += weights.astype(np.float32)[:, None] * self._known[rows]
        return scale_to_unit(moved)


def _heads(rows: Features) -> Features:
    """Return sums of a few numbers of each row, (N, D) → (N, H), scaled so that no distance of rows increases."""
    starts = np.unique(np.linspace(0, rows.shape[1], _HEAD, endpoint=False, dtype=np.int64))
    sizes = np.diff(np.append(starts, rows.shape[1])).astype(np.float32)
    return np.asarray(np.add.reduceat(rows, starts, axis=1) / np.sqrt(sizes), np.float32)


def _distinct(rows: Features) -> Flags:
    """Return (N,) bool: False for each row (N, D), of unit length or zero, that is a copy of an earlier one."""
    heads, first = _heads(rows), np.arange(len(rows))
    for start, near in _near(heads, heads):
        _find_copies(near, rows[start : start + len(near)], rows, start, first)
    distinct: Flags = first == np.arange(len(rows))
    return distinct


def _copied(rows: Features, known: Features) -> Rows:
    """Return (Q,) int64: the first of the distinct rows ``known`` that each row copies; -1 where there is none."""
    originals = np.full(len(rows), -1)
    for start, near in _near(_heads(rows), _heads(known)):
        own = np.concatenate([np.arange(len(known)), originals[start : start + len(near)]])
        _find_copies(near, rows[start : start + len(near)], known, len(known), own)
        originals[start : start + len(near)] = own[len(known) :]
    return originals


def _near(heads: Features, known: Features) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the start of each block of rows, and (B, N) bool: True where a row may be a copy of a known row."""
    lengths = np.einsum("nd,nd->n", known, known)
    step = max(1, _BLOCK // max(len(known), 1))
    for start in range(0, len(heads), step):
        block = heads[start : start + step]
        squares = np.einsum("nd,nd->n", block, block)[:, None] + lengths - 2 * (block @ known.T)
        yield start, squares <= _LIMIT + 1e-5  # plus the noise of float32


@numba.njit(cache=True)
def _find_copies(near: NDArray[np.bool_], rows: Features, known: Features, start: int, first: Rows) -> None:
    """Set first[start + row] to the first earlier known row that the row copies and that copies no other row."""
    for row in range(len(rows)):
        for other in range(min(start + row, len(known))):
            if near[row, other] and first[other] == other:
                distance = 0.0
                for place in range(rows.shape[1]):
                    distance += (rows[row, place] - known[other, place]) ** 2
                if distance <= _LIMIT:
                    first[start + row] = other
                    break


def _joined(places: Features, alone: Features) -> Features:
    joined: Features = np.concatenate([places, alone], axis=1) * np.float32(0.5**0.5)
    return joined


def _rooted(features: Features) -> Features:
    """Return signed square roots of the numbers of rows that were scaled to unit length, as a new array."""
    rows = scale_to_unit(features.astype(np.float32))
    rooted: Features = np.copysign(np.sqrt(np.abs(rows)), rows)
    return rooted
