"""Render views by ray casting with Open3D, which uses Embree, and show a mesh in a window.

Only this module imports open3d.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MissingLibraryError
from shapecnn.views.cameras import DISTANCE, ELEVATION, FOCAL, Cameras
from shapecnn.views.raster import BACKGROUND, shade_faces


def _open3d() -> Any:
    """Import Open3D; if the import fails, raise MissingLibraryError with the system packages to install."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise MissingLibraryError(
            f"Open3D cannot be loaded ({error}). On Debian and Ubuntu: sudo apt-get install libusb-1.0-0 libgl1 "
            "libgomp1; or leave out --renderer open3d."
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
    """Draw a mesh from V cameras by ray casting.

    This function computes the rays through the centres of the samples, because the pinhole rays of Open3D use another
    convention for the axes of the picture.

    Args:
        vertices: Coordinates of the n vertices, (n, 3) float64.
        faces: Vertex indices of the m triangles, (m, 3) int32.
        cameras: The V cameras.
        windows: Part of the picture plane that each view shows, (V, 3) float64: centre x, centre y and magnification,
            from :func:`shapecnn.views.windows.windows`.
        size: Pixels along one side of a picture.
        samples: Samples along one side of a pixel. The grey of a pixel is the mean of samples² samples.

    Returns:
        Grey pictures, (V, size, size) uint8, with white (255) background.

    Raises:
        MissingLibraryError: Open3D cannot be loaded.
    """
    o3d = _open3d()
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(vertices.astype(np.float32), faces.astype(np.uint32))
    side = size * samples
    greys = shade_faces(vertices, faces, cameras)
    pictures = np.empty((len(cameras.eyes), size, size), np.uint8)
    for view, (eye, axes, window) in enumerate(zip(cameras.eyes, cameras.axes, windows, strict=True)):
        directions = _directions(axes, window, side)
        rays = np.empty((side, side, 6), np.float32)
        rays[..., :3] = eye
        if (beyond := np.linalg.norm(eye) - DISTANCE) > 1e-9:  # float32 is too coarse for rays that begin far away
            rays[..., :3] = eye + directions * (beyond / FOCAL)
        rays[..., 3:] = directions
        hit = scene.cast_rays(o3d.core.Tensor(rays))["primitive_ids"].numpy()
        inside = hit != scene.INVALID_ID
        grey = np.full((side, side), BACKGROUND, np.float64)
        grey[inside] = greys[view][hit[inside]]
        pictures[view] = grey.reshape(size, samples, size, samples).mean(axis=(1, 3)) + 0.5
    return pictures


def show_window(vertices: NDArray[np.float64], faces: NDArray[np.int32], title: str) -> None:
    """Show a mesh in a window, where the mouse turns it, until the user closes the window.

    Args:
        vertices: Coordinates of the n vertices, (n, 3) float64, with +z up.
        faces: Vertex indices of the m triangles, (m, 3) int32.
        title: Title of the window.

    Raises:
        MissingLibraryError: Open3D cannot be loaded, or cannot open a window.
    """
    o3d = _open3d()
    mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(faces))
    mesh.compute_triangle_normals()
    mesh.paint_uniform_color([0.7, 0.7, 0.7])
    window = o3d.visualization.Visualizer()
    if not window.create_window(title, 960, 720):
        raise MissingLibraryError(
            "Open3D cannot open a window on this display. Write a picture in place of it: shapecnn view MESH OUT.png"
        )
    try:
        window.add_geometry(mesh)
        window.get_render_option().mesh_show_back_face = True
        control = window.get_view_control()
        control.set_up([0.0, 0.0, 1.0])
        control.set_front([np.cos(ELEVATION), 0.0, np.sin(ELEVATION)])  # as view 0 of `shapecnn render`
        window.run()
    finally:
        window.destroy_window()


def _directions(axes: NDArray[np.float64], window: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the directions of the rays from the eye through each of side × side samples, (side, side, 3)."""
    steps = (2 * np.arange(side) + 1) / side - 1
    x = steps / window[2] + window[0]
    y = -steps / window[2] + window[1]
    right, up, backward = axes
    directions: NDArray[np.float64] = x[None, :, None] * right + y[:, None, None] * up - FOCAL * backward
    return directions
