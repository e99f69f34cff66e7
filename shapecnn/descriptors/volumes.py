"""Compiled loops of the descriptors over the cells of voxel grids: distance transform and trilinear sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

_FAR = 1e9  # squared distance of a cell from which no filled cell has been found yet


def distances(grid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the distance of the centre of each cell to the centre of the nearest filled cell.

    Args:
        grid: (R, R, R) bool with at least one filled cell.

    Returns:
        (R, R, R) float32, in cells; 0 for filled cells.

    Example:
        >>> grid = np.zeros((4, 4, 4), bool)
        >>> grid[0, 0, 0] = True
        >>> float(distances(grid)[0, 3, 3])
        4.242640495300293
    """
    size = len(grid)
    squared = np.empty(grid.shape, np.float32)
    _square_along_lines(np.ascontiguousarray(grid).reshape(-1, size), squared.reshape(-1, size))
    for axis in (1, 0):
        lines = np.ascontiguousarray(np.moveaxis(squared, axis, 2))
        _lower_envelopes(lines.reshape(-1, size))
        squared = np.moveaxis(lines, 2, axis)
    result: NDArray[np.float32] = np.sqrt(np.ascontiguousarray(squared))
    return result


@numba.njit(cache=True, nogil=True)
def _square_along_lines(grid, squared):  # type: ignore[no-untyped-def]
    """Write the squared distance of each cell to the nearest filled cell of its line to ``squared``, (L, R) float32."""
    count, size = grid.shape
    for line in range(count):
        steps = _FAR
        for position in range(size):
            steps = 0.0 if grid[line, position] else steps + 1.0
            squared[line, position] = steps
        steps = _FAR
        for position in range(size - 1, -1, -1):
            steps = min(steps + 1.0, squared[line, position])
            squared[line, position] = min(steps * steps, _FAR)


@numba.njit(cache=True, nogil=True)
def _lower_envelopes(lines):  # type: ignore[no-untyped-def]
    """Replace each value of a line by the smallest sum of a value and the squared distance to it, in place.

    A pass for each further axis gives squared Euclidean distances. Each line takes linear time: the sums are parabolas,
    whose lower envelope is built from left to right (Felzenszwalb, Huttenlocher, 2012). Positions without a filled cell
    in the axes before have no parabola.
    """
    count, size = lines.shape
    lowest = np.empty(size, np.int64)  # positions of the parabolas of the envelope
    begin = np.empty(size + 1, np.float64)  # where each parabola of the envelope begins
    heights = np.empty(size, np.float64)  # values of the parabolas at position 0
    for line in range(count):
        last = -1
        for position in range(size):
            if lines[line, position] >= _FAR:
                continue
            heights[position] = lines[line, position] + position * position
            meet = -np.inf
            while last >= 0:
                other = lowest[last]
                meet = (heights[position] - heights[other]) / (2.0 * (position - other))
                if meet > begin[last]:
                    break
                last -= 1
                meet = -np.inf
            last += 1
            lowest[last] = position
            begin[last], begin[last + 1] = meet, np.inf
        if last < 0:
            continue
        nearest = 0
        for position in range(size):
            while begin[nearest + 1] < position:
                nearest += 1
            other = lowest[nearest]
            lines[line, position] = heights[other] + position * (position - 2 * other)


@numba.njit(cache=True, nogil=True)
def sample(field, points):  # type: ignore[no-untyped-def]
    """Interpolate a field (R, R, R) float32 at P points (P, 3) in cells; (P,) float32, 0 outside of the grid."""
    size = field.shape[0]
    samples = np.zeros(len(points), np.float32)
    for number in range(len(points)):
        x, y, z = points[number, 0], points[number, 1], points[number, 2]
        if not (0.0 <= x <= size - 1 and 0.0 <= y <= size - 1 and 0.0 <= z <= size - 1):
            continue
        i, j, k = min(int(x), size - 2), min(int(y), size - 2), min(int(z), size - 2)
        u, v, w = x - i, y - j, z - k
        low = (1 - v) * ((1 - w) * field[i, j, k] + w * field[i, j, k + 1]) + v * (
            (1 - w) * field[i, j + 1, k] + w * field[i, j + 1, k + 1]
        )
        high = (1 - v) * ((1 - w) * field[i + 1, j, k] + w * field[i + 1, j, k + 1]) + v * (
            (1 - w) * field[i + 1, j + 1, k] + w * field[i + 1, j + 1, k + 1]
        )
        samples[number] = (1 - u) * low + u * high
    return samples
