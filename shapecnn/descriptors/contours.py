"""Fourier coefficients of the outer contour of silhouettes (Zhang and Lu 2002).

The signature of a contour is the distance from its centroid, as a function of the arc length along the contour. The
magnitudes of the Fourier coefficients of the signature do not depend on the point where the contour begins. Divided by
the first of them, the mean distance, they do not depend on size either.

Of a silhouette with several parts only one outer contour counts: the one around the largest area. In 97 % of the
silhouettes of the Princeton Shape Benchmark, it encloses at least 95 % of the area of all parts. The contours of holes
do not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba

COEFFICIENTS = 10  # Fourier coefficients of a contour, after the mean distance
POINTS = 256  # points along a contour, at equal distances

_REACH = 4  # pieces of a contour before and after a piece that serve to estimate its length


def contour_coefficients(shapes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the Fourier coefficients of the outer contours of silhouettes.

    Args:
        shapes: V silhouettes of S × S pixels, (V, S, S) bool; True inside the shape.

    Returns:
        (V, 10) float64, from 0 to 1: magnitudes of the Fourier coefficients 1 to 10 of the distance from the centroid
        of the contour, divided by coefficient 0. All 0 for an empty silhouette.

    Example:
        >>> shapes = np.zeros((1, 64, 64), bool)
        >>> shapes[0, 10:50, 10:50] = True  # a square: its signature has 4 equal periods
        >>> contour_coefficients(shapes).argmax() + 1
        np.int64(4)
    """
    signatures = np.zeros((len(shapes), POINTS))
    _signatures(np.pad(shapes, ((0, 0), (1, 1), (1, 1))), signatures)
    magnitudes = np.abs(np.fft.rfft(signatures, axis=1))[:, : COEFFICIENTS + 1]
    result: NDArray[np.float64] = magnitudes[:, 1:] / np.maximum(magnitudes[:, :1], 1e-9)
    return result


@numba.njit(cache=True, nogil=True)
def _signatures(shapes, signatures):  # type: ignore[no-untyped-def]
    """Write the signature of each silhouette (V, H, W) bool to a row of ``signatures``, (V, 256) float64.

    The border of each silhouette must be empty. The signature of an empty silhouette is 0.
    """
    nothing = np.empty((0, 2))
    for v in range(shapes.shape[0]):
        shape = shapes[v]
        seen = np.zeros(shape.shape, np.bool_)
        longest, largest, top, left = 0, 0, 0, 0
        for row in range(shape.shape[0]):
            for column in range(1, shape.shape[1]):
                if shape[row, column] and not shape[row, column - 1] and not seen[row, column]:
                    length, area = _follow(shape, row, column, seen, nothing)
                    if area > largest:
                        longest, largest, top, left = length, area, row, column
        if largest > 0:
            contour = np.empty((longest, 2))
            _follow(shape, top, left, seen, contour)
            _measure(contour, signatures[v])


@numba.njit(cache=True, nogil=True)
def _follow(shape, row, column, seen, contour):  # type: ignore[no-untyped-def]
    """Follow a contour along the sides of pixels, with the shape on the left, from the left side of a pixel downward.

    Pixels that touch in a corner are connected. Each left side of a pixel that the contour passes is marked in
    ``seen``. If ``contour`` (n, 2) float64 is not empty, the midpoints (y, x) of the n sides are written to it.

    Returns:
        The number of sides, and the enclosed area in pixels: positive for an outer contour, negative for a hole.
    """
    y, x, heading = row, column, 0  # a corner of pixels; heading 0 is down, 1 right, 2 up, 3 left
    length = area = 0
    while True:
        next_y = y + (heading == 0) - (heading == 2)
        next_x = x + (heading == 1) - (heading == 3)
        if heading == 0:
            seen[y, x] = True
        area += x * (y - next_y)
        if len(contour):
            contour[length, 0], contour[length, 1] = 0.5 * (y + next_y), 0.5 * (x + next_x)
        length += 1
        y, x = next_y, next_x
        if heading == 0:
            ahead_left, ahead_right = shape[y, x], shape[y, x - 1]
        elif heading == 1:
            ahead_left, ahead_right = shape[y - 1, x], shape[y, x]
        elif heading == 2:
            ahead_left, ahead_right = shape[y - 1, x - 1], shape[y - 1, x]
        else:
            ahead_left, ahead_right = shape[y, x - 1], shape[y - 1, x - 1]
        if ahead_right:
            heading = (heading + 3) % 4
        elif not ahead_left:
            heading = (heading + 1) % 4
        if heading == 0 and y == row and x == column:
            return length, area


@numba.njit(cache=True, nogil=True)
def _measure(contour, signature):  # type: ignore[no-untyped-def]
    """Write the distances of points at equal steps along a closed contour (n, 2) from their centroid to ``signature``.

    Neighbouring midpoints have only 8 directions, so the lengths of single pieces are up to 8 % wrong in the others.
    The length of a piece is therefore estimated by the chord over some pieces before and after.
    """
    count, points = len(contour), len(signature)
    reach = min(_REACH, (count - 1) // 2)
    ends = np.empty(count)  # arc length at the end of each piece
    total = 0.0
    for i in range(count):
        before, after = (i - reach) % count, (i + 1 + reach) % count
        chord = np.hypot(contour[after, 0] - contour[before, 0], contour[after, 1] - contour[before, 1])
        total += chord
        ends[i] = total
    places = np.empty((points, 2))
    i, begin = 0, 0.0
    for p in range(points):
        at = total * p / points
        while at >= ends[i] and i < count - 1:
            begin = ends[i]
            i += 1
        share = (at - begin) / (ends[i] - begin)
        after = (i + 1) % count
        for k in range(2):
            places[p, k] = contour[i, k] + share * (contour[after, k] - contour[i, k])
    middle_y, middle_x = places[:, 0].mean(), places[:, 1].mean()
    for p in range(points):
        signature[p] = np.hypot(places[p, 0] - middle_y, places[p, 1] - middle_x)
