"""Which cells of a grid triangles meet, and which cells the outside reaches.

Cell (i, j, k) is the closed box [i, i+1] × [j, j+1] × [k, k+1]. Whether a triangle meets it is decided by
the 13 axes of the separating axis theorem (Akenine-Möller, "Fast 3D Triangle-Box Overlap Testing", JGT
2001). As in Schwarz & Seidel ("Fast Parallel Surface and Solid Voxelization on GPUs", SIGGRAPH Asia 2010),
all that depends on the triangle alone is computed once; what is left of an axis is a linear function of
(i, j, k) that must not be negative. So the cells met in a column along z are one run, and its ends are found
by clipping.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

EMPTY, SURFACE, OUTSIDE = 0, 1, 2  # what is known of a cell

# In cells, how much larger they are taken on every side: well above the rounding of coordinates up to 1024
# (1e-13), so that two neighbours never both miss a triangle that touches the face between them.
TOLERANCE = 1e-9

# Times the cube of a triangle's size, how far the rounding of its normal n can move n·(p − corner). With this
# allowed for, the plane of a sliver, whose normal is mostly rounding, rejects nothing: its edges decide.
_NORMAL_ROUNDING = 1e-14


@numba.njit(cache=True)
def mark_surface(vertices: NDArray[np.float64], faces: NDArray[np.int32], cells: NDArray[np.uint8]) -> None:
    """Set every cell that a triangle meets to SURFACE; one of zero area is the segment or point it shrank to.

    vertices: (n, 3) float64, finite, in cells.  faces: (m, 3), indices into vertices.
    cells: (X, Y, Z) uint8, changed in place; what lies beyond it marks nothing.
    """
    corner = np.empty((3, 3))
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    rows = np.zeros((11, 4))
    for f in range(faces.shape[0]):
        size = 0.0
        wide = 0  # axes along which the bounding box spans several cells
        for a in range(3):
            for m in range(3):
                corner[m, a] = vertices[faces[f, m], a]
            least = min(corner[0, a], corner[1, a], corner[2, a])
            most = max(corner[0, a], corner[1, a], corner[2, a])
            lowest, highest = np.ceil(least - TOLERANCE) - 1.0, np.floor(most + TOLERANCE)
            low[a] = int(min(max(lowest, 0.0), cells.shape[a]))
            high[a] = int(max(min(highest, cells.shape[a] - 1.0), -1.0))
            size = max(size, most - least)
            wide += highest > lowest
        clips = 0  # a triangle is connected: if the cells of its box are a single line, it meets them all
        if wide > 1:
            clips = len(rows)
            _inequalities(corner, size, rows)
        for i in range(low[0], high[0] + 1):
            first_j, last_j = low[1], high[1]
            for r in range(min(clips, 3)):
                first_j, last_j = _clip(first_j, last_j, rows[r, 0] * i + rows[r, 3], rows[r, 1])
            for j in range(first_j, last_j + 1):
                first_k, last_k = low[2], high[2]
                for r in range(3, clips):
                    value = rows[r, 0] * i + rows[r, 1] * j + rows[r, 3]
                    first_k, last_k = _clip(first_k, last_k, value, rows[r, 2])
                for k in range(first_k, last_k + 1):
                    cells[i, j, k] = SURFACE


@numba.njit(cache=True)
def _inequalities(corner: NDArray[np.float64], size: float, rows: NDArray[np.float64]) -> None:
    """Fill rows with (a, b, c, d): a triangle meets cell (i, j, k) only if a·i + b·j + c·k + d ≥ 0 for each.

    In the triangle's bounding box that is also enough.  corner: (3, 3).  size: longest side of that box.
    rows: (11, 4), zeros at first: the edges seen along z (c = 0), along x, along y, both sides of the plane.
    """
    rows[9, 3] = rows[10, 3] = _NORMAL_ROUNDING * size * size * size
    for w in range(3):
        u, v = (w + 1) % 3, (w + 2) % 3
        normal = (corner[1, u] - corner[0, u]) * (corner[2, v] - corner[0, v])
        normal -= (corner[1, v] - corner[0, v]) * (corner[2, u] - corner[0, u])
        side = 1.0 if normal >= 0.0 else -1.0  # the way round, seen along w
        for m in range(3):
            after = (m + 1) % 3
            inward_u = side * (corner[m, v] - corner[after, v])
            inward_v = side * (corner[after, u] - corner[m, u])
            rows[3 * u + m, u] = inward_u
            rows[3 * u + m, v] = inward_v
            rows[3 * u + m, 3] = _most(inward_u, corner[m, u]) + _most(inward_v, corner[m, v])
        rows[9, w] = normal
        rows[10, w] = -normal
        rows[9, 3] += _most(normal, corner[0, w])
        rows[10, 3] += _most(-normal, corner[0, w])


@numba.njit(cache=True)
def _most(slope: float, zero: float) -> float:
    """The largest slope·(t − zero) for t within the first cell."""
    return slope * (1.0 + TOLERANCE - zero) if slope > 0.0 else slope * (-TOLERANCE - zero)


@numba.njit(cache=True)
def _clip(first: int, last: int, value: float, slope: float) -> tuple[int, int]:
    """The part of first..last where value + slope·t ≥ 0, never more; last < first if there is none."""
    if slope > 0.0:
        bound = -value / slope
        if bound > last:
            return first, first - 1
        if bound > first:
            first = math.ceil(bound)
    elif slope < 0.0:
        bound = -value / slope
        if bound < first:
            return first, first - 1
        if bound < last:
            last = math.floor(bound)
    elif value < 0.0:
        return first, first - 1
    return first, last


@numba.njit(cache=True)
def mark_outside(cells: NDArray[np.uint8]) -> None:
    """Set cell (1, 1, 1), and every EMPTY cell reached from it across faces of EMPTY cells, to OUTSIDE.

    cells: (X, Y, Z) uint8 in C order, each side at least 3, fewer than 2³¹ in all, changed in place. The
    outermost layer becomes OUTSIDE whatever it was: it is the wall that keeps the flood in the array.
    """
    for side in (0, -1):
        cells[side] = OUTSIDE
        cells[:, side] = OUTSIDE
        cells[:, :, side] = OUTSIDE
    flat = cells.reshape(-1)
    along_x, along_y = cells.shape[1] * cells.shape[2], cells.shape[2]
    pending = np.empty(flat.size, np.int32)  # a stack; each cell comes here once at most
    pending[0] = along_x + along_y + 1
    flat[pending[0]] = OUTSIDE
    count = 1
    while count > 0:
        count -= 1
        cell = pending[count]
        for step in (-along_x, along_x, -along_y, along_y, -1, 1):
            near = cell + step
            if flat[near] == EMPTY:
                flat[near] = OUTSIDE
                pending[count] = near
                count += 1
