"""What of a shape outlives moving, scaling, turning and mirroring it: one vector, so that copies lie close together.

Of pictures and grids, made of a shape that has been centred and scaled: those seen around the up axis form a ring,
which a turn shifts and a mirror reverses. The magnitudes of its Fourier transform know neither; mirror images are told
apart from nothing once the looks are split into an even and an odd part. Of a mesh: moments of its surface about its
centroid, which no numbering, splitting or doubling of faces changes, as Gram matrices of those of one angular frequency
(complex moments, Flusser 2000, in cylindrical coordinates).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.settings.artefacts import ALL_SIDES
from shapecnn.similarity import unit

Signature = NDArray[np.float32]

LOOKS_TOLERANCE = 0.01
"""Shapes look the same if their signatures are no farther apart: docs/audit.md has the figures."""

MESH_TOLERANCE = 0.003
"""The same for meshes, whose signature is shorter and so less telling."""

_PIXELS = 16  # of a picture along one side, as it is compared
_PIXELS_UNORDERED = 8  # where all views are compared one by one
_CELLS = 10
_DEGREE = 4  # of the moments
_FACES = 1 << 16  # worked on at a time


def looks_signature(looks: NDArray[np.uint8] | NDArray[np.bool_]) -> Signature:
    """(D,) of unit length, of (V, S, S) pictures, 255 where there is nothing, or (R, N, N, N) grids; zeros if nothing
    is seen.

    The same after quarter turns about the up axis and mirroring, as far as the looks are; those of 20, 24 or 80 views
    after neither.
    """
    if looks.ndim == 4:
        cells = looks.astype(np.float32)
        for axis in (1, 2, 3):
            cells = np.moveaxis(np.moveaxis(cells, axis, -1) @ _averages(looks.shape[axis], _CELLS).T, -1, axis)
        ring = cells if len(cells) > 1 else np.concatenate([np.rot90(cells, k, axes=(1, 2)) for k in range(4)])
        return unit(_ring_signature(np.moveaxis(ring, 2, -1)))
    ordered = len(looks) not in ALL_SIDES  # around the up axis
    rows = _averages(looks.shape[-1], _PIXELS if ordered else _PIXELS_UNORDERED)
    ink = rows @ (255 - looks).astype(np.float32) @ rows.T
    return unit(_ring_signature(ink) if ordered else ink.ravel())


def mesh_signature(mesh: Mesh) -> Signature:
    """(D,) of unit length, of the surface of a mesh with z up: the same after any turn about z and mirroring at an
    upright plane.
    """
    corners = mesh.vertices[mesh.faces]
    corners = (corners - mesh.vertices[0]) / np.ptp(mesh.vertices, axis=0).max()
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    areas /= areas.sum()
    corners -= areas @ corners.mean(axis=1)
    squares = (corners**2).sum(axis=(1, 2)) + (corners.sum(axis=1) ** 2).sum(axis=1)  # 12 · mean of |p|² over a face
    corners /= np.sqrt(areas @ squares / 12)
    moments = np.zeros((_DEGREE + 1, len(_POWERS)), np.complex128)
    for start in range(0, len(corners), _FACES):
        moments += _moments(corners[start : start + _FACES], areas[start : start + _FACES])
    parts = []
    for frequency, row in enumerate(moments):
        kept = row[frequency + _ORDERS <= _DEGREE]
        if frequency == 0:
            parts.append(kept.real[1:])  # without the area, which is 1
        else:
            products = (kept[:, None] * kept.conj()).real
            parts += [np.sqrt(products.diagonal()), products[np.triu_indices(len(kept), 1)]]
    return unit(np.concatenate(parts)).astype(np.float32)


def _ring_signature(ring: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitudes over the first axis, of parts that are even and odd in the last, which mirroring flips."""
    half = (ring.shape[-1] + 1) // 2  # the other half repeats it
    flipped = np.flip(ring, -1)
    parts = [(ring + flipped)[..., :half], (ring - flipped)[..., :half]]
    return np.abs(np.fft.rfft(np.stack(parts), axis=1)).ravel()


def _averages(size: int, cells: int) -> NDArray[np.float32]:
    """(n, size), n ≤ cells: its product with a line of ``size`` values gives means over n equal parts."""
    n = min(size, cells)
    edges = np.linspace(0, size, n + 1)
    starts = np.arange(size)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.asarray(overlap.clip(0) * n / size, np.float32)


def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Barycentric coordinates (9, 3) and weights (9,) that sum to 1, exact on a triangle up to degree 4: Gauss-Legendre
    in a square one of whose sides is collapsed to a corner."""
    points, weights = np.polynomial.legendre.leggauss(3)
    points, weights = (points + 1) / 2, weights / 2
    u, v = (axis.ravel() for axis in np.meshgrid(points, points, indexing="ij"))
    share = np.outer(weights, weights).ravel() * (1 - u) * 2
    return np.stack([u, (1 - u) * v, (1 - u) * (1 - v)], axis=1), share


_POINTS, _WEIGHTS = _quadrature()
_POWERS = [(k, n) for k in range(_DEGREE + 1) for n in range((_DEGREE - k) // 2 + 1)]  # zᵏ (x² + y²)ⁿ
_ORDERS = np.array([k + 2 * n for k, n in _POWERS])


def _moments(corners: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.complex128]:
    """(5, 9): integrals over the faces of (x + iy)ᵐ zᵏ (x² + y²)ⁿ, for each m of each of the powers."""
    x, y, z = (_POINTS @ corners).reshape(-1, 3).T
    around, heights, squares = _powers(x + 1j * y), _powers(z), _powers(x**2 + y**2)
    upwards = np.stack([heights[k] * squares[n] for k, n in _POWERS])
    weighted = around * np.outer(areas, _WEIGHTS).ravel()
    return np.asarray(weighted @ upwards.T)


def _powers(values: NDArray[Any]) -> NDArray[Any]:
    """(5, P): those of 0 to 4; a tenth of the time of ``**``."""
    return np.multiply.accumulate(np.stack([np.ones_like(values), *[values] * _DEGREE]))
