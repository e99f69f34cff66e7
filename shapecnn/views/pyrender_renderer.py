"""Render views with OpenGL, through pyrender and EGL, on a GPU or in software.

Only this module imports pyrender, and trimesh, whose meshes pyrender draws. pyrender 0.1.45 (2021) needs the EGL
platform to be set before the import, does not shade back faces, and blends neighbouring faces by multisampling.
Therefore this module sets the platform and draws each face unlit in a precomputed grey. It switches multisampling off,
draws larger pictures instead, and shrinks them by averaging pixels. pyrender also uses np.infty, which NumPy 2 has
removed, but only for the bounds of meshes, which this module does not need.
"""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MissingLibraryError
from shapecnn.views.cameras import DISTANCE, FOCAL, Cameras
from shapecnn.views.raster import BACKGROUND, shade_faces

NEAR, FAR = 0.5, 6.0  # clipping planes: distances from an eye at the usual distance from the shape


def _pyrender() -> Any:
    """Import pyrender with EGL as the OpenGL platform; raise MissingLibraryError if the import fails."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyrender
    except Exception as error:  # PyOpenGL raises AttributeError and more where EGL is absent
        raise _missing(error) from None
    return pyrender


def _missing(error: Exception) -> MissingLibraryError:
    """Return an error that says why pyrender cannot draw and which system packages to install."""
    return MissingLibraryError(
        f"pyrender cannot draw on this machine ({type(error).__name__}: {error}). On Debian and Ubuntu: "
        "sudo apt-get install libegl1 libgl1 libgl1-mesa-dri; or leave out --renderer pyrender."
    )


@functools.cache
def _renderer() -> Any:
    """Return the only pyrender renderer of this process.

    The renderer is cached: deleting a renderer runs the garbage collector, which takes longer than drawing a mesh.
    """
    pyrender = _pyrender()
    try:
        return pyrender.OffscreenRenderer(1, 1)
    except Exception as error:  # EGL and drivers raise many types
        raise _missing(error) from None


def draw(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    cameras: Cameras,
    windows: NDArray[np.float64],
    size: int,
    samples: int,
) -> NDArray[np.uint8]:
    """Draw a mesh from V cameras with OpenGL.

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
        MissingLibraryError: pyrender or EGL cannot be loaded.
    """
    pyrender = _pyrender()
    import trimesh
    from OpenGL.GL import GL_MULTISAMPLE, glDisable

    class WindowCamera(pyrender.Camera):  # type: ignore[misc, name-defined]
        """Perspective camera that shows one window of its picture plane, given by centre x, centre y, magnification.

        The camera is farther from the shape than usual by the distance ``beyond``.
        """

        def __init__(self, window: NDArray[np.float64], beyond: float) -> None:
            super().__init__(znear=NEAR + beyond, zfar=FAR + beyond)
            self.window = window

        def get_projection_matrix(self, width: int | None = None, height: int | None = None) -> NDArray[np.float64]:  # noqa: ARG002
            glDisable(GL_MULTISAMPLE)  # pyrender has just enabled multisampling, and has no option to leave it off
            x, y, scale = self.window
            near, far = self.znear, self.zfar
            depth = (far + near) / (near - far), 2 * far * near / (near - far)
            rows = [FOCAL * scale, 0, x * scale, 0], [0, FOCAL * scale, y * scale, 0], [0, 0, *depth], [0, 0, -1, 0]
            return np.array(rows)

    greys = shade_faces(vertices, faces, cameras)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    pictures = np.empty((len(cameras.eyes), size, size), np.uint8)
    side = size * samples
    flags = pyrender.RenderFlags.FLAT | pyrender.RenderFlags.SKIP_CULL_FACES
    renderer = _renderer()
    renderer.viewport_width = renderer.viewport_height = side
    for view, (eye, axes, window) in enumerate(zip(cameras.eyes, cameras.axes, windows, strict=True)):
        mesh.visual.face_colors = np.repeat(greys[view][:, None], 3, axis=1)
        scene = pyrender.Scene(bg_color=[BACKGROUND / 255] * 3 + [1.0])
        scene.add(pyrender.Mesh.from_trimesh(mesh, smooth=False))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = axes.T, eye
        scene.add(WindowCamera(window, max(float(np.linalg.norm(eye)) - DISTANCE, 0.0)), pose=pose)
        colour, _ = renderer.render(scene, flags=flags)
        grey = colour[..., 0].reshape(size, samples, size, samples)
        pictures[view] = grey.mean(axis=(1, 3)) + 0.5
    return pictures
