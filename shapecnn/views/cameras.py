"""Camera positions and orientations for each number of views.

Every camera looks at the origin from distance 1/sin 22.5° with a vertical field of view of 45°, so that the unit sphere
just fits the square picture. By default, 12 cameras are placed on a circle around the upright shape (Su et al. 2015,
ICCV, "Multi-view Convolutional Neural Networks for 3D Shape Recognition", section 3.1). Most other numbers of views
also use such a circle. Three numbers of views show the shape from all sides, because its up axis is unknown: 20 cameras
at the vertices of a dodecahedron, 80 cameras (each of the 20 in four rolls about its line of sight), and 24 cameras,
which are one camera under all rotations of a cube. If a shape is turned by a rotation of a cube, the 24 cameras give
the same pictures in another order.

The silhouettes of a light field have 100 cameras of their own, so far away that their projection is nearly parallel.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shapecnn.settings.views_and_grids import ALL_SIDES, ViewSettings

FIELD_OF_VIEW = np.deg2rad(45.0)
DISTANCE = float(1.0 / np.sin(FIELD_OF_VIEW / 2))  # 2.6131, distance of every camera from the origin
FOCAL = float(1.0 / np.tan(FIELD_OF_VIEW / 2))  # focal length for a picture plane that spans [-1, 1]
ELEVATION = np.deg2rad(30.0)  # elevation of cameras on a circle
FAR_DISTANCE = 1e4  # distance of the light field cameras: on 256 pixels, 0.01 pixels from a parallel projection

SYSTEMS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0],
        [0.987219, -0.071571, -0.0073, 0.142207],
        [0.976911, 0.113972, 0.011965, -0.180309],
        [0.961905, -0.037282, 0.262504, -0.066636],
        [0.960152, 0.210771, 0.169043, 0.071472],
        [0.959317, -0.198749, 0.016476, -0.199845],
        [0.95786, -0.020029, -0.269503, -0.09732],
        [0.957596, 0.245134, -0.132555, 0.073127],
        [0.95145, -0.273671, -0.114239, -0.082439],
        [0.949526, -0.001101, -0.305106, 0.072869],
    ]
)
"""Quaternions (w, x, y, z) of the 10 rotations that spread the 100 axes of a light field evenly over all directions.

