"""Draw many voxel grids of one size quickly: the cells on each line of sight are computed once for all grids.

The drawings equal those of :func:`shapecnn.report.grids.draw_grid`, which needs no memory between two drawings.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shapecnn.report.grids import GridDrawing
from shapecnn.views.cameras import cameras

_FACING, _AMBIENT = 150, 80  # grey of a cell face, as in draw_grid


def draw_grid_fast(grid: NDArray[np.uint8], side: int) -> GridDrawing:
    """Draw a voxel grid in parallel projection, seen from azimuth 30° and elevation 30°.

    Args:
        grid: Grid of N × N × N cells, (N, N, N) uint8 of 0 (empty) and 1 (filled), indexed [x, y, z] with z up.
        side: Width and height of the picture in pixels.

    Returns:
        The grey value and the visible cell of each pixel.
    """
    cells, axes = _rays(len(grid), side)
    filled = np.append(grid.reshape(-1) > 0, False)[cells]  # the last cell is outside
    step = filled.argmax(axis=0)
    pixels = np.arange(side * side)
    hit = filled[step, pixels]
    backward = cameras(12).axes[1][2]
    grey = np.where(hit, _AMBIENT + _FACING * backward[axes[step, pixels]], 255).astype(np.uint8)
    cell = np.where(hit, cells[step, pixels], -1).astype(np.int64)
    return GridDrawing(grey.reshape(side, side), cell.reshape(side, side))


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


@lru_cache(maxsize=8)
def _rays(count: int, side: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the cells that the rays through all pixels cross, and the axis along which a ray enters each cell.

    Args:
        count: Number of cells a side of the grid, N.
        side: Width and height of the picture in pixels, S.

    Returns:
        Indices of cells in the flattened grid, (L, S²) int32 for at most L cells on a ray, the nearest first; N³ for a
        cell outside the grid. And the axes (L, S²) uint8.
    """
    right, up, backward = cameras(12).axes[1]
    half = count * np.sqrt(3) / 2  # the sphere around the grid fills the picture
    across = half * ((np.arange(side) + 0.5) * 2 / side - 1)
    starts = (count / 2 + up * -across[:, None, None] + right * across[:, None] + half * backward).reshape(-1, 3)
    cells, entry = np.floor(starts).astype(np.int64), np.zeros(len(starts), np.int64)
    rows, crossed, entries = np.arange(len(starts)), [], []
    while (cells >= 0).all(axis=1).any():  # rays move towards lower indices
        inside = ((cells >= 0) & (cells < count)).all(axis=1)
        if inside.any():
            flat = (cells[:, 0] * count + cells[:, 1]) * count + cells[:, 2]
            crossed.append(np.where(inside, flat, count**3).astype(np.int32))
            entries.append(entry.astype(np.uint8))
        entry = ((starts - cells) / backward).argmin(axis=1)  # the first face reached
        cells[rows, entry] -= 1
    return np.stack(crossed), np.stack(entries)
