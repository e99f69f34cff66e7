"""Compiled loops of the descriptors over the cells of voxel grids: distance transform and trilinear sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

_FAR = 1e9  # squared distance of a cell in a line without filled cells


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
    squared = np.where(grid, np.float32(0), np.float32(_FAR))
    for axis in range(3):
        lines = np.ascontiguousarray(np.moveaxis(squared, axis, 2))
        _lower_envelopes(lines.reshape(-1, lines.shape[2]))
        squared = np.moveaxis(lines, 2, axis)
    result: NDArray[np.float32] = np.sqrt(np.ascontiguousarray(squared))
    return result


@numba.njit(cache=True, nogil=True)
def _lower_envelopes(lines):  # type: ignore[no-untyped-def]
    """Replace each value of a line by the smallest sum of a value and the squared distance to it, in place.

    Three passes, one for each axis, give squared Euclidean distances. Each line takes linear time: the sums are
    parabolas, whose lower envelope is built from left to right (Felzenszwalb, Huttenlocher, 2012).
    """
    count, size = lines.shape
    lowest = np.empty(size, np.int64)  # positions of the parabolas of the envelope
    begin = np.empty(size + 1, np.float64)  # where each parabola of the envelope begins
    heights = np.empty(size, np.float64)  # values of the parabolas at position 0
    for line in range(count):
        for position in range(size):
            heights[position] = lines[line, position] + position * position
        last = 0
        lowest[0] = 0
        begin[0], begin[1] = -np.inf, np.inf
        for position in range(1, size):
            while True:
                other = lowest[last]
                meet = (heights[position] - heights[other]) / (2.0 * (position - other))
                if meet > begin[last]:
                    break
                last -= 1
            last += 1
            lowest[last] = position
            begin[last], begin[last + 1] = meet, np.inf
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
