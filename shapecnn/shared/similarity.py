"""How similar features are: rows of unit length, their cosines, and the nearest rows of a gallery."""

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
"""How similar rows of unit length are, (Q, D) and (N, D) → (Q, N), from -1 to 1, in the floats given."""

STEPS = 1e10  # similarities are compared to 10 decimals: copies tie, whatever the order of the product's additions


def unit(vectors: NDArray[Floating]) -> NDArray[Floating]:
    """Divide vectors (..., D) by their lengths; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def unit_float64(features: NDArray[np.floating]) -> Features:
    """Rows of unit length, (N, D) → (N, D); rows of zeros stay, and are as similar to anything as a right angle is.

    In float64, because in float32 the noise of a product may straddle the rounding of a similarity.
    Raises ShapecnnError where a value is not finite.
    """
    rows: Features = features.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]  # np.linalg.norm would square a copy
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ShapecnnError(
            f"The feature of row {row} is not finite: the training of its network went astray. Use another model."
        )
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def cosines(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[Any]:
    """(Q, D) and (N, D), rows of unit length → (Q, N)."""
    similarity: NDArray[Any] = queries @ gallery.T
    return similarity


def nearest(
    queries: Features, gallery: Features, own: Rows, count: int, similar: Similarity = cosines
) -> tuple[Rows, NDArray[np.float64]]:
    """The first ``count`` rows of each query's list and their similarities, equal ones in order of rows.

    For a few queries: (Q, N) similarities are sorted in full. Returns (Q, K) int64 and (Q, K) float64, K the smaller of
    ``count`` and what there is to list.
    """
    similarity = np.rint(similar(queries, gallery) * STEPS) / STEPS
    left_out = own >= 0
    similarity[left_out, own[left_out]] = -np.inf
    shown = min(count, max(len(gallery) - int(left_out.any()), 0))
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :shown]
    return order, np.take_along_axis(similarity, order, axis=1)
