"""Draw all views of a mesh with the renderer and the cameras that the view settings choose.

pyrender and Open3D are imported only if the settings choose one of these renderers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views.cameras import cameras_of
from shapecnn.views.raster import BACKGROUND
from shapecnn.views.windows import windows


def render_views(mesh: Mesh, settings: ViewSettings) -> NDArray[np.uint8]:
    """Draw all views of a mesh.

    With orientation ``upright`` the mesh is not rotated. With ``auto`` the mesh is first rotated to its canonical axes
    (:mod:`shapecnn.meshes.orientation`).

    Args:
        mesh: A normalized mesh, in the unit sphere around the origin, as :func:`shapecnn.meshes.mesh.load_mesh`
            returns it.
        settings: Number of views, picture size in pixels, samples along one side of a pixel, crop of the views
            (``fit``), size that fills a picture (``keep_scale``), renderer, orientation, and whether to draw
            silhouettes.

    Returns:
        The views, (views, size, size) uint8, with white (255) background. In silhouettes the shape is black (0).

    Raises:
        MissingLibraryError: The library of the chosen renderer cannot be loaded.
    """
    mesh = posed(mesh, settings.orientation)
    if settings.keep_scale is not None:
        mesh = replace(mesh, vertices=mesh.vertices * min(1.0, 2 * mesh.radius / settings.keep_scale))
    viewpoints = cameras_of(settings)
    crops = windows(mesh.vertices, viewpoints, settings.fit)
    if settings.renderer == "pyrender":
        from shapecnn.views.pyrender_renderer import draw
    elif settings.renderer == "open3d":
        from shapecnn.views.open3d_renderer import draw
    else:
        from shapecnn.views.raster import draw
    pictures = draw(mesh.vertices, mesh.faces, viewpoints, crops, settings.size, settings.samples)
    if settings.silhouettes:
        pictures[pictures < BACKGROUND] = 0
    return pictures
