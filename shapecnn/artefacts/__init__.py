"""Write and read artefacts: folders with the rendered views or the voxel grids of each shape of a collection.

Writing converts a collection of meshes, or pictures and grids made by other programs, to an artefact folder. The folder
also holds a manifest (its table of shapes), the settings and the SHA-256 hash of each file. Reading an artefact folder
gives the pictures or grids of each shape as arrays.

:mod:`prepare` draws or voxelizes meshes, :mod:`imports` converts pictures and grids of other programs, :mod:`writing`
writes the artefact folder, :mod:`reading` reads it, :mod:`manifest` describes its table of shapes, and :mod:`subset`
selects the first shapes of each class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.artefacts.imports import import_artefacts as import_artefacts
    from shapecnn.artefacts.manifest import Entry as Entry
    from shapecnn.artefacts.manifest import read_manifest as read_manifest
    from shapecnn.artefacts.prepare import Recipe as Recipe
    from shapecnn.artefacts.reading import Artefacts as Artefacts
    from shapecnn.artefacts.reading import open_artefacts as open_artefacts
    from shapecnn.artefacts.subset import Subset as Subset
    from shapecnn.artefacts.writing import Summary as Summary
    from shapecnn.artefacts.writing import make_artefacts as make_artefacts

_HOMES = {
    "imports": ["import_artefacts"],
    "manifest": ["Entry", "read_manifest"],
    "prepare": ["Recipe"],
    "reading": ["Artefacts", "open_artefacts"],
    "subset": ["Subset"],
    "writing": ["Summary", "make_artefacts"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
