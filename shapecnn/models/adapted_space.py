"""Similarity of shapes adapted to a collection by the statistics of its features, without labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.adaptation import LIMIT, SHARE, Statistics, bounded_similarity, joined, moved, rooted
from shapecnn.models.large_space import find_copies, find_nearest
from shapecnn.models.space import Features, Placed
from shapecnn.shared.jit import numba
from shapecnn.shared.similarity import Similarity, most_similar, scale_to_unit

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

VERSION = 3  # version of AdaptedSpace; adapted features that an index has cached with another version are recomputed
EXACT = 20_000  # most shapes of a collection whose neighbours are found by comparing all pairs
_HEAD = 64  # number of sums per feature vector in the fast test for copies, enough to distinguish most vectors
_BLOCK = 1 << 21  # largest number of cosines in memory at a time


class AdaptedSpace:
    """Similarity that is adapted to a collection of shapes by the statistics of their features, without labels.

    The adapted features of a shape are computed from its features in three steps:

    - Signed square roots reduce the influence of a few large features.
    - Each feature is standardized over the collection, which removes what all shapes of the collection have in common.
    - To the features of each shape, those of its most similar shapes in the collection (its neighbours) are added,
      weighted by the squared cosine. For the collection this is database-side augmentation, for a query it is query
      expansion (Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012;
      Radenović, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018). A shape has at most
      ``neighbours`` neighbours, and at most one for every 10 (``SHARE``) shapes of the collection.

    Two rules limit the influence of the collection. They use the unadapted distance of two shapes, which is 1 - cosine
    of the square roots of their features:

    - Shapes with an unadapted distance of at most 0.001 (``COPY``) are copies. Of several copies, only the first is
      used for means and variances and as a neighbour.
    - The distance ``1 - similarity`` of two shapes is at least their unadapted distance, and at most 5 times
      (``FARTHER``) as large; see :func:`bounded_similarity`.

    The similarities depend on the features only, not on the order in which shapes were added. In a collection of more
    than 20,000 (:data:`EXACT`) shapes, a few neighbours may not be the most similar: they are found by an inverted
    file.
    """

    similarity: Similarity = staticmethod(bounded_similarity)

    def __init__(self, features: Features, neighbours: int, placed: Placed | None = None) -> None:
        """Compute the statistics and the adapted features of a collection of shapes.

        Args:
            features: (N, D) float32, D features of each of N > 0 shapes, of any length.
            neighbours: Largest number of similar shapes that are added to each shape.
            placed: Cached adapted features of the same shapes, or their neighbours; None to compute both.
        """
        roots = rooted(features)
        self._alone = scale_to_unit(roots.copy())
        originals = None if placed is not None else _originals(self._alone)
        first: Flags = np.arange(len(roots)) == originals if placed is None else placed.distinct
        count = int(np.count_nonzero(first))
        whole = count == len(first)  # then nothing is copied: the features of a large collection are large
        self._distinct, distinct = (self._alone, roots) if whole else (self._alone[first], roots[first])
        copies = roots[~first]
        del roots
        self._statistics = Statistics.of(distinct)
        self._known = self._statistics.standardize(distinct)
        self._heads = _heads(self._distinct)  # of a query, they would take half of the time
        self._neighbours = min(neighbours, count // SHARE)
        self.gallery: Features  # adapted features of the collection: (N, D) of unit length
        if placed is not None and placed.gallery is not None:
            self.placed, self.gallery = placed, placed.gallery
            return
        items = self._known
        if not whole:
            items = np.empty_like(self._alone)
            items[first], items[~first] = self._known, self._statistics.standardize(copies)
        if placed is not None and placed.neighbours is not None:
            nearest = placed.neighbours
        elif originals is not None and count > EXACT and self._neighbours:
            own = (np.cumsum(first) - 1)[originals]
            nearest = find_nearest(items, self._known, own, self._neighbours).astype(np.int32)
        else:
            nearest = self._nearest(items, self._alone)
        self.gallery = moved(items, nearest, self._known.__getitem__)
        self.placed = Placed(self.gallery, first, nearest)

    @property
    def rows(self) -> Features:
        """Each shape's D adapted features, then the square roots of its D features: (N, 2 D) float32 of unit length."""
        return joined(self.gallery, self._alone)

    def place(self, queries: Features) -> Features:
        """Return the adapted features of queries, followed by the square roots of their features.

        Args:
            queries: (Q, D) float32, D features of each of Q queries, of any length.

        Returns:
            (Q, 2 D) float32 of unit length: D adapted features, then D square roots.
        """
        roots = rooted(queries)
        alone = scale_to_unit(roots.copy())
        items = self._statistics.standardize(roots)
        return joined(moved(items, self._nearest(items, alone), self._known.__getitem__), alone)

    def _nearest(self, items: Features, alone: Features) -> NDArray[np.int32]:
        """Find the neighbours of Q shapes in the collection, never the shape itself or a copy of it.

        Args:
            items: (Q, D), standardized square roots of D features of each of Q shapes, of unit length.
            alone: (Q, D), the square roots alone, of unit length.

        Returns:
            (Q, K), rows of the distinct shapes of the collection, in ascending order; -1 for none.
        """
        if not self._neighbours:
            return np.empty((len(items), 0), np.int32)
        own = _copied(alone, self._distinct, self._heads)
        nearest = np.empty((len(items), self._neighbours), np.int32)
        step = max(1, _BLOCK // len(self._known))
        for start in range(0, len(items), step):
            block, itself = items[start : start + step], own[start : start + step]
            cosines = block @ self._known.T
            copies = np.flatnonzero(itself >= 0)
            cosines[copies, itself[copies]] = -1
            rows = most_similar(cosines, block, self._known, self._neighbours)
            nearest[start : start + step] = np.where(rows == itself[:, None], -1, rows)
        return nearest


def _heads(rows: Features) -> Features:
    """Replace each of N vectors of D values by H sums of its values, (N, D) → (N, H), to find copies faster.

    The distance of two shortened vectors is never larger than the distance of the original vectors.
    """
    starts = np.unique(np.linspace(0, rows.shape[1], _HEAD, endpoint=False, dtype=np.int64))
    sizes = np.diff(np.append(starts, rows.shape[1])).astype(np.float32)
    return np.asarray(np.add.reduceat(rows, starts, axis=1) / np.sqrt(sizes), np.float32)


def _originals(rows: Features) -> Rows:
    """Return the original of each of N vectors of D features (N, D): (N,) int64, its own row if it is no copy."""
    first = np.arange(len(rows))
    if len(rows) > EXACT:
        first = find_copies(rows, LIMIT)
    else:
        heads = _heads(rows)
        for start, near in _near(heads, heads):
            _find_copies(near, rows[start : start + len(near)], rows, start, first)
    return first


def _copied(rows: Features, known: Features, heads: Features) -> Rows:
    """Find originals: for each of Q vectors ``rows``, the first vector in ``known`` that it copies.

    ``heads`` are the results of :func:`_heads` for ``known``.
    The result is (Q,) int64: indices in ``known``, or -1 for a vector that copies no other vector.
    """
    originals = np.full(len(rows), -1)
    for start, near in _near(_heads(rows), heads):
        own = np.concatenate([np.arange(len(known)), originals[start : start + len(near)]])
        _find_copies(near, rows[start : start + len(near)], known, len(known), own)
        originals[start : start + len(near)] = own[len(known) :]
    return originals


def _near(heads: Features, known: Features) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Compare the results of :func:`_heads` for two sets of vectors, block by block, and mark possible copies.

    Yields:
        Index of the first of the B vectors of a block in ``heads``; and (B, N) bool, True for each pair with one of
        the N vectors of ``known`` that may be a copy.
    """
    lengths = np.einsum("nd,nd->n", known, known)
    step = max(1, _BLOCK // max(len(known), 1))
    for start in range(0, len(heads), step):
        block = heads[start : start + step]
        squares = np.einsum("nd,nd->n", block, block)[:, None] + lengths - 2 * (block @ known.T)
        yield start, squares <= LIMIT + 1e-5  # plus the rounding error of float32


@numba.njit(cache=True)
def _find_copies(near: NDArray[np.bool_], rows: Features, known: Features, start: int, first: Rows) -> None:
    """For each vector ``rows[row]`` that is a copy, write the index of its original in ``known`` to first[start + row].

    The original is the first close vector in ``known`` that has an index below start + row and is not itself a copy.
    """
    for row in range(len(rows)):
        for other in range(min(start + row, len(known))):
            if near[row, other] and first[other] == other:
                distance = 0.0
                for place in range(rows.shape[1]):
                    distance += (rows[row, place] - known[other, place]) ** 2
                if distance <= LIMIT:
                    first[start + row] = other
                    break
