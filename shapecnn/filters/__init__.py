"""Learned filters of a network, and the shapes and places that excite each filter most (Zeiler & Fergus, ECCV 2014).

:mod:`learned` collects both for a model and a folder of views or grids. :mod:`layers` lists the layers of a network,
:mod:`strongest` keeps the strongest activations of each filter, and :mod:`fields` computes receptive fields: the part
of a view or grid that an activation depends on. :mod:`saliency` computes what each pixel or cell adds to an activation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.filters.learned import learned_filters as learned_filters
    from shapecnn.filters.results import Filter as Filter
    from shapecnn.filters.results import FilterLayer as FilterLayer
    from shapecnn.filters.results import LearnedFilters as LearnedFilters
    from shapecnn.filters.results import Place as Place

_HOMES = {
    "learned": ["learned_filters"],
    "results": ["Filter", "FilterLayer", "LearnedFilters", "Place"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
