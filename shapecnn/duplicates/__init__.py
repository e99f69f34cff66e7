"""Duplicates: which shapes are stored twice, by bytes, by geometry or by features, within and across splits.

In: artefacts or a mesh collection, and a model if features are compared. Out: groups of copies, and an audit as data.
:mod:`audit` does the audit, :mod:`results` has its result, :mod:`copies` finds copies by content and geometry,
:mod:`signatures` computes the vectors that are compared, :mod:`groups` joins what is equal or close.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapecnn.duplicates.audit import audit_artefacts, audit_collection
    from shapecnn.duplicates.copies import same_geometry
    from shapecnn.duplicates.results import Audit, Group

__all__ = ["Audit", "Group", "audit_artefacts", "audit_collection", "same_geometry"]

_MODULES = {
    "Audit": "results",
    "Group": "results",
    "audit_artefacts": "audit",
    "audit_collection": "audit",
    "same_geometry": "copies",
}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Import an exported name on first use: grouping features loads no mesh reader and no model."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
