"""Where the cameras stand, as pure functions.

Every camera looks at the origin from distance 1/sin 22.5° with a vertical field of view of 45°, so that the unit sphere
just fits the square picture. N views circle the upright shape, 12 unless asked otherwise (Su et al. 2015, ICCV,
"Multi-view Convolutional Neural Networks for 3D Shape Recognition", section 3.1). Three counts look from all sides
instead: 20 from the vertices of a dodecahedron, 80 with four rolls of each, for shapes without a known up; 24 are one
camera under all rotations of the cube: whichever of a shape's three axes is taken for up, they give the same pictures,
in another order.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shapecnn.settings.artefacts import ALL_SIDES

FIELD_OF_VIEW = np.deg2rad(45.0)
DISTANCE = float(1.0 / np.sin(FIELD_OF_VIEW / 2))  # 2.6131
FOCAL = float(1.0 / np.tan(FIELD_OF_VIEW / 2))  # of a picture plane that spans [-1, 1]
ELEVATION = np.deg2rad(30.0)


def columns(views: int) -> int:
    """Views per row of a contact sheet without gaps: as nearly square as ``views`` can be divided, and not higher than
    wide, so 4 × 3, 5 × 4, 6 × 4, 10 × 8, and 7 × 1."""
    rows = max(rows for rows in range(1, math.isqrt(views) + 1) if views % rows == 0)
    return views // rows


@dataclass(frozen=True, slots=True)
class Cameras:
    """V cameras.  eyes: (V, 3) float64 positions; axes: (V, 3, 3) float64, rows right, up and backward (unit, from
    scene to eye)."""

    eyes: NDArray[np.float64]
    axes: NDArray[np.float64]


@cache
def cameras(views: int) -> Cameras:
    """The ``views`` cameras of a setting, at least 1.

    20: the vertices in the order of :func:`dodecahedron`.  80: view 4·v + r is vertex v with the picture rolled by
    90·r° (the camera turns counter-clockwise about its line of sight).  24: the first of the 12 turned by
    :func:`cube_rotations`.  Any other number N, such as 12: azimuth i · 360°/N at elevation 30°.
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


def dodecahedron() -> NDArray[np.float64]:
    """The 20 unit vertices, (20, 3) float64, from top to bottom ring and by azimuth within a ring.

    They are the cyclic permutations of (0, ±1/φ, ±φ) and the cube (±1, ±1, ±1), over √3; none lies on the z axis.
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
    """The 24 rotations that turn a cube into itself, (24, 3, 3) float64: signed permutations, the identity first."""
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
    level = np.cos(elevation)
    height = np.full_like(azimuth, np.sin(elevation))
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), height], axis=1)


def _look_along(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows right, up, backward of a camera at ``direction`` that looks at the origin with +z upward in the picture."""
    right = np.cross([0.0, 0.0, 1.0], direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def _roll(axes: NDArray[np.float64], quarters: int) -> NDArray[np.float64]:
    """The camera turned counter-clockwise by ``quarters`` right angles, as seen from behind it (exact, no sine of
    90°)."""
    right, up, backward = axes
    for _ in range(quarters):
        right, up = up, -right
    return np.stack([right, up, backward])
