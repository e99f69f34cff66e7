"""Artefacts: a folder of pictures or grids, one for each shape, with a manifest and the settings they were made with.

In: a mesh collection, or pictures and grids that other programs made. Out: a sealed folder, and its content as arrays.
:mod:`prepare` makes the artefacts of meshes, :mod:`imports` those of pictures and grids, :mod:`writing` writes both,
:mod:`reading` reads them, :mod:`manifest` describes the folder, :mod:`subset` selects the first shapes of each class.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapecnn.artefacts.imports import import_artefacts
    from shapecnn.artefacts.manifest import Entry, read_manifest
    from shapecnn.artefacts.prepare import Recipe
    from shapecnn.artefacts.reading import Artefacts, open_artefacts
    from shapecnn.artefacts.subset import Subset
    from shapecnn.artefacts.writing import Summary, make_artefacts

__all__ = [
    "Artefacts",
    "Entry",
    "Recipe",
    "Subset",
    "Summary",
    "import_artefacts",
    "make_artefacts",
    "open_artefacts",
    "read_manifest",
]

_MODULES = {
    "Artefacts": "reading",
    "Entry": "manifest",
    "Recipe": "prepare",
    "Subset": "subset",
    "Summary": "writing",
    "import_artefacts": "imports",
    "make_artefacts": "writing",
    "open_artefacts": "reading",
    "read_manifest": "manifest",
}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Import an exported name on first use: reading a manifest loads neither NumPy nor numba."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
