"""A mesh as an occupancy grid: fit it, mark its surface, fill what the outside cannot reach."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.artefacts import VoxelSettings
from shapecnn.voxels.kernels import OUTSIDE, SURFACE, mark_outside, mark_surface

# The mesh is fitted smaller than its cells by this fraction. To the kernel a face on the boundary of two
# cells meets both, but the faces of a box of 24 × 12 × 8 cells must meet those inside alone. Drawn towards
# the centre of the grid by at least half a cell times this, they do: it is more than the kernel's tolerance
# of 1e-9 cells and than what float32 makes of coordinates near the origin (6e-8 of them), and 5e-4 cells at
# most in a grid of 1024.
_CONTRACTION = 1e-6


def voxelize(mesh: Mesh, settings: VoxelSettings) -> NDArray[np.bool_]:
    """The mesh in ``rotations`` grids: bool (rotations, R, R, R), indexed [rotation, x, y, z] with z up.

    With orientation ``auto`` the mesh is first turned to its own axes. In grid k it is turned about z by
    360°·k / rotations, counter-clockwise seen from +z, and fitted anew: the centre of its bounding box is
    the centre of the grid, its longest extent is R − 2·padding cells. With fill ``surface`` the cells that
    the surface meets are set. With ``solid`` so are all that cannot be reached from outside across faces of
    cells that it does not meet: cavities are filled, also behind a hole narrower than a cell, but through one
    wider than two cells the outside reaches in.
    """
    R = settings.resolution
    mesh = posed(mesh, settings.orientation)
    points = _centred(np.ascontiguousarray(mesh.vertices.T))  # turning far from the origin would cost digits
    grids = np.empty((settings.rotations, R, R, R), np.bool_)
    for k, grid in enumerate(grids):
        turned = _centred(_turned(points, 2 * math.pi * k / settings.rotations))
        half_extent = turned.max()
        scale = (R / 2 - settings.padding) * (1 - _CONTRACTION) / half_extent
        vertices = np.ascontiguousarray((turned * scale + R / 2).T)

        # Around the grid a layer of cells that are outside for certain, and the wall that the flood asks for.
        walled = np.zeros((R + 4, R + 4, R + 4), np.uint8)
        cells = walled[2:-2, 2:-2, 2:-2]
        mark_surface(vertices, mesh.faces, cells)
        if settings.fill == "solid":
            mark_outside(walled)
            np.not_equal(cells, OUTSIDE, out=grid)
        else:
            np.equal(cells, SURFACE, out=grid)
    return grids


def _centred(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (3, n), moved so that the centre of their bounding box is the origin."""
    low: NDArray[np.float64] = points.min(axis=1, keepdims=True)
    high: NDArray[np.float64] = points.max(axis=1, keepdims=True)
    return points - (low + high) / 2


def _turned(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Points (3, n), turned about z by ``angle`` in radians, counter-clockwise seen from +z."""
    x, y, z = points
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * x - s * y, s * x + c * y, z])
