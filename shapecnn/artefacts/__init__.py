"""Artefacts: a folder of pictures or grids, one for each shape, with a manifest and the settings they were made with.

In: a mesh collection, or pictures and grids that other programs made. Out: a sealed folder, and its content as arrays.
:mod:`prepare` makes the artefacts of meshes, :mod:`imports` those of pictures and grids, :mod:`writing` writes both,
:mod:`reading` reads them, :mod:`manifest` describes the folder, :mod:`subset` selects the first shapes of each class.
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
