"""Meshes: from a folder, zip or CSV of files to shapes, and from a file to a checked, upright, centred triangle mesh.

In: paths and bytes. Out: :class:`Shape` (id, label, split) and :class:`Mesh`, or a MeshError for one file.
:mod:`collection` lists the shapes of a collection, :mod:`mesh` reads and checks one file, :mod:`readers` has the table
of formats, :mod:`orientation` and :mod:`simplification` change a mesh.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapecnn.meshes.collection import Shape, list_shapes
    from shapecnn.meshes.mesh import Mesh, load_mesh

__all__ = ["Mesh", "Shape", "list_shapes", "load_mesh"]

_MODULES = {"Mesh": "mesh", "Shape": "collection", "list_shapes": "collection", "load_mesh": "mesh"}


def __getattr__(name: str) -> Any:
    """Import an exported name on first use: ``import shapecnn.meshes`` alone loads neither NumPy nor numba."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
