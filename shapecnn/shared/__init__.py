"""Shared by all rooms: similarity of features, results that show themselves, compiled kernels, names loaded on use.

In: arrays, results, functions. Out: the same, scaled, compared, displayed or compiled; nothing here knows of shapes.
:mod:`similarity` scales and compares features, :mod:`results` has the bases of results, :mod:`jit` imports numba, and
:mod:`exports` lets a package such as this one list its names without loading their modules.
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

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
