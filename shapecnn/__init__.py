"""3D shape recognition with multi-view and volumetric convolutional networks.

A mesh becomes 12 views or a 30³ occupancy grid; a network turns either into class scores and a feature; features are
searched and measured::

    mesh file ── load_mesh ──> mesh ──┬── draw_views ──> views ──┐
                                      └── voxelize ────> grid ───┴── network ──> feature ──┬── open_model: classes
                                                                                           ├── open_index: search
                                                                                           └── evaluate: figures

This module is the Python interface; ``shapecnn --help`` is the command line over the same functions, and docs/python.md
the tutorial. Names are loaded when they are first used: importing the module costs a few milliseconds.

Example:
    >>> import shapecnn
    >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
    >>> tetrahedron = corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    >>> shapecnn.draw_views(tetrahedron)
    <Views: 12 of 224 × 224 pixels>
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapecnn import errors as errors
    from shapecnn.api.explanations import Explanations as Explanations
    from shapecnn.api.explanations import explain as explain
    from shapecnn.api.indexes import open_index as open_index
    from shapecnn.api.indexes import update_index as update_index
    from shapecnn.api.models import open_model as open_model
    from shapecnn.api.shapes import Grids as Grids
    from shapecnn.api.shapes import Views as Views
    from shapecnn.api.shapes import draw_views as draw_views
    from shapecnn.api.shapes import load_mesh as load_mesh
    from shapecnn.api.shapes import voxelize as voxelize
    from shapecnn.meshes.mesh import Mesh as Mesh
    from shapecnn.predict import Predictor as Predictor
    from shapecnn.settings.artefacts import FaceLimit as FaceLimit
    from shapecnn.settings.artefacts import ViewSettings as ViewSettings
    from shapecnn.settings.artefacts import VoxelSettings as VoxelSettings

__version__ = "0.1.0"

_HOMES = {
    "api.explanations": ("Explanations", "explain"),
    "api.indexes": ("open_index", "update_index"),
    "api.models": ("open_model",),
    "api.shapes": ("Grids", "Views", "draw_views", "load_mesh", "voxelize"),
    "meshes.mesh": ("Mesh",),
    "predict": ("Predictor",),
    "settings.artefacts": ("FaceLimit", "ViewSettings", "VoxelSettings"),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "errors", *_HOME_OF]


def __getattr__(name: str) -> Any:
    """Load a name of the interface when it is first used (PEP 562)."""
    if name == "errors":
        return import_module("shapecnn.errors")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the interface, loaded or not."""
    return sorted(__all__)
