"""Drawing of a mesh from every camera of its settings, by the renderer that they name.

pyrender and Open3D are imported only when the settings name them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.artefacts import ViewSettings
from shapecnn.views.cameras import cameras
from shapecnn.views.windows import windows


def render_views(mesh: Mesh, settings: ViewSettings) -> NDArray[np.uint8]:
    """Draw a mesh from every camera of the settings.

    With orientation ``upright`` the mesh is drawn as it stands; with ``auto`` it is first turned to its own axes.

    Args:
        mesh: A normalized mesh, in the unit sphere around the origin, as :func:`shapecnn.meshes.mesh.load_mesh`
            returns it.
        settings: Number of views, picture size in pixels, samples along one side of a pixel, fit, renderer and
            orientation.

    Returns:
        The pictures, (views, size, size) uint8, white (255) where the mesh is not seen.

    Raises:
        MissingLibraryError: The library of the chosen renderer does not load.
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
