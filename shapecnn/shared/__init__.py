"""Helpers shared by all packages: feature similarity, base classes of results, the numba import, lazy exports.

Nothing here depends on meshes or models. :mod:`similarity` scales and compares feature vectors. :mod:`results` has the
base classes of results that display as tables. :mod:`checks` checks arguments. :mod:`jit` imports numba safely.
:mod:`exports` lets a package list its public names without importing the modules that define them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.shared.results import Displayed as Displayed
    from shapecnn.shared.results import ResultList as ResultList
    from shapecnn.shared.similarity import cosines as cosines
    from shapecnn.shared.similarity import nearest as nearest
    from shapecnn.shared.similarity import scale_to_unit as scale_to_unit
    from shapecnn.shared.similarity import unit as unit
    from shapecnn.shared.similarity import unit_float64 as unit_float64

_HOMES = {
    "results": ["Displayed", "ResultList"],
    "similarity": ["cosines", "nearest", "scale_to_unit", "unit", "unit_float64"],
}

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
