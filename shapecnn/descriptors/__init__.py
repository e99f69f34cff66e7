"""Engineered shape descriptors: feature vectors computed by formulas, without a trained network.

:mod:`spherical_harmonics` describes a voxel grid (Kazhdan et al. 2003), :mod:`light_field` silhouettes from all sides
(Chen et al. 2003), :mod:`fisher_vectors` the SIFT features of rendered views (Sánchez et al. 2013).
:mod:`registry` computes any of them by name. :mod:`queue` computes the descriptors of many shapes in threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.descriptors.queue import Queue as Queue
    from shapecnn.descriptors.registry import describe as describe
    from shapecnn.descriptors.registry import descriptor_size as descriptor_size

_HOMES = {
    "queue": ["Queue"],
    "registry": ["describe", "descriptor_size"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
