"""Similarity of feature vectors: scaling to unit length, cosine similarity, and nearest rows of a gallery.

The three functions that scale to unit length are not merged because they round differently. Stored features, and ties
between shapes, depend on the last bits of the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ShapecnnError

Floating = TypeVar("Floating", np.float32, np.float64)
Features = NDArray[np.float64]
Rows = NDArray[np.int64]
Similarity = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
"""Function that compares Q queries (Q, D) with N gallery rows (N, D), all D-dimensional and of unit length.

The function returns the similarities (Q, N), from -1 to 1, in the floating-point precision of the rows."""

_NEAR = 1e-6  # difference of cosines in float32, computed by BLAS, that may be rounding: on other machines, it differs
STEPS = 1e10  # similarities are rounded to 10 decimals: copies tie although their dot products differ in the last bits


def unit(vectors: NDArray[Floating]) -> NDArray[Floating]:
    """Return vectors scaled to unit length, computed in the precision of the vectors.

    Args:
        vectors: (..., D) float32 or float64, D-dimensional vectors.

    Returns:
        (..., D) of the same dtype; zero vectors stay zero.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def unit_float64(features: NDArray[np.floating]) -> Features:
    """Return feature vectors scaled to unit length in float64, for evaluation.

    Similarities are rounded to 10 decimals, so that copies of a shape have equal similarities. In float32 the errors of
    dot products are larger than this rounding, so copies would have different similarities.

    Args:
        features: (N, D) of any float dtype, N feature vectors of length D.

    Returns:
        (N, D) float64, a copy; zero rows stay zero, so their cosine with any row is 0.

    Raises:
        ShapecnnError: A value is not finite.
    """
    rows: Features = features.astype(np.float64)
    lengths = _lengths(rows)
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ShapecnnError(
            f"The feature vector in row {row} is not finite: the training of the network diverged. Use another model."
        )
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def scale_to_unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale float32 vectors to unit length in place, with their lengths computed in float64.

    Args:
        rows: (N, D) float32, N vectors of length D, overwritten; zero rows stay zero.

    Returns:
        The array ``rows`` itself.
    """
    lengths = _lengths(rows)
    rows /= np.where(lengths > 0, lengths, 1).astype(np.float32)
    return rows


def most_similar(
    cosines: NDArray[np.float32], rows: NDArray[np.float32], known: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Return the vectors of ``known`` with the largest cosines, the same on all machines.

    Where rounding could decide, the cosines are computed again in float64, in an order that no BLAS chooses. Of equal
    cosines, the first in the order of ``known`` is nearer.

    Args:
        cosines: (Q, N) float32, cosine of each of Q vectors ``rows`` (Q, D) and each of N vectors ``known`` (N, D).
        rows: (Q, D) float32 of unit length.
        known: (N, D) float32 of unit length.
        count: K, the number of vectors to return for each row, at most N.

    Returns:
        (Q, K) int64, indices in ``known``, ascending in each row.
    """
    if count == 1:
        nearest = cosines.argmax(axis=1)[:, None]
    else:
        nearest = np.argpartition(cosines, -count, axis=1)[:, -count:]
    least = np.take_along_axis(cosines, nearest, axis=1).min(axis=1, keepdims=True) - np.float32(_NEAR)
    for row in np.flatnonzero(np.count_nonzero(cosines >= least, axis=1) > count):
        tied = np.flatnonzero(cosines[row] >= least[row])
        exact = (known[tied] * rows[row].astype(np.float64)).sum(axis=1)
        nearest[row] = tied[np.argsort(-exact, kind="stable")[:count]]
    return np.sort(nearest, axis=1)


def _lengths(rows: NDArray[Floating]) -> NDArray[np.float64]:
    """Return the lengths of N vectors, (N, 1) float64, with less memory than np.linalg.norm, which copies the array."""
    squares: NDArray[np.float64] = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return np.sqrt(squares)[:, None]


def cosines(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
    """Return the cosine similarity of each query and each gallery row, all of unit length.

    Args:
        queries: (Q, D), Q feature vectors of length D.
        gallery: (N, D), N feature vectors of length D.

    Returns:
        (Q, N) cosines, from -1 to 1 up to rounding.
    """
    similarity: NDArray[Any] = queries @ gallery.T
    return similarity


def nearest(
    queries: Features, gallery: Features, own: Rows, count: int, similar: Similarity = cosines
) -> tuple[Rows, NDArray[np.float64]]:
    """Return the most similar gallery rows for each query. For many queries it is slow: it sorts all similarities.

    Args:
        queries: (Q, D) float64 of unit length, Q feature vectors of length D.
        gallery: (N, D) float64 of unit length, N feature vectors of length D.
        own: (Q,) int64, for each query the gallery row of the same shape, which is left out; -1 where the gallery does
            not have the shape.
        count: Largest number of rows to return for each query.
        similar: Function that compares queries with the gallery.

    Returns:
        Row numbers (Q, K) int64, most similar first and ties by row number, and their similarities (Q, K) float64. K is
        ``count``, or the number of available gallery rows if that is smaller.
    """
    similarity = np.rint(similar(queries, gallery) * STEPS) / STEPS
    left_out = own >= 0
    similarity[left_out, own[left_out]] = -np.inf
    shown = min(count, max(len(gallery) - int(left_out.any()), 0))
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :shown]
    return order, np.take_along_axis(similarity, order, axis=1)
