"""The space in which shapes are compared: that of a network's features, or one that a collection makes of them without
a label."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]

VERSION = 1  # of AdaptedSpace: places in another one are made anew
PRIOR = 10  # shapes: as much is the guess worth that channels have mean 0 and one variance, for collections of a few
SHARE = 10  # shapes for each neighbour at least: all of a small collection would be everyone's neighbours
_COPY = 1 - 1e-5  # cosine from which on a shape is the same one, which has nothing to add
_BLOCK = 1 << 21  # cosines held at a time


class Space(Protocol):
    """A collection placed once, and queries placed among it; cosines are dot products then."""

    @property
    def gallery(self) -> Features:
        """(N, D) float32, the shapes of the collection."""

    def place(self, queries: Features) -> Features:
        """(Q, D) features of any length, as the network gives them → (Q, D) float32."""


class FeatureSpace:
    """Features as they are."""

    def __init__(self, features: Features) -> None:
        self.gallery = features

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
    human annotation", 2018). Copies count once, so that a query that is in the collection comes to lie where it is
    there. A collection has no more neighbours than one for each :data:`SHARE` shapes.

    Everything is a function of the features: the same whenever, and in whichever order of updates, they came.
    """

    def __init__(self, features: Features, neighbours: int, gallery: Features | None = None) -> None:
        """features: (N, D) of any length.  gallery: what came of them before, as it takes time with the square of N."""
        rooted = _rooted(features)
        count = len(rooted)
        self._mean = (rooted.sum(axis=0, dtype=np.float64) / (count + PRIOR)).astype(np.float32)
        rooted -= self._mean
        variance = np.einsum("nd,nd->d", rooted, rooted, dtype=np.float64) / max(count, 1)
        variance = (count * variance + PRIOR * variance.mean()) / (count + PRIOR) if variance.size else variance
        self._scale = np.where(variance > 0, variance, 1).astype(np.float32) ** -0.5
        rooted *= self._scale
        self._neighbours = min(neighbours, count // SHARE)
        self._known = _unit(rooted)
        self.gallery = self._moved(self._known) if gallery is None else gallery

    def place(self, queries: Features) -> Features:
        """(Q, D) of any length → (Q, D) of unit length."""
        return self._moved(_unit((_rooted(queries) - self._mean) * self._scale))

    def _moved(self, items: Features) -> Features:
        """(Q, D) of unit length, each towards its neighbours."""
        if not self._neighbours:
            return items
        moved = np.empty_like(items)
        step = max(1, _BLOCK // len(self._known))
        for start in range(0, len(items), step):
            block = items[start : start + step]
            cosines = block @ self._known.T
            cosines[cosines > _COPY] = -1
            nearest = np.sort(np.argpartition(cosines, -self._neighbours, axis=1)[:, -self._neighbours :], axis=1)
            sums = moved[start : start + step]
            sums[:] = block
            for rows in nearest.T:  # in order of rows, and weighed to the last bit alike in every block: copies tie
                weights = np.einsum("qd,qd->q", block, self._known[rows], dtype=np.float64)
                weights = np.where(weights > _COPY, 0, np.maximum(weights, 0) ** 2)
                sums += weights.astype(np.float32)[:, None] * self._known[rows]
        return _unit(moved)


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
