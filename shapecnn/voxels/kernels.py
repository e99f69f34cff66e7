"""Numba kernels that mark the cells on the surface of a mesh and the cells outside it.

Cell (i, j, k) is the closed box [i, i+1] × [j, j+1] × [k, k+1]. A test with the 13 axes of the separating axis theorem
decides whether a triangle touches a cell (Akenine-Möller, "Fast 3D Triangle-Box Overlap Testing", JGT 2001). As in
Schwarz & Seidel ("Fast Parallel Surface and Solid Voxelization on GPUs", SIGGRAPH Asia 2010), the terms that depend
only on the triangle are computed once per triangle. The test of one axis then checks whether a linear function of
(i, j, k) lies in an interval. Therefore the cells that a triangle touches in a column along z are one run, which is
found by clipping.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

EMPTY, SURFACE, OUTSIDE = 0, 1, 2  # values of a cell

# Each cell is enlarged by this length, in cells, on every side. The length is well above the rounding of coordinates up
# to 1024 (1e-13), so a triangle on the boundary between two cells always marks at least one of the cells.
TOLERANCE = 1e-9


@numba.njit(cache=True, nogil=True)
def mark_surface(vertices: NDArray[np.float64], faces: NDArray[np.int32], cells: NDArray[np.uint8]) -> None:
    """Set every cell that a triangle touches to SURFACE.

    A triangle of zero area is treated as a line segment or a point.

    Args:
        vertices: Coordinates of the n vertices in cells, (n, 3) float64, finite.
        faces: Vertex indices of the m triangles, (m, 3) int32.
        cells: Grid of X × Y × Z cells, (X, Y, Z) uint8, changed in place. Parts of triangles outside the grid are
            ignored.
    """
    corner = np.empty((3, 3))
    first = np.empty(3, np.int64)
    last = np.empty(3, np.int64)
    axes = np.zeros((10, 5))
    for f in range(faces.shape[0]):
        wide = 0  # number of axes along which the bounding box of the triangle spans several cells
        for a in range(3):
            for m in range(3):
                corner[m, a] = vertices[faces[f, m], a]
            least = min(corner[0, a], corner[1, a], corner[2, a])
            most = max(corner[0, a], corner[1, a], corner[2, a])
            low, high = np.ceil(least - TOLERANCE) - 1.0, np.floor(most + TOLERANCE)
            first[a] = int(min(max(low, 0.0), cells.shape[a]))
            last[a] = int(max(min(high, cells.shape[a] - 1.0), -1.0))
            wide += high > low
        count = 0  # number of axes to test: none if the bounding box is one row of cells, all of which are touched
        if wide > 1:
            _project(corner, axes)
            count = len(axes)
        for i in range(first[0], last[0] + 1):
            first_j, last_j = first[1], last[1]
            for r in range(min(count, 3)):
                at = axes[r, 0] * i
                first_j, last_j = _clip(first_j, last_j, axes[r, 1], axes[r, 3] - at, axes[r, 4] - at)
            for j in range(first_j, last_j + 1):
                first_k, last_k = first[2], last[2]
                for r in range(3, count):
                    at = axes[r, 0] * i + axes[r, 1] * j
                    first_k, last_k = _clip(first_k, last_k, axes[r, 2], axes[r, 3] - at, axes[r, 4] - at)
                for k in range(first_k, last_k + 1):
                    cells[i, j, k] = SURFACE


@numba.njit(cache=True, nogil=True)
def _project(corner: NDArray[np.float64], axes: NDArray[np.float64]) -> None:
    """Compute the 10 axes along which a triangle may be separated from a cell, for the separating axis theorem.

    Each row of ``axes`` is (a, b, c, low, high): the triangle does not touch cell (i, j, k) unless
    low ≤ a·i + b·j + c·k ≤ high. The rows are the normals of the edges projected along z (c = 0), along x and along y,
    and the normal of the plane. Rounding may tilt an axis, but the interval is computed for the tilted axis, so the
    test stays correct.

    Args:
        corner: Corners of the triangle, (3, 3) float64.
        axes: The separating axes, (10, 5) float64, zeros at first, filled in place.
    """
    for w in range(3):
        u, v = (w + 1) % 3, (w + 2) % 3
        for m in range(3):
            after = (m + 1) % 3
            axes[3 * u + m, u] = corner[m, v] - corner[after, v]
            axes[3 * u + m, v] = corner[after, u] - corner[m, u]
        axes[9, w] = axes[3 * u, u] * axes[3 * u + 1, v] - axes[3 * u, v] * axes[3 * u + 1, u]
    for r in range(len(axes)):
        a, b, c = axes[r, 0], axes[r, 1], axes[r, 2]
        p = a * corner[0, 0] + b * corner[0, 1] + c * corner[0, 2]
        q = a * corner[1, 0] + b * corner[1, 1] + c * corner[1, 2]
        s = a * corner[2, 0] + b * corner[2, 1] + c * corner[2, 2]
        upward = max(a, 0.0) + max(b, 0.0) + max(c, 0.0)
        downward = min(a, 0.0) + min(b, 0.0) + min(c, 0.0)
        slack = TOLERANCE * (upward - downward)
        axes[r, 3] = min(p, q, s) - upward - slack
        axes[r, 4] = max(p, q, s) - downward + slack


@numba.njit(cache=True, nogil=True)
def _clip(first: int, last: int, slope: float, low: float, high: float) -> tuple[int, int]:
    """Return the first and last integer t in first..last with low ≤ slope·t ≤ high; last < first if none exists."""
    if slope == 0.0:
        return first, last if low <= 0.0 <= high else first - 1
    begin, end = low / slope, high / slope
    if slope < 0.0:
        begin, end = end, begin
    if begin > last or end < first:
        return first, first - 1
    return (
        math.ceil(begin) if begin > first else first,
        math.floor(end) if end < last else last,
    )


@numba.njit(cache=True, nogil=True)
def mark_outside(cells: NDArray[np.uint8]) -> None:
    """Flood fill from cell (1, 1, 1): set this cell and all EMPTY cells connected to it to OUTSIDE.

    Cells are connected across common faces. The outermost layer of the array is first set to OUTSIDE, as a border that
    keeps the flood fill inside the array.

    Args:
        cells: Grid of X × Y × Z cells, (X, Y, Z) uint8 in C order, changed in place. Each side has at least 3 cells,
            and the grid has fewer than 2³¹ cells in total.
    """
    for side in (0, -1):
        cells[side] = OUTSIDE
        cells[:, side] = OUTSIDE
        cells[:, :, side] = OUTSIDE
    flat = cells.reshape(-1)
    along_x, along_y = cells.shape[1] * cells.shape[2], cells.shape[2]
    pending = np.empty(flat.size, np.int32)  # stack of flat cell indices; each cell is pushed at most once
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
