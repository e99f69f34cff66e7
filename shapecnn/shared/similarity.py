"""Similarity of features: vectors of unit length, their cosines, and the nearest rows of a gallery.

Three functions scale to unit length. They stay apart because they round differently: stored features, and which shapes
tie, depend on the last bits.
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
"""Function of rows of unit length, (Q, D) and (N, D) → (Q, N), from -1 to 1, in the precision of the rows."""

STEPS = 1e10  # similarities are rounded to 10 decimals: copies tie, in whatever order a product was summed


def unit(vectors: NDArray[Floating]) -> NDArray[Floating]:
    """Return vectors scaled to unit length, all computed in their own precision.

    Args:
        vectors: (..., D) float32 or float64.

    Returns:
        (..., D) of the same dtype; zero vectors stay zero.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def unit_float64(features: NDArray[np.floating]) -> Features:
    """Return rows scaled to unit length in float64, for evaluation.

    In float32 the noise of a product can exceed the rounding of similarities, and copies would not tie.

    Args:
        features: (N, D) of any float dtype.

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
            f"The feature of row {row} is not finite: the training of its network diverged. Use another model."
        )
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def scale_to_unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale float32 rows to unit length in place, by lengths that are summed in float64.

    Args:
        rows: (N, D) float32, overwritten; zero rows stay zero.

    Returns:
        The same array.
    """
    lengths = _lengths(rows)
    rows /= np.where(lengths > 0, lengths, 1).astype(np.float32)
    return rows


def _lengths(rows: NDArray[Floating]) -> NDArray[np.float64]:
    """Return the lengths of rows, (N, 1) float64; np.linalg.norm would need a squared copy of the rows."""
    squares: NDArray[np.float64] = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return np.sqrt(squares)[:, None]


def cosines(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
    """Return the cosines of rows of unit length.

    Args:
        queries: (Q, D).
        gallery: (N, D).

    Returns:
        (Q, N), from -1 to 1 up to rounding.
    """
    similarity: NDArray[Any] = queries @ gallery.T
    return similarity


def nearest(
    queries: Features, gallery: Features, own: Rows, count: int, similar: Similarity = cosines
) -> tuple[Rows, NDArray[np.float64]]:
    """Return the most similar rows of a gallery for a few queries, whose (Q, N) similarities are sorted in full.

    Args:
        queries: (Q, D) float64 of unit length.
        gallery: (N, D) float64 of unit length.
        own: (Q,) int64, the gallery row that each query is and that is left out; -1 where it is none.
        count: Number of rows to return for each query, at most.
        similar: Similarity of queries and gallery.

    Returns:
        Rows (Q, K) int64, most similar first, equal ones in order of rows, and their similarities (Q, K) float64. K is
        ``count``, or fewer where the gallery has fewer.
    """
    similarity = np.rint(similar(queries, gallery) * STEPS) / STEPS
    left_out = own >= 0
    similarity[left_out, own[left_out]] = -np.inf
    shown = min(count, max(len(gallery) - int(left_out.any()), 0))
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :shown]
    return order, np.take_along_axis(similarity, order, axis=1)
