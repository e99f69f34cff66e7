"""Voxelize a mesh: fit the mesh into a grid, mark the cells on its surface, and fill the cells inside."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.voxels.kernels import OUTSIDE, SURFACE, mark_outside, mark_surface

# The mesh is shrunk by this fraction after fitting. The kernel marks the cells on both sides of a face that lies
# exactly between two layers of cells, but a box of 24 × 12 × 8 cells must mark only the cells inside. Shrinking moves
# each such face inwards by at least half a cell times this fraction. That distance exceeds the tolerance of the kernel
# (1e-9 cells) and the rounding of float32 coordinates near the origin (6e-8 of their size). It is at most 5e-4 cells in
# a grid of 1024.
_CONTRACTION = 1e-6


def occupancy_grids(mesh: Mesh, settings: VoxelSettings) -> NDArray[np.bool_]:
    """Voxelize a mesh in one or several rotations about z.

    With orientation ``auto`` the mesh is first rotated to its canonical axes (:mod:`shapecnn.meshes.orientation`). In
    grid k the mesh is rotated about z by 360°·k / rotations, counter-clockwise seen from +z, and fitted again: the
    centre of its bounding box is the centre of the grid, and its longest extent is R − 2·padding cells. With
    ``keep_scale``, the diameter of the sphere around the largest shapes is R − 2·padding cells instead.

    With fill ``surface`` the cells that the surface touches are filled. With ``solid`` all cells that cannot be reached
    from outside (from cell to cell across common faces) are filled as well. A closed cavity is therefore filled. A
    cavity with an opening is still filled if the opening is narrower than one cell, and stays empty if the opening is
    wider than two cells; in between, the position of the opening decides.

    Args:
        mesh: A mesh with z up.
        settings: Resolution R and padding (both in cells), number of rotations, fill and orientation.

    Returns:
        The grids, (rotations, R, R, R) bool, indexed [rotation, x, y, z] with z up.
    """
    R = settings.resolution
    mesh = posed(mesh, settings.orientation)
    points = _centre(
        np.ascontiguousarray(mesh.vertices.T)
    )  # before the rotation, which would lose digits far from the origin
    kept = None if settings.keep_scale is None else _kept_half_extent(mesh, points, settings.keep_scale)
    grids = np.empty((settings.rotations, R, R, R), np.bool_)
    for k, grid in enumerate(grids):
        pose = _centre(_rotate(points, 2 * math.pi * k / settings.rotations))
        half_extent = pose.max() if kept is None else kept
        scale = (R / 2 - settings.padding) * (1 - _CONTRACTION) / half_extent
        vertices = np.ascontiguousarray((pose * scale + R / 2).T)

        # Add two layers on each side: one of cells outside the mesh, and one as the border that the flood fill needs.
        volume = np.zeros((R + 4, R + 4, R + 4), np.uint8)
        cells = volume[2:-2, 2:-2, 2:-2]
        mark_surface(vertices, mesh.faces, cells)
        if settings.fill == "solid":
            mark_outside(volume)
            np.not_equal(cells, OUTSIDE, out=grid)
        else:
            np.equal(cells, SURFACE, out=grid)
    return grids


def _kept_half_extent(mesh: Mesh, points: NDArray[np.float64], keep_scale: float) -> float:
    """Return the half extent of the largest shape that keeps its size, or that of n points (3, n) that are larger."""
    return max(keep_scale / 2 / mesh.radius, float(np.linalg.norm(points, axis=0).max()))


def _centre(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move n points (3, n) so that the centre of their bounding box is the origin."""
    low: NDArray[np.float64] = points.min(axis=1, keepdims=True)
    high: NDArray[np.float64] = points.max(axis=1, keepdims=True)
    return points - (low + high) / 2


def _rotate(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotate n points (3, n) about z by ``angle`` in radians, counter-clockwise seen from +z."""
    x, y, z = points
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * x - s * y, s * x + c * y, z])
