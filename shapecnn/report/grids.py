"""Draw a voxel grid from an oblique angle by ray casting.

Parallel rays step from cell to cell until they hit a filled cell (Amanatides & Woo, "A Fast Voxel Traversal Algorithm
for Ray Tracing", Eurographics 1987).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
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
    axes = cameras(12).axes[1]
    cell, entry_axis = _cast(np.ascontiguousarray(grid), axes, _positions(len(grid), side))
    grey = np.where(cell < 0, 255, _AMBIENT + _FACING * axes[2][entry_axis]).astype(np.uint8)
    return GridDrawing(grey, cell)


def project(points: NDArray[np.float64], count: int, side: int) -> NDArray[np.float64]:
    """Return where points of a grid stand in its drawing.

    Args:
        points: (P, 3) positions of P points in cells, from 0 to N along each axis of a grid of N × N × N cells.
        count: Number of cells a side, N.
        side: Width and height of the drawing in pixels.

    Returns:
        (P, 2) float64: position of each point from the left and from the top of the drawing, in pixels.

    Example:
        >>> project(np.array([[4.0, 4.0, 4.0]]), 8, 100)  # the centre of the grid
        array([[50., 50.]])
    """
    right, up, _ = cameras(12).axes[1]
    across = (points - count / 2) @ np.stack([right, -up], axis=1)
    return np.asarray((across / (count * np.sqrt(3) / 2) + 1) * side / 2)


def _positions(count: int, side: int) -> NDArray[np.float64]:
    """Return how far the centres of S pixels in a row are from the centre of the picture, in cells: (S,) float64."""
    half = count * np.sqrt(3) / 2  # the sphere around the grid fills the picture
    return np.asarray(half * ((np.arange(side) + 0.5) * 2 / side - 1))


@numba.njit(cache=True, nogil=True)
def _cast(
    grid: NDArray[np.uint8], axes: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Follow the ray through each pixel until it hits a filled cell.

    Args:
        grid: Grid of N × N × N cells, (N, N, N) uint8 of 0 and 1.
        axes: Directions right, up and backward of the camera, (3, 3) float64; all parts of backward are positive.
        positions: Distances of the pixels of a row from the centre of the picture, (S,) float64.

    Returns:
        The index of the cell that each pixel shows in the flattened grid, (S, S) int64, −1 for none; and the axis
        along which the ray entered this cell, (S, S) int64.
    """
    count, side = len(grid), len(positions)
    right, up, backward = axes[0], axes[1], axes[2]
    shown = np.full((side, side), -1, np.int64)
    entry_axis = np.zeros((side, side), np.int64)
    start, cell = np.empty(3), np.empty(3, np.int64)
    for row in range(side):
        for column in range(side):
            for k in range(3):
                across = right[k] * positions[column] - up[k] * positions[row]
                start[k] = count / 2 + across + backward[k] * count * np.sqrt(3) / 2
                cell[k] = np.floor(start[k])
            entry = np.int64(0)
            while cell.min() >= 0:  # rays move towards lower indices
                if cell.max() < count and grid[cell[0], cell[1], cell[2]] > 0:
                    shown[row, column] = (cell[0] * count + cell[1]) * count + cell[2]
                    entry_axis[row, column] = entry
                    break
                entry = np.argmin((start - cell) / backward)  # the first face that the ray reaches
                cell[entry] -= 1
    return shown, entry_axis
