"""Spherical harmonic descriptor of a voxel grid (Kazhdan, Funkhouser, Rusinkiewicz, SGP 2003).

A Gaussian of the distance to the surface is sampled on concentric spheres around the centroid. On each sphere the
samples are decomposed into spherical harmonics. The descriptor holds the energy of each degree, which a rotation of the
shape does not change.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shapecnn.descriptors.volumes import distances, sample

SHELLS = 32  # concentric spheres around the centroid
DEGREES = 16  # degrees 0 to 15 of the spherical harmonics
RESOLUTION = 64  # cells along one side of the grid, as in the paper
LENGTH = SHELLS * DEGREES

_MARGIN = 12  # empty cells added on all sides, so that the border does not cut off the Gaussian around the surface
_LATITUDES = 32  # circles of sample directions on a sphere; each circle has twice as many directions
_BLUR = 2.0  # cells: width of the Gaussian for centroid and size, which evens out how rotated faces meet the cells
_WIDTH = 1 / 4  # width of the Gaussian of the descriptor, as a fraction of the mean distance from the centroid; chosen
# by leave-one-out retrieval on the train split of the Princeton Shape Benchmark, among 1/12 to 3/4


def spherical_harmonics(grid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the spherical harmonic descriptor of the surface of a shape.

    The outermost sphere has twice the mean distance of the surface from its centroid, so position and size of the shape
    do not matter. Samples are weighted by the radius of their sphere: a squared difference of two descriptors then
    approximates an integral over the volume.

    Args:
        grid: (R, R, R) bool, the cells that the surface of the shape touches.

    Returns:
        (512,) float32, at least 0: the square root of the energy of degrees 0 to 15 on each of 32 spheres, from the
        inside out. All 0 for an empty grid.

    Example:
        >>> grid = np.zeros((64, 64, 64), bool)
        >>> grid[16:48, 16:48, 16] = grid[16:48, 16:48, 47] = True
        >>> descriptor, turned = spherical_harmonics(grid), spherical_harmonics(grid.transpose(2, 0, 1))
        >>> bool(np.linalg.norm(descriptor - turned) < 0.01 * np.linalg.norm(descriptor))
        True
    """
    if not grid.any():
        return np.zeros(LENGTH, np.float32)
    distance = distances(np.pad(grid, _MARGIN))
    centroid, size = _centroid_and_size(np.exp(-np.square(distance / _BLUR)))
    field = np.exp(-np.square(distance / (_WIDTH * size)))
    radii = np.arange(1, SHELLS + 1) / SHELLS
    points = 2 * size * radii[:, None, None] * sample_directions() + centroid
    samples = sample(field, points.reshape(-1, 3)).reshape(SHELLS, -1)
    return np.sqrt(degree_energies(samples * radii[:, None].astype(np.float32))).ravel()


def degree_energies(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the energy of functions on the sphere per degree of their spherical harmonics.

    A rotation of a function does not change its energies. Their sum is the integral of the squared function over the
    sphere, if the function has no part of degree 16 or above.

    Args:
        samples: (N, 2048) float32, values of N functions at the directions of :func:`sample_directions`.

    Returns:
        (N, 16) float32, at least 0: for each degree from 0 to 15, the sum of the squared coefficients of its harmonics.
    """
    circles, basis = samples.reshape(len(samples), _LATITUDES, -1), _basis().reshape(_LATITUDES, -1, DEGREES**2)
    # Not a product by BLAS, whose last bits depend on the number of cores. Short sums keep the precision.
    coefficients = np.einsum("ncp,cpk->nck", circles, basis).sum(axis=1)
    energies: NDArray[np.float32] = np.add.reduceat(coefficients**2, np.arange(DEGREES) ** 2, axis=1)
    return energies  # the coefficients of degree l begin at column l²


def _centroid_and_size(weights: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return the weighted mean position of the cells (R, R, R), and the mean distance from it, both in cells."""
    total = float(weights.sum(dtype=np.float64))
    axes = np.arange(len(weights))
    centroid = np.array(
        [(weights.sum(axis=other, dtype=np.float64) @ axes) / total for other in ((1, 2), (0, 2), (0, 1))]
    )
    x, y, z = (np.square(axes - middle).astype(np.float32) for middle in centroid)
    lengths = np.sqrt(x[:, None, None] + y[:, None] + z)
    return centroid, float(np.vdot(weights, lengths)) / total


@cache
def _angles() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the polar angle, the azimuth and the quadrature weight of each of P sample directions, (P,) each.

    The cosines of the polar angles are Gauss-Legendre nodes: weighted sums are exact integrals of products of two
    harmonics of degrees below 32.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_LATITUDES)
    longitudes = 2 * _LATITUDES
    polar, azimuth = np.meshgrid(np.arccos(nodes), 2 * math.pi * np.arange(longitudes) / longitudes, indexing="ij")
    return polar.ravel(), azimuth.ravel(), np.repeat(weights, longitudes) * 2 * math.pi / longitudes


@cache
def sample_directions() -> NDArray[np.float64]:
    """Return the directions in which a function on the sphere is sampled.

    Returns:
        (2048, 3) float64 unit vectors: 32 circles of latitude from the south pole to the north pole, each with 64
        directions from azimuth 0 counter-clockwise.
    """
    polar, azimuth, _ = _angles()
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)


@cache
def _basis() -> NDArray[np.float32]:
    """Return the real spherical harmonics at the P sample directions, times the quadrature weights, (P, 256).

    The product with P samples gives 256 coefficients: degree l has the 2 l + 1 coefficients from l².
    """
    from scipy.special import sph_harm_y  # here, because its import takes 0.2 s

    polar, azimuth, weights = _angles()
    columns = []
    for degree in range(DEGREES):
        for order in range(degree + 1):
            values = sph_harm_y(degree, order, polar, azimuth)
            columns += [values.real] if order == 0 else [math.sqrt(2) * values.real, math.sqrt(2) * values.imag]
    return np.asarray(np.stack(columns, axis=1) * weights[:, None], np.float32)
