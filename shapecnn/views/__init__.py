"""A mesh seen: cameras, renderers, contact sheets.

:func:`draw_views` is the one entry. The default renderer is the project's own rasterizer; pyrender (OpenGL) and Open3D
(Embree) draw the same cameras and the same shading, and are imported only when asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.artefacts import ViewSettings
from shapecnn.views.cameras import cameras, columns
from shapecnn.views.windows import windows


def draw_views(mesh: Mesh, settings: ViewSettings) -> NDArray[np.uint8]:
    """Pictures (views, size, size) uint8 of a normalized mesh; see :func:`shapecnn.meshes.mesh.load_mesh`.

    It is upright, or with orientation ``auto`` first turned to its own axes.
    Raises MissingLibraryError if the renderer asked for does not load.
    """
    mesh = posed(mesh, settings.orientation)
    seen_from = cameras(settings.views)
    shown = windows(mesh.vertices, seen_from, settings.fit)
    if settings.renderer == "pyrender":
        from shapecnn.views.pyrender_renderer import draw
    elif settings.renderer == "open3d":
        from shapecnn.views.open3d_renderer import draw
    else:
        from shapecnn.views.raster import draw
    return draw(mesh.vertices, mesh.faces, seen_from, shown, settings.size, settings.samples)


def contact_sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The views (V, S, S) side by side, row-major and without gaps, in as many columns as
    :func:`shapecnn.views.cameras.columns` says."""
    across = columns(len(pictures))
    size = pictures.shape[1]
    grid = pictures.reshape(-1, across, size, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, across * size))


def split_sheet(sheet: NDArray[np.uint8], views: int) -> NDArray[np.uint8]:
    """The views (V, S, S) of a contact sheet; the inverse of :func:`contact_sheet`."""
    across = columns(views)
    size = sheet.shape[1] // across
    grid = sheet.reshape(views // across, size, across, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(views, size, size))
