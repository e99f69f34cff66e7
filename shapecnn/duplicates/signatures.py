"""Signatures: one vector for each shape, so that copies are close after moving, scaling, turning and mirroring.

Pictures and grids are made of shapes that are centred and scaled. Those around the up axis form a ring; a turn shifts
it, a mirror image reverses it, and the magnitudes of its Fourier transform change with neither. Each picture is split
into an even and an odd part, whose magnitudes do not change when it is flipped. The signature of a mesh consists of
surface moments about its centroid, which do not depend on the order, the splitting or the doubling of faces: Gram
matrices of the moments of each angular frequency (complex moments, Flusser 2000, in cylindrical coordinates).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.settings.artefacts import ALL_SIDES
from shapecnn.shared.similarity import unit

Signature = NDArray[np.float32]

INPUT_TOLERANCE = 0.01
"""Largest distance between the signatures of artefacts with the same geometry; measured in docs/audit.md."""

MESH_TOLERANCE = 0.003
"""Largest distance between the signatures of meshes with the same geometry; they are shorter and less distinctive."""

_PIXELS = 16  # side of a picture in the signature
_PIXELS_UNORDERED = 8  # side of a picture whose views do not form a ring
_CELLS = 10  # side of a grid in the signature
_DEGREE = 4  # highest degree of the moments
_FACES = 1 << 16  # faces of one block in memory


def input_signature(array: NDArray[np.uint8] | NDArray[np.bool_]) -> Signature:
    """Compute the signature of pictures or grids.

    It does not change under quarter turns about the up axis and mirroring, as far as the pictures or grids do not. For
    views from all sides (20, 24 or 80) it changes under both.

    Args:
        array: (V, S, S) uint8 pictures with background 255, or (R, N, N, N) bool grids.

    Returns:
        (D,) float32 of unit length; zeros if all pictures are blank or all grids empty.
    """
    if array.ndim == 4:
        cells = array.astype(np.float32)
        for axis in (1, 2, 3):
            cells = np.moveaxis(np.moveaxis(cells, axis, -1) @ _averages(array.shape[axis], _CELLS).T, -1, axis)
        ring = cells if len(cells) > 1 else np.concatenate([np.rot90(cells, k, axes=(1, 2)) for k in range(4)])
        return unit(_ring_signature(np.moveaxis(ring, 2, -1)))
    ordered = len(array) not in ALL_SIDES  # a ring around the up axis
    rows = _averages(array.shape[-1], _PIXELS if ordered else _PIXELS_UNORDERED)
    ink = rows @ (255 - array).astype(np.float32) @ rows.T
    return unit(_ring_signature(ink) if ordered else ink.ravel())


def mesh_signature(mesh: Mesh) -> Signature:
    """Compute the signature of a mesh.

    It does not change under any turn about z and mirroring at a plane through z.

    Args:
        mesh: A mesh with z up, at any position and scale.

    Returns:
        (D,) float32 of unit length.
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
        terms = row[frequency + _ORDERS <= _DEGREE]
        if frequency == 0:
            parts.append(terms.real[1:])  # without the first, the area, which is 1
        else:
            products = (terms[:, None] * terms.conj()).real
            parts += [np.sqrt(products.diagonal()), products[np.triu_indices(len(terms), 1)]]
    return unit(np.concatenate(parts)).astype(np.float32)


def _ring_signature(ring: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fourier magnitudes over the first axis of the even and the odd part of the last axis, which mirroring flips."""
    half = (ring.shape[-1] + 1) // 2  # the other half is redundant
    flipped = np.flip(ring, -1)
    parts = [(ring + flipped)[..., :half], (ring - flipped)[..., :half]]
    return np.abs(np.fft.rfft(np.stack(parts), axis=1)).ravel()


def _averages(size: int, cells: int) -> NDArray[np.float32]:
    """Return the (n, size) matrix that averages ``size`` values over n = min(size, cells) equal parts."""
    n = min(size, cells)
    edges = np.linspace(0, size, n + 1)
    starts = np.arange(size)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.asarray(overlap.clip(0) * n / size, np.float32)


def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a quadrature rule on the triangle, exact up to degree 4: barycentric coordinates (9, 3) and weights (9,).

    It is the Gauss-Legendre rule of a square with one side collapsed to a corner. The weights sum to 1.
    """
    points, weights = np.polynomial.legendre.leggauss(3)
    points, weights = (points + 1) / 2, weights / 2
    u, v = (axis.ravel() for axis in np.meshgrid(points, points, indexing="ij"))
    share = np.outer(weights, weights).ravel() * (1 - u) * 2
    return np.stack([u, (1 - u) * v, (1 - u) * (1 - v)], axis=1), share


_POINTS, _WEIGHTS = _quadrature()
_POWERS = [(k, n) for k in range(_DEGREE + 1) for n in range((_DEGREE - k) // 2 + 1)]  # zᵏ (x² + y²)ⁿ
_ORDERS = np.array([k + 2 * n for k, n in _POWERS])


def _moments(corners: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the (5, 9) integrals over the faces of (x + iy)ᵐ zᵏ (x² + y²)ⁿ, for m from 0 to 4 and each (k, n)."""
    x, y, z = (_POINTS @ corners).reshape(-1, 3).T
    around, heights, squares = _powers(x + 1j * y), _powers(z), _powers(x**2 + y**2)
    upwards = np.stack([heights[k] * squares[n] for k, n in _POWERS])
    weighted = around * np.outer(areas, _WEIGHTS).ravel()
    return np.asarray(weighted @ upwards.T)


def _powers(values: NDArray[Any]) -> NDArray[Any]:
    """Return the powers 0 to 4 of P values, (5, P); ten times as fast as ``**``."""
    return np.multiply.accumulate(np.stack([np.ones_like(values), *[values] * _DEGREE]))
