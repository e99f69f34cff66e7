"""A grid drawn obliquely: parallel rays go from cell to cell until they meet a filled one (Amanatides & Woo, "A Fast
Voxel Traversal Algorithm for Ray Tracing", Eurographics 1987)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.views.cameras import cameras

_FACING, _AMBIENT = 150, 80  # grey of a face: ambient, and more the more it faces the reader


class Seen(NamedTuple):
    """Pictures (S, S), rows from top to bottom.

    grey: uint8, 255 where no cell is met.  cell: int64, flat index of the cell that is met, −1 for none.
    """

    grey: NDArray[np.uint8]
    cell: NDArray[np.int64]


def see(grid: NDArray[np.uint8], side: int) -> Seen:
    """A grid [x, y, z] of 0 and 1 with z up, N cells a side, as it looks from azimuth 30° and elevation 30°."""
    right, up, backward = cameras(12).axes[1]
    N = len(grid)
    half = N * np.sqrt(3) / 2  # the ball around the grid fills the picture
    across = half * ((np.arange(side) + 0.5) * 2 / side - 1)
    starts = (N / 2 + up * -across[:, None, None] + right * across[:, None] + half * backward).reshape(-1, 3)
    cells = np.floor(starts).astype(np.int64)
    met, entered = np.full(len(starts), -1, np.int64), np.zeros(len(starts), np.int64)
    going = np.arange(len(starts))
    while len(going):
        places = cells[going]
        flat = np.ravel_multi_index(tuple(places.T), grid.shape, mode="clip")
        hit = (places < N).all(axis=1) & (places >= 0).all(axis=1) & (grid.reshape(-1)[flat] > 0)
        met[going[hit]] = flat[hit]
        going = going[~hit & (places >= 0).all(axis=1)]  # rays go down along every axis
        entered[going] = ((starts[going] - cells[going]) / backward).argmin(axis=1)  # the face that is reached first
        cells[going, entered[going]] -= 1
    grey = np.where(met < 0, 255, _AMBIENT + _FACING * backward[entered]).astype(np.uint8)
    return Seen(grey.reshape(side, side), met.reshape(side, side))
