"""The same pictures by ray casting with Embree, through Open3D. The only place that imports open3d."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MissingLibraryError
from shapecnn.views.cameras import FOCAL, Cameras
from shapecnn.views.raster import BACKGROUND, shade_faces


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise MissingLibraryError(
            f"Open3D does not load ({error}). On Debian and Ubuntu: sudo apt-get install libusb-1.0-0 libgl1 libgomp1; "
            "or leave out --renderer open3d."
        ) from None
    return open3d


def draw(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    cameras: Cameras,
    windows: NDArray[np.float64],
    size: int,
    samples: int,
) -> NDArray[np.uint8]:
    """Grey pictures (V, size, size) uint8; the arguments are those of :func:`shapecnn.views.raster.draw`.

    The rays are our own, through the sample centres: Open3D's pinhole rays have another convention for the picture's
    axes.
    """
    o3d = _open3d()
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.astype(np.float32), faces.astype(np.uint32))
    side = size * samples
    greys = shade_faces(vertices, faces, cameras)
    pictures = np.empty((len(cameras.eyes), size, size), np.uint8)
    for view, (eye, axes, window) in enumerate(zip(cameras.eyes, cameras.axes, windows, strict=True)):
        rays = np.empty((side, side, 6), np.float32)
        rays[..., :3] = eye
        rays[..., 3:] = _directions(axes, window, side)
        hit = scene.cast_rays(o3d.core.Tensor(rays))["primitive_ids"].numpy()
        inside = hit != scene.INVALID_ID
        grey = np.full((side, side), BACKGROUND, np.float64)
        grey[inside] = greys[view][hit[inside]]
        pictures[view] = grey.reshape(size, samples, size, samples).mean(axis=(1, 3)) + 0.5
    return pictures


def _directions(axes: NDArray[np.float64], window: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(side, side, 3): from the eye through the centre of each sample."""
    steps = (2 * np.arange(side) + 1) / side - 1
    x = steps / window[2] + window[0]
    y = -steps / window[2] + window[1]
    right, up, backward = axes
    directions: NDArray[np.float64] = x[None, :, None] * right + y[:, None, None] * up - FOCAL * backward
    return directions
