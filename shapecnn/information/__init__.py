"""Tell what a path is: a mesh, a collection, artefacts, a run, an index or a report, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.information.description import Description as Description
    from shapecnn.information.description import describe as describe

_HOMES = {"description": ["Description", "describe"]}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
