"""Draw all views of a mesh with the renderer and the cameras that the view settings choose.

pyrender and Open3D are imported only if the settings choose one of these renderers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views.cameras import cameras
from shapecnn.views.windows import windows


def render_views(mesh: Mesh, settings: ViewSettings) -> NDArray[np.uint8]:
    """Draw all views of a mesh.

    With orientation ``upright`` the mesh is not rotated. With ``auto`` the mesh is first rotated to its canonical axes
    (:mod:`shapecnn.meshes.orientation`).

    Args:
        mesh: A normalized mesh, in the unit sphere around the origin, as :func:`shapecnn.meshes.mesh.load_mesh`
            returns it.
        settings: Number of views, picture size in pixels, samples along one side of a pixel, crop of the views
            (``fit``), renderer and orientation.

    Returns:
        The views, (views, size, size) uint8, with white (255) background.

    Raises:
        MissingLibraryError: The library of the chosen renderer cannot be loaded.
    """
    mesh = posed(mesh, settings.orientation)
    viewpoints = cameras(settings.views)
    crops = windows(mesh.vertices, viewpoints, settings.fit)
    if settings.renderer == "pyrender":
        from shapecnn.views.pyrender_renderer import draw
    elif settings.renderer == "open3d":
        from shapecnn.views.open3d_renderer import draw
    else:
        from shapecnn.views.raster import draw
    return draw(mesh.vertices, mesh.faces, viewpoints, crops, settings.size, settings.samples)
