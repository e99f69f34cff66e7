"""The space in which shapes are compared: that of a network's features, or one that a collection makes of them without
a label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.shared.similarity import Similarity, cosines

Features = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floating = TypeVar("Floating", np.float32, np.float64)

VERSION = 3  # of AdaptedSpace: places in another one are made anew
PRIOR = 10  # shapes: as much is the guess worth that channels have mean 0 and one variance, for collections of a few
SHARE = 10  # shapes for each neighbour at least: all of a small collection would be everyone's neighbours
FARTHER = 5  # times as far as the network alone sees two shapes is the most that a collection can put them
COPY = 1e-3  # 1 - cosine of square roots, up to which two meshes are one shape: the same mesh in another file format
_LIMIT = 2 * COPY  # of the squared distance of vectors of unit length
_HEAD = 64  # numbers of which most rows are told apart
_BLOCK = 1 << 21  # cosines held at a time


def bounded_similarity(queries: NDArray[Floating], gallery: NDArray[Floating]) -> NDArray[Floating]:
    """The cosine of two places, kept within what the network alone sees of the two shapes.

    With d the distance (1 - cosine) of the square roots of their features, the similarity is at least 1 - 5 d and at
    most 1 - d. So it is 1 for a copy, and a shape less than a fifth as far as another by d is never ranked below it,
    whatever else the collection holds.

    Args:
        queries: (Q, 2 D), rows of an :class:`AdaptedSpace`.
        gallery: (N, 2 D), the same.

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
    """What takes time with the square of a collection to make of it, and is worth keeping.

    gallery: (N, D) float32 of unit length, the places.  distinct: (N,), which shapes are copies of none before them.
    """

    gallery: Features
    distinct: Flags


class Space(Protocol):
    """A collection placed once, and queries placed among it."""

    @property
    def similarity(self) -> Similarity:
        """How similar two sets of :meth:`rows` are, (Q, S) and (N, S) → (Q, N), from -1 to 1."""

    @property
    def placed(self) -> Placed | None:
        """What is worth keeping; None where nothing takes long to make."""

    @property
    def rows(self) -> Features:
        """(N, S) float32 of unit length, the shapes of the collection, to be compared."""

    def place(self, queries: Features) -> Features:
        """(Q, D) features of any length, as the network gives them → (Q, S) float32, to be compared with the rows."""


class FeatureSpace:
    """Features as they are, compared by their cosines."""

    similarity: Similarity = staticmethod(cosines)
    placed: None = None

    def __init__(self, features: Features) -> None:
        self.gallery = features

    @property
    def rows(self) -> Features:
        """The same."""
        return self.gallery

    def place(self, queries: Features) -> Features:
        """The same."""
        return queries


