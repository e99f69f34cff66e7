"""Render views, which are grey pictures of a mesh from fixed cameras, and convert photographs and drawings to views.

Input: a normalized mesh and view settings, or a picture file. Output: V views of S × S pixels, as a uint8 array
(V, S, S) or as one contact sheet. :mod:`drawing` draws a mesh, :mod:`sheets` joins views into a contact sheet,
:mod:`cameras` places the cameras, :mod:`windows` crops the views, :mod:`photographs` reads picture files. The default
renderer is :mod:`raster`; :mod:`pyrender_renderer` (OpenGL) and :mod:`open3d_renderer` (Embree) use the same cameras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.views.cameras import Cameras as Cameras
    from shapecnn.views.cameras import columns as columns
    from shapecnn.views.drawing import render_views as render_views
    from shapecnn.views.photographs import read_picture as read_picture
    from shapecnn.views.photographs import to_grey as to_grey
    from shapecnn.views.sheets import contact_sheet as contact_sheet
    from shapecnn.views.sheets import split_sheet as split_sheet

_HOMES = {
    "cameras": ["Cameras", "columns"],
    "drawing": ["render_views"],
    "photographs": ["read_picture", "to_grey"],
    "sheets": ["contact_sheet", "split_sheet"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
