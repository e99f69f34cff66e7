"""Compute the part of the picture plane that each view shows: the whole plane, or a crop around the shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.settings.views_and_grids import Fit
from shapecnn.shared.jit import numba
from shapecnn.views.cameras import FOCAL, Cameras

FILL = 0.9  # longer side of the shape in a crop, as a fraction of the side of the picture


def windows(vertices: NDArray[np.float64], cameras: Cameras, fit: Fit) -> NDArray[np.float64]:
    """Return the window of each view, which is the part of the picture plane that the view shows.

    The picture plane spans [-1, 1] with y up. A point of the plane is drawn at (point − centre) · magnification.

    Args:
        vertices: Coordinates of the n vertices of a normalized mesh, (n, 3) float64.
        cameras: The V cameras.
        fit: ``sphere`` shows all views alike, so that the unit sphere just fits; ``view`` crops and scales each view
            until the shape fills 90 % of the picture.

    Returns:
        The windows, (V, 3) float64: centre x, centre y and magnification of each.
    """
    distances = np.linalg.norm(cameras.eyes, axis=1)
    radii = FOCAL / np.sqrt(distances**2 - 1)  # of the unit sphere in the picture plane
    result = np.zeros((len(radii), 3))
    result[:, 2] = (1 / radii).round(9)  # exactly 1 at the usual distance
    if fit == "view":
        _enlarge(vertices, cameras.eyes, cameras.axes, result)
    return result


@numba.njit(cache=True, nogil=True)
def _enlarge(vertices, eyes, axes, result):  # type: ignore[no-untyped-def]
    for v in range(eyes.shape[0]):
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        for i in range(vertices.shape[0]):
            px, py, pz = vertices[i, 0] - eyes[v, 0], vertices[i, 1] - eyes[v, 1], vertices[i, 2] - eyes[v, 2]
            depth = -(axes[v, 2, 0] * px + axes[v, 2, 1] * py + axes[v, 2, 2] * pz)
            x = FOCAL * (axes[v, 0, 0] * px + axes[v, 0, 1] * py + axes[v, 0, 2] * pz) / depth
            y = FOCAL * (axes[v, 1, 0] * px + axes[v, 1, 1] * py + axes[v, 1, 2] * pz) / depth
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
        extent = max(high_x - low_x, high_y - low_y)
        if extent > 0.0:
            result[v, 0] = 0.5 * (low_x + high_x)
            result[v, 1] = 0.5 * (low_y + high_y)
            result[v, 2] = 2.0 * FILL / extent