class AdaptedSpace:
    """Features made comparable by what the collection itself shows, no label asked.

    The square root of each number (its sign kept), so that a few strong channels do not decide; each channel with mean
    0 and variance 1 over the collection, so that what all its shapes have in common does not either. Then each shape is
    moved towards the ``neighbours`` it is most similar to, weighted by the square of the cosine: the collection as in
    database-side augmentation, a query as in query expansion (Arandjelović and Zisserman, "Three things everyone should
    know to improve object retrieval", CVPR 2012; Radenović, Tolias and Chum, "Fine-tuning CNN image retrieval with no
    human annotation", 2018). A collection has no more neighbours than one for each :data:`SHARE` shapes.

    Two rules keep a collection from deciding what it cannot know:

    - Copies count once, in means, variances and neighbours: shapes up to :data:`COPY` apart are one, the first of them.
      More copies of any shape change nothing.
    - The distance ``1 - similarity`` of two shapes is never less than that of their square roots, which is the same in
      every collection, and never more than :data:`FARTHER` times that: see :func:`bounded_similarity`.

    Everything is a function of the features: the same whenever, and in whichever order of updates, they came.
    """

    similarity: Similarity = staticmethod(bounded_similarity)

    def __init__(self, features: Features, neighbours: int, placed: Placed | None = None) -> None:
        """Place a collection.

        Args:
            features: (N, D), N > 0, rows of any length.
            neighbours: how many each shape is moved towards.
            placed: what came of the same features before; with it the time is linear in N.
        """
        rooted = _rooted(features)
        self._alone = _unit(rooted.copy())
        first = _distinct(self._alone) if placed is None else placed.distinct
        self._distinct, distinct, count = self._alone[first], rooted[first], int(np.count_nonzero(first))
        self._mean = (distinct.sum(axis=0, dtype=np.float64) / (count + PRIOR)).astype(np.float32)
        distinct -= self._mean
        variance = np.einsum("nd,nd->d", distinct, distinct, dtype=np.float64) / max(count, 1)
        variance = (count * variance + PRIOR * variance.mean()) / (count + PRIOR) if variance.size else variance
        self._scale: Features = np.asarray(np.where(variance > 0, variance, 1) ** -0.5, np.float32)
        distinct *= self._scale
        self._known = _unit(distinct)
        self._neighbours = min(neighbours, count // SHARE)
        self.placed = Placed(self._moved(rooted, self._alone), first) if placed is None else placed

    @property
    def gallery(self) -> Features:
        """(N, D) of unit length: the places."""
        return self.placed.gallery

    @property
    def rows(self) -> Features:
        """(N, 2 D) of unit length: the places, and what the network alone sees."""
        return _joined(self.gallery, self._alone)

    def place(self, queries: Features) -> Features:
        """(Q, D) of any length → (Q, 2 D) of unit length."""
        rooted = _rooted(queries)
        alone = _unit(rooted.copy())
        return _joined(self._moved(rooted, alone), alone)

    def _moved(self, rooted: Features, alone: Features) -> Features:
        """Square roots, (Q, D), and the same of unit length → (Q, D) of unit length, standardized and each moved
        towards its neighbours, of which none is its copy."""
        items = _unit((rooted - self._mean) * self._scale)
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
            for rows in nearest.T:  # in order of rows, and weighed to the last bit alike in every block: copies tie
                weights = np.einsum("qd,qd->q", block, self._known[rows], dtype=np.float64)
                weights = np.where(rows == itself, 0, np.maximum(weights, 0) ** 2)
                sums += weights.astype(np.float32)[:, None] * self._known[rows]
        return _unit(moved)


def _heads(rows: Features) -> Features:
    """(N, D) → (N, H): sums of a few numbers each, so scaled that no two rows come to lie farther apart."""
    starts = np.unique(np.linspace(0, rows.shape[1], _HEAD, endpoint=False, dtype=np.int64))
    sizes = np.diff(np.append(starts, rows.shape[1])).astype(np.float32)
    return np.asarray(np.add.reduceat(rows, starts, axis=1) / np.sqrt(sizes), np.float32)


def _distinct(rows: Features) -> Flags:
    """(N,): which of the rows (N, D), of unit length or zero, are copies of none before them."""
    heads, first = _heads(rows), np.arange(len(rows))
    for start, near in _near(heads, heads):
        _find(near, rows[start : start + len(near)], rows, start, first)
    distinct: Flags = first == np.arange(len(rows))
    return distinct


def _copied(rows: Features, known: Features) -> Rows:
    """(Q,): the first of the known rows, all distinct, of which each of the rows is a copy; -1 where there is none."""
    found = np.full(len(rows), -1)
    for start, near in _near(_heads(rows), _heads(known)):
        own = np.concatenate([np.arange(len(known)), found[start : start + len(near)]])
        _find(near, rows[start : start + len(near)], known, len(known), own)
        found[start : start + len(near)] = own[len(known) :]
    return found


def _near(heads: Features, known: Features) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Which rows may be copies: blocks (B, N) with where they start."""
    lengths = np.einsum("nd,nd->n", known, known)
    step = max(1, _BLOCK // max(len(known), 1))
    for start in range(0, len(heads), step):
        block = heads[start : start + step]
        squares = np.einsum("nd,nd->n", block, block)[:, None] + lengths - 2 * (block @ known.T)
        yield start, squares <= _LIMIT + 1e-5  # and the noise of float32


@numba.njit(cache=True)
def _find(near: NDArray[np.bool_], rows: Features, known: Features, start: int, first: Rows) -> None:
    """Write to first[start + row] the first known row before it that is a first itself and that it is a copy of."""
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
    """Square roots of the numbers of rows scaled to unit length, with their signs: a copy."""
    rows = _unit(features.astype(np.float32))
    rooted: Features = np.copysign(np.sqrt(np.abs(rows)), rows)
    return rooted


def _unit(rows: Features) -> Features:
    """Rows divided in place by their lengths; zeros stay zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))[:, None]
    rows /= np.where(lengths > 0, lengths, 1).astype(np.float32)
    return rows
