"""Views: grey pictures of a mesh from fixed cameras, or of an object in a photograph or drawing.

In: a normalized mesh and its view settings, or a picture file. Out: uint8 pictures, as an array (V, S, S) or as one
contact sheet. :func:`render_views` draws a mesh; :func:`shapecnn.views.photographs.read_picture` reads a picture file.

The default renderer is the project's own rasterizer. pyrender (OpenGL) and Open3D (Embree) draw from the same cameras
with the same shading; each is imported only when the settings name it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.orientation import posed
from shapecnn.settings.artefacts import ViewSettings
from shapecnn.views.cameras import cameras, columns
from shapecnn.views.windows import windows

__all__ = ["cameras", "columns", "contact_sheet", "draw_views", "split_sheet"]


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


def contact_sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange the views of a shape in one picture, row by row and without gaps.

    Args:
        pictures: V views, (V, S, S) uint8.

    Returns:
        The sheet, (rows · S, columns · S) uint8; :func:`shapecnn.views.cameras.columns` gives the number of columns.
    """
    per_row = columns(len(pictures))
    size = pictures.shape[1]
    grid = pictures.reshape(-1, per_row, size, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, per_row * size))


def split_sheet(sheet: NDArray[np.uint8], views: int) -> NDArray[np.uint8]:
    """Cut a contact sheet into its views; the inverse of :func:`contact_sheet`.

    Args:
        sheet: The sheet, (rows · S, columns · S) uint8.
        views: The number of views V on the sheet.

    Returns:
        The views, (V, S, S) uint8.
    """
    per_row = columns(views)
    size = sheet.shape[1] // per_row
    grid = sheet.reshape(views // per_row, size, per_row, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(views, size, size))
