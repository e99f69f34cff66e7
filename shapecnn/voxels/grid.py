"""Voxelization: fit a mesh into a grid, mark the cells on its surface, and fill the cells inside."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.voxels.kernels import OUTSIDE, SURFACE, mark_outside, mark_surface

# The mesh is shrunk by this fraction after fitting. The kernel marks both cells beside a face that lies on their
# common boundary, but the faces of a box of 24 × 12 × 8 cells must mark the cells inside only. The shrinking moves
# each such face inwards by at least half a cell times this fraction. That is more than the kernel's tolerance of 1e-9
# cells and than the rounding of float32 coordinates near the origin (6e-8 of their size), and at most 5e-4 cells in a
# grid of 1024.
_CONTRACTION = 1e-6


def occupancy_grids(mesh: Mesh, settings: VoxelSettings) -> NDArray[np.bool_]:
    """Fill one grid, or several with the mesh turned about z.

    With orientation ``auto`` the mesh is first turned to its own axes. In grid k it is turned about z by
    360°·k / rotations, counter-clockwise seen from +z, and fitted again: the centre of its bounding box is the centre
    of the grid, and its longest extent is R − 2·padding cells.

    With fill ``surface`` the cells that the surface meets are filled. With ``solid`` the cells that cannot be reached
    from outside, from cell to cell across common faces, are filled as well. Cavities are filled too, even behind a
    hole narrower than a cell, but not behind a hole wider than two cells.

    Args:
        mesh: The mesh, z up.
        settings: Resolution R and padding in cells, number of rotations, fill and orientation.

    Returns:
        The grids, (rotations, R, R, R) bool, indexed [rotation, x, y, z] with z up.
    """
    R = settings.resolution
    mesh = posed(mesh, settings.orientation)
    points = _centre(np.ascontiguousarray(mesh.vertices.T))  # before turning, which loses digits far from the origin
    grids = np.empty((settings.rotations, R, R, R), np.bool_)
    for k, grid in enumerate(grids):
        pose = _centre(_rotate(points, 2 * math.pi * k / settings.rotations))
        half_extent = pose.max()
        scale = (R / 2 - settings.padding) * (1 - _CONTRACTION) / half_extent
        vertices = np.ascontiguousarray((pose * scale + R / 2).T)

        # Two more layers on each side: cells that are certainly outside, and the border that the flood fill needs.
        volume = np.zeros((R + 4, R + 4, R + 4), np.uint8)
        cells = volume[2:-2, 2:-2, 2:-2]
        mark_surface(vertices, mesh.faces, cells)
        if settings.fill == "solid":
            mark_outside(volume)
            np.not_equal(cells, OUTSIDE, out=grid)
        else:
            np.equal(cells, SURFACE, out=grid)
    return grids


def _centre(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move points (3, n) so that the centre of their bounding box is the origin."""
    low: NDArray[np.float64] = points.min(axis=1, keepdims=True)
    high: NDArray[np.float64] = points.max(axis=1, keepdims=True)
    return points - (low + high) / 2


def _rotate(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Turn points (3, n) about z by ``angle`` in radians, counter-clockwise seen from +z."""
    x, y, z = points
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * x - s * y, s * x + c * y, z])
