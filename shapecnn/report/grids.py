"""Draw a voxel grid from an oblique angle by ray casting.

Parallel rays step from cell to cell until they hit a filled cell (Amanatides & Woo, "A Fast Voxel Traversal Algorithm
for Ray Tracing", Eurographics 1987).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.views.cameras import cameras

_FACING, _AMBIENT = 150, 80  # grey of a cell face: _AMBIENT, plus up to _FACING for a face turned towards the viewer


class GridDrawing(NamedTuple):
    """Picture of a voxel grid with S × S pixels, and the grid cell that each pixel shows.

    The first row of the picture is its top row.

    Attributes:
        grey: Grey value of each pixel, (S, S) uint8; 255 for the background.
        cell: Index of the grid cell that each pixel shows, in the flattened grid, (S, S) int64; −1 for the background.
    """

    grey: NDArray[np.uint8]
    cell: NDArray[np.int64]


def draw_grid(grid: NDArray[np.uint8], side: int) -> GridDrawing:
    """Draw a voxel grid in parallel projection, seen from azimuth 30° and elevation 30°.

    Args:
        grid: Grid of N × N × N cells, (N, N, N) uint8 of 0 (empty) and 1 (filled), indexed [x, y, z] with z up.
        side: Width and height of the picture in pixels, S.

    Returns:
        The grey value and the visible cell of each pixel.
    """
    right, up, backward = cameras(12).axes[1]
    N = len(grid)
    half = N * np.sqrt(3) / 2  # the sphere around the grid fills the picture
    across = half * ((np.arange(side) + 0.5) * 2 / side - 1)
    starts = (N / 2 + up * -across[:, None, None] + right * across[:, None] + half * backward).reshape(-1, 3)
    cells = np.floor(starts).astype(np.int64)
    hits, entry_axis = np.full(len(starts), -1, np.int64), np.zeros(len(starts), np.int64)
    active = np.arange(len(starts))  # rays that are still inside the grid and have not hit a filled cell
    while len(active):
        places = cells[active]
        flat = np.ravel_multi_index(tuple(places.T), grid.shape, mode="clip")
        hit = (places < N).all(axis=1) & (places >= 0).all(axis=1) & (grid.reshape(-1)[flat] > 0)
        hits[active[hit]] = flat[hit]
        active = active[~hit & (places >= 0).all(axis=1)]  # rays move towards lower indices
        entry_axis[active] = ((starts[active] - cells[active]) / backward).argmin(axis=1)  # the first face reached
        cells[active, entry_axis[active]] -= 1
    grey = np.where(hits < 0, 255, _AMBIENT + _FACING * backward[entry_axis]).astype(np.uint8)
    return GridDrawing(grey.reshape(side, side), hits.reshape(side, side))
