"""Draw a voxel grid from an oblique angle.

Parallel rays step from cell to cell until they meet a filled one (Amanatides & Woo, "A Fast Voxel Traversal Algorithm
for Ray Tracing", Eurographics 1987).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.views.cameras import cameras

_FACING, _AMBIENT = 150, 80  # grey of a face: ambient, plus a part that grows as the face turns towards the viewer


class GridDrawing(NamedTuple):
    """Two pictures of a grid, rows from top to bottom.

    Attributes:
        grey: (S, S) uint8, 255 where the ray meets no cell.
        cell: (S, S) int64, flat index of the cell that the ray meets, −1 for none.
    """

    grey: NDArray[np.uint8]
    cell: NDArray[np.int64]


def draw_grid(grid: NDArray[np.uint8], side: int) -> GridDrawing:
    """Draw a grid from azimuth 30° and elevation 30°, in parallel projection.

    Args:
        grid: (N, N, N) uint8 of 0 and 1, indexed [x, y, z] with z up.
        side: Pixels S along one side of the picture.

    Returns:
        The grey and the cell at each pixel.
    """
    right, up, backward = cameras(12).axes[1]
    N = len(grid)
    half = N * np.sqrt(3) / 2  # the sphere around the grid fills the picture
    across = half * ((np.arange(side) + 0.5) * 2 / side - 1)
    starts = (N / 2 + up * -across[:, None, None] + right * across[:, None] + half * backward).reshape(-1, 3)
    cells = np.floor(starts).astype(np.int64)
    hits, entry_axis = np.full(len(starts), -1, np.int64), np.zeros(len(starts), np.int64)
    active = np.arange(len(starts))  # rays that are still inside the grid or before it
    while len(active):
        places = cells[active]
        flat = np.ravel_multi_index(tuple(places.T), grid.shape, mode="clip")
        hit = (places < N).all(axis=1) & (places >= 0).all(axis=1) & (grid.reshape(-1)[flat] > 0)
        hits[active[hit]] = flat[hit]
        active = active[~hit & (places >= 0).all(axis=1)]  # rays descend along every axis
        entry_axis[active] = ((starts[active] - cells[active]) / backward).argmin(axis=1)  # the first face reached
        cells[active, entry_axis[active]] -= 1
    grey = np.where(hits < 0, 255, _AMBIENT + _FACING * backward[entry_axis]).astype(np.uint8)
    return GridDrawing(grey.reshape(side, side), hits.reshape(side, side))
