"""Magnitudes of the Zernike moments of silhouettes, which do not depend on position, size and rotation in the picture.

The Zernike moment of order n and repetition m is the mean of the polynomial R(ρ) e^(−imθ) over the pixels of a
silhouette, where R(1) = 1 (Teague 1980; Khotanzad and Hong 1990). The polar coordinates ρ and θ are centred at the
centroid, and the farthest pixel is on the unit circle. A rotation changes only the phase of the moment, and a mirror
image has the complex conjugate.

Each silhouette has its own unit circle. One circle for all silhouettes of a system, or of a shape, retrieved fewer
shapes of the same class in the train split of the Princeton Shape Benchmark: 35.3 and 34.8 instead of 35.9 mAP.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

ORDER = 10  # highest order of the moments
MOMENTS = 35  # moments of orders 1 to 10 and repetitions of at least 0


def zernike_magnitudes(shapes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the magnitudes of the Zernike moments of silhouettes up to order 10, without the constant of order 0.

    The moments are linear combinations of the moments of the powers of x and y. The latter are exact sums over pixel
    centres, computed by two matrix products for all silhouettes; the picture is not resampled.

    Args:
        shapes: V silhouettes of S × S pixels, (V, S, S) bool; True inside the shape.

    Returns:
        (V, 35) float64, from 0 to 1: orders 1 to 10, in each order n the repetitions n % 2, n % 2 + 2, …, n. All 0 for
        an empty silhouette.

    Example:
        >>> shapes = np.zeros((2, 64, 64), bool)
        >>> shapes[0, 5:25, 9:49] = True  # a bar
        >>> shapes[1, 20:60, 30:50] = True  # the bar moved and turned
        >>> bool(np.allclose(*zernike_magnitudes(shapes)))
        True
    """
    counts, x, y, radii = _circles(shapes)
    moments = _powers(y, radii, shapes.shape[1]).swapaxes(1, 2) @ (
        shapes.astype(np.float64) @ _powers(x, radii, shapes.shape[2])
    )  # (V, 11, 11), indexed [silhouette, power of y, power of x]
    combined = moments.reshape(len(shapes), -1) @ zernike_polynomials().reshape(MOMENTS, -1).T
    magnitudes: NDArray[np.float64] = np.abs(combined) / np.maximum(counts, 1)[:, None]
    return magnitudes


@cache
def zernike_polynomials() -> NDArray[np.complex128]:
    """Return the Zernike polynomials R(ρ) e^(−imθ) as polynomials in x = ρ cos θ and y = ρ sin θ.

    Returns:
        (35, 11, 11) complex128, indexed [polynomial, power of y, power of x], in the order of
        :func:`zernike_magnitudes`.
    """
    result = np.zeros((MOMENTS, ORDER + 1, ORDER + 1), np.complex128)
    pairs = [(n, m) for n in range(1, ORDER + 1) for m in range(n % 2, n + 1, 2)]
    for polynomial, (n, m) in zip(result, pairs, strict=True):
        for s in range((n - m) // 2 + 1):
            falls = math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial((n - m) // 2 - s)
            coefficient = (-1) ** s * math.factorial(n - s) // falls  # of ρ^(n − 2s), always an integer
            squares = (n - m) // 2 - s  # ρ^(n − 2s) e^(−imθ) = (x² + y²)^squares · (x − iy)^m
            for a, b in itertools.product(range(squares + 1), range(m + 1)):
                polynomial[2 * a + b, n - 2 * s - 2 * a - b] += (
                    coefficient * math.comb(squares, a) * math.comb(m, b) * (-1j) ** b
                )
    return result


def _circles(
    shapes: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixel count, centroid x, centroid y and radius of each of V silhouettes (V, S, S); each (V,).

    The circle around the centroid with this radius contains the centre of every pixel. It leaves half a pixel of room,
    so that the radius of a single pixel is not 0.
    """
    _, height, width = shapes.shape
    pixels = shapes.view(np.uint8)
    rows, columns = (pixels.sum(axis=axis, dtype=np.uint16) for axis in (2, 1))  # a view has at most 4096 pixels a side
    counts = rows.sum(axis=1, dtype=np.int64)
    some = np.maximum(counts, 1)
    x, y = columns @ np.arange(width) / some, rows @ np.arange(height) / some
    first, last = shapes.argmax(axis=2), width - 1 - shapes[:, :, ::-1].argmax(axis=2)
    across = np.maximum(x[:, None] - first, last - x[:, None])
    distances = np.where(rows > 0, np.hypot(across, np.arange(height) - y[:, None]), 0.0)
    return counts, x, y, distances.max(axis=1) + 0.5


def _powers(centres: NDArray[np.float64], radii: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the powers 0 to 10 of the coordinate (pixel − centre) / radius for V silhouettes, (V, size, 11)."""
    coordinates = (np.arange(size) - centres[:, None]) / radii[:, None]
    powers = np.ones((*coordinates.shape, ORDER + 1))
    np.multiply.accumulate(
        np.broadcast_to(coordinates[:, :, None], (*coordinates.shape, ORDER)), axis=2, out=powers[:, :, 1:]
    )
    return powers
