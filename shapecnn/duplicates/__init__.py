"""Duplicates: which shapes are stored twice, by bytes, by geometry or by features, within and across splits.

In: artefacts or a mesh collection, and a model if features are compared. Out: groups of copies, and an audit as data.
:mod:`audit` does the audit, :mod:`results` has its result, :mod:`copies` finds copies by content and geometry,
:mod:`signatures` computes the vectors that are compared, :mod:`groups` joins what is equal or close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.duplicates.audit import audit_artefacts as audit_artefacts
    from shapecnn.duplicates.audit import audit_collection as audit_collection
    from shapecnn.duplicates.copies import same_geometry as same_geometry
    from shapecnn.duplicates.results import Audit as Audit
    from shapecnn.duplicates.results import Group as Group

_HOMES = {
    "audit": ["audit_artefacts", "audit_collection"],
    "copies": ["same_geometry"],
    "results": ["Audit", "Group"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
