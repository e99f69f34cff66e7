"""Mesh collections and mesh files: list the shapes of a folder, zip or CSV; read a file as a checked triangle mesh.

Input: paths and bytes. Output: :class:`Shape` (id, label, split) and :class:`Mesh` (upright, centred, radius 1), or a
MeshError for a file that cannot be read. :mod:`collection` lists the shapes of a collection, :mod:`mesh` reads and
checks one file, :mod:`readers` has the table of formats, :mod:`orientation` rotates a mesh to canonical axes,
:mod:`simplification` reduces the number of faces, :mod:`shards` divides a collection among several machines, and
:mod:`parts` reads what they made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.meshes.collection import Shape as Shape
    from shapecnn.meshes.collection import list_shapes as list_shapes
    from shapecnn.meshes.mesh import Mesh as Mesh
    from shapecnn.meshes.mesh import load_mesh as load_mesh
    from shapecnn.meshes.shards import Shard as Shard
    from shapecnn.meshes.source import MeshSource as MeshSource

_HOMES = {
    "collection": ["Shape", "list_shapes"],
    "mesh": ["Mesh", "load_mesh"],
    "shards": ["Shard"],
    "source": ["MeshSource"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