The first rotation is the identity. The others minimize the sum of 1/distance² over all pairs of the 200 points in which
the axes meet the unit sphere, the best of 100 minimizations by L-BFGS from seeded random rotations. Each rotation is
the smallest of the 60 that give the same axes, and the rotations are ordered by angle."""


def columns(views: int) -> int:
    """Return the number of columns of a contact sheet.

    A contact sheet has no empty cells, is as close to square as the number of views allows, and is never higher than
    wide: 12 views give 4 × 3, 20 give 5 × 4, 24 give 6 × 4, 80 give 10 × 8, but 7 give 7 × 1.

    Args:
        views: The number of views on the sheet, at least 1.

    Returns:
        The number of views in each row, a divisor of ``views``.
    """
    rows = max(rows for rows in range(1, math.isqrt(views) + 1) if views % rows == 0)
    return views // rows


@dataclass(frozen=True, slots=True)
class Cameras:
    """Positions and orientations of V cameras.

    Attributes:
        eyes: Positions of the cameras, (V, 3) float64.
        axes: Orientations of the cameras, (V, 3, 3) float64: rotation matrices whose rows are the unit vectors right,
            up and backward (from the scene to the eye).
    """

    eyes: NDArray[np.float64]
    axes: NDArray[np.float64]

    @property
    def azimuths(self) -> NDArray[np.float64]:
        """Azimuths of the V cameras, (V,), in degrees from 0 to 360, counter-clockwise from +x as seen from above."""
        x, y, _ = self.eyes.T
        return np.asarray(np.rad2deg(np.arctan2(y, x)).round(6) % 360)

    @property
    def elevations(self) -> NDArray[np.float64]:
        """Elevations of the V cameras above the horizon, (V,), in degrees from -90 to 90."""
        x, y, z = self.eyes.T
        return np.asarray(np.rad2deg(np.arctan2(z, np.hypot(x, y))).round(6))


@cache
def cameras(views: int) -> Cameras:
    """Return the cameras for a number of views.

    - 20 views: one camera at each vertex of a dodecahedron, in the order of :func:`dodecahedron`.
    - 80 views: camera 4·v + r is at vertex v of the dodecahedron, rolled by 90·r° counter-clockwise about its line of
      sight (r = 0, 1, 2, 3).
    - 24 views: the first of the 12 default cameras, rotated by each of the :func:`cube_rotations`.
    - Any other number N of views, such as 12: camera i is at azimuth i · 360°/N and elevation 30°.

    Args:
        views: The number of views, at least 1.

    Returns:
        The cameras, in the order of the views.
    """
    if views == 24:
        first = cameras(12)
        return Cameras(cube_rotations() @ first.eyes[0], first.axes[0] @ cube_rotations().swapaxes(1, 2))
    if views in ALL_SIDES:
        directions = dodecahedron()
    else:
        directions = _directions(np.deg2rad(360 / views * np.arange(views)), ELEVATION)
    axes = np.stack([_look_along(direction) for direction in directions])
    if views == 80:
        directions = np.repeat(directions, 4, axis=0)
        axes = np.concatenate([[_roll(a, quarter) for quarter in range(4)] for a in axes])
    return Cameras(DISTANCE * directions, axes)


@cache
def light_field_cameras() -> Cameras:
    """Return the cameras for the silhouettes of a light field (Chen et al. 2003): 10 systems of 10 directions.

    The directions of a system are one of each pair of opposite vertices of a dodecahedron: the first 10 vertices of
    :func:`dodecahedron`, rotated by one of the :data:`SYSTEMS`. The vertex opposite shows the mirror image, because the
    cameras are at distance 10,000, where the projection is nearly parallel.

    Returns:
        100 cameras; camera 10·s + d has direction d of system s.
    """
    w, *xyz = SYSTEMS.T / np.linalg.norm(SYSTEMS, axis=1)
    x, y, z = xyz
    rotations = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )  # (3, 3, 10): row, column, system
    directions = np.einsum("ijs,dj->sdi", rotations, dodecahedron()[:10]).reshape(-1, 3)
    return Cameras(FAR_DISTANCE * directions, np.stack([_look_along(direction) for direction in directions]))


def cameras_of(settings: ViewSettings) -> Cameras:
    """Return the cameras with which views of these settings are drawn, in the order of the views.

    Args:
        settings: Settings of the views, of which ``views`` and ``silhouettes`` are used.
    """
    return light_field_cameras() if settings.silhouettes else cameras(settings.views)


def dodecahedron() -> NDArray[np.float64]:
    """Return the 20 vertices of a dodecahedron on the unit sphere.

    The vertices are the cyclic permutations of (0, ±1/φ, ±φ) and the corners (±1, ±1, ±1) of a cube, divided by √3,
    where φ is the golden ratio. No vertex lies on the z axis.

    Returns:
        The vertices, (20, 3) float64, ordered from top to bottom, and by azimuth among vertices of equal height.
    """
    golden = (1 + np.sqrt(5)) / 2
    signs = np.array([(a, b) for a in (1, -1) for b in (1, -1)])
    pairs = signs * (1 / golden, golden)
    rings = [np.insert(np.roll(pairs, shift, axis=1), axis, 0, axis=1) for axis, shift in ((0, 0), (1, 1), (2, 0))]
    cube = np.array([(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)])
    vertices = np.concatenate([*rings, cube]) / np.sqrt(3)
    azimuth = np.arctan2(vertices[:, 1], vertices[:, 0]) % (2 * np.pi)
    order = np.lexsort((azimuth.round(9), -vertices[:, 2].round(9)))
    result: NDArray[np.float64] = vertices[order]
    return result


def cube_rotations() -> NDArray[np.float64]:
    """Return the 24 rotations that map a cube onto itself.

    Returns:
        Rotation matrices, (24, 3, 3) float64, which are signed permutation matrices. The identity is the first.
    """
    signed = np.array(
        [
            np.diag(signs)[list(order)]
            for order in itertools.permutations(range(3))
            for signs in itertools.product((1.0, -1.0), repeat=3)
        ]
    )
    result: NDArray[np.float64] = signed[np.linalg.det(signed) > 0]
    return result


def _directions(azimuth: NDArray[np.float64], elevation: float) -> NDArray[np.float64]:
    """Return the unit vectors (N, 3) that have N azimuths and one elevation; all angles are in radians."""
    horizontal = np.cos(elevation)
    height = np.full_like(azimuth, np.sin(elevation))
    return np.stack([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), height], axis=1)


def _look_along(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the axes (3, 3) of a camera that looks at the origin from a unit vector ``direction``, with +z upward."""
    right = np.cross([0.0, 0.0, 1.0], direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def _roll(axes: NDArray[np.float64], quarters: int) -> NDArray[np.float64]:
    """Turn a camera about its line of sight by ``quarters`` right angles, counter-clockwise as seen from behind.

    The rows of ``axes`` and of the result, both (3, 3), are the vectors right, up and backward. Swapping the rows is
    exact, while a rotation matrix would add rounding errors.
    """
    right, up, backward = axes
    for _ in range(quarters):
        right, up = up, -right
    return np.stack([right, up, backward])
