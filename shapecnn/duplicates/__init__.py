"""Find duplicate shapes of a dataset: shapes with the same bytes, the same geometry or nearly the same features.

Input: artefacts (rendered views or voxel grids) or a mesh collection, and a model if features are compared. Output:
an :class:`Audit`, which lists the groups of copies within and across splits. :mod:`audit` runs the audit,
:mod:`results` defines its result, :mod:`copies` finds copies by content and geometry, :mod:`signatures` computes one
vector for each shape, :mod:`groups` groups shapes with equal keys or close vectors.
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
