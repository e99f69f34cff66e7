"""Compute signatures: one vector for each shape, nearly equal for moved, scaled, turned or mirrored copies.

Signature of pictures or grids: the shapes in pictures and grids are already centred and scaled. The pictures taken
around the up axis form a ring, and so do the rotations of a grid. A turn of the shape shifts the ring, and a mirror
image reverses the ring. Shifts and reversals do not change the magnitudes of the Fourier transform along the ring.
Each picture is also split into an even and an odd part, whose magnitudes do not change when the picture is flipped.

Signature of a mesh: surface moments about the centroid, which do not depend on the order of faces, on splitting faces
or on doubling faces. The moments of each angular frequency around the up axis are multiplied in pairs, which makes them
independent of turns (complex moments, Flusser 2000, in cylindrical coordinates).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shapecnn.meshes.mesh import Mesh
from shapecnn.settings.views_and_grids import ALL_SIDES
from shapecnn.shared.similarity import unit

Signature = NDArray[np.float32]
"""Vector of unit length, or zero, that describes the geometry of a shape, (D,). D depends on the kind of input."""

INPUT_TOLERANCE = 0.01
"""Largest Euclidean distance between the artefact signatures of two shapes with the same geometry (docs/audit.md)."""

MESH_TOLERANCE = 0.003
"""Largest Euclidean distance between the signatures of two meshes with the same geometry.

The limit is smaller than ``INPUT_TOLERANCE``, because mesh signatures are shorter and less distinctive.
"""

_PIXELS = 16  # pixels along one side of a reduced picture, for views that form a ring around the up axis
_PIXELS_UNORDERED = 8  # pixels along one side of a reduced picture, for views from all sides
_CELLS = 10  # cells along one side of a reduced grid
_DEGREE = 4  # highest degree of the surface moments
_FACES = 1 << 16  # number of faces that are processed at a time, to limit memory


def input_signature(array: NDArray[np.uint8] | NDArray[np.bool_]) -> Signature:
    """Compute the signature of a shape from its pictures or grids.

    The signature stays the same when the shape is mirrored or rotated by 90° about the up axis, up to differences in
    rendering. The signature of views from all sides (20, 24 or 80 views) changes with such a rotation or mirroring.

    Args:
        array: V pictures of S × S pixels with background 255, (V, S, S) uint8; or R grids of N × N × N cells,
            (R, N, N, N) bool.

    Returns:
        The signature, (D,) float32 of unit length; zeros if all pictures are blank or all grids empty.
    """
    if array.ndim == 4:
        cells = _reduced(array.astype(np.float32), _CELLS)
        ring = cells if len(cells) > 1 else np.concatenate([np.rot90(cells, k, axes=(1, 2)) for k in range(4)])
        return unit(_ring_signature(np.moveaxis(ring, 2, -1)))
    ordered = len(array) not in ALL_SIDES  # the views form a ring around the up axis
    ink = _reduced((255 - array).astype(np.float32), _PIXELS if ordered else _PIXELS_UNORDERED)
    return unit(_ring_signature(ink) if ordered else ink.ravel())


def mesh_signature(mesh: Mesh) -> Signature:
    """Compute the signature of a mesh, which stays the same when the mesh is turned about z or mirrored.

    Args:
        mesh: A mesh with z up, at any position and scale. Mirrored means reflected in a plane that contains the z axis.

    Returns:
        The signature, a vector of D numbers with norm 1, (D,) float32.
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
            parts.append(terms.real[1:])  # leaves out the first moment: the area, always 1
        else:
            products = (terms[:, None] * terms.conj()).real
            parts += [np.sqrt(products.diagonal()), products[np.triu_indices(len(terms), 1)]]
    return unit(np.concatenate(parts)).astype(np.float32)


def _ring_signature(ring: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return numbers that stay the same when a ring of pictures or grids is shifted, or reversed and flipped.

    Each picture or grid is the sum of a symmetric and an antisymmetric part: flipping the last axis, as mirroring does,
    keeps the first part and negates the second. The numbers are the magnitudes of the Fourier transform of both parts
    along the first axis, the ring.
    """
    half = (ring.shape[-1] + 1) // 2  # the other half repeats the same values
    flipped = np.flip(ring, -1)
    parts = [(ring + flipped)[..., :half], (ring - flipped)[..., :half]]
    return np.abs(np.fft.rfft(np.stack(parts), axis=1)).ravel()


def _reduced(array: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Reduce all axes except the first to at most ``cells`` means of equal parts.

    The matrices are sparse: dense ones would be multiplied by the threads of BLAS, whose waiting for each other takes
    a hundred times as long as the work on a machine with other programs.
    """
    for axis in range(1, array.ndim):
        first = np.moveaxis(array, axis, 0)
        means = csr_array(_averages(len(first), cells)) @ first.reshape(len(first), -1)
        array = np.moveaxis(means.reshape(-1, *first.shape[1:]), 0, axis)
    return array


def _averages(size: int, cells: int) -> NDArray[np.float32]:
    """Return the matrix (n, size) that turns ``size`` values into the means of n = min(size, cells) equal parts."""
    n = min(size, cells)
    edges = np.linspace(0, size, n + 1)
    starts = np.arange(size)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.asarray(overlap.clip(0) * n / size, np.float32)


def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 9 points and weights to integrate polynomials up to degree 4 exactly over a triangle.

    The rule is the Gauss-Legendre rule of a square with one side collapsed to a corner.

    Returns:
        The barycentric coordinates of the points, (9, 3). And their weights, (9,), with sum 1.
    """
    points, weights = np.polynomial.legendre.leggauss(3)
    points, weights = (points + 1) / 2, weights / 2
    u, v = (axis.ravel() for axis in np.meshgrid(points, points, indexing="ij"))
    share = np.outer(weights, weights).ravel() * (1 - u) * 2
    return np.stack([u, (1 - u) * v, (1 - u) * (1 - v)], axis=1), share


_POINTS, _WEIGHTS = _quadrature()
_POWERS = [(k, n) for k in range(_DEGREE + 1) for n in range((_DEGREE - k) // 2 + 1)]  # exponents of zᵏ (x² + y²)ⁿ
_ORDERS = np.array([k + 2 * n for k, n in _POWERS])


def _moments(corners: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Integrate (x + iy)ᵐ zᵏ (x² + y²)ⁿ over F faces, for m from 0 to 4 and each (k, n) of ``_POWERS``.

    Args:
        corners: Three corners of each face, (F, 3, 3).
        areas: Area of each face, (F,).

    Returns:
        The integrals, (5, 9): one row for each m, one column for each (k, n).
    """
    x, y, z = (_POINTS @ corners).reshape(-1, 3).T
    around, heights, squares = _powers(x + 1j * y), _powers(z), _powers(x**2 + y**2)
    upwards = np.stack([heights[k] * squares[n] for k, n in _POWERS])
    weighted = around * np.outer(areas, _WEIGHTS).ravel()
    return np.asarray(weighted @ upwards.T)


def _powers(values: NDArray[Any]) -> NDArray[Any]:
    """Return the powers 0 to 4 of P values as a (5, P) array, ten times as fast as the operator ``**``."""
    return np.multiply.accumulate(np.stack([np.ones_like(values), *[values] * _DEGREE]))
