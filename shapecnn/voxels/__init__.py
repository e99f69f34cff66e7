"""Voxel grids: occupancy grids of a mesh, and the binvox file format.

In: a normalized mesh and its voxel settings, or the bytes of a binvox file. Out: bool grids indexed [x, y, z] with z
up, or the bytes of a binvox file. :mod:`grid` fills grids with the kernels of :mod:`kernels`; :mod:`binvox` writes and
reads them.

::

    Mesh ── grid.occupancy_grids ──> bool [rotation, x, y, z] ── binvox.write ──> bytes ── binvox.read ──> [x, y, z]
               │
               ├── turn about z and fit: the longest extent is R − 2·padding cells, centred
               ├── kernels.mark_surface: mark the cells that triangles meet, exactly
               └── kernels.mark_outside: mark the cells that are reachable from outside; the rest is solid

A cell is filled if its centre lies inside a closed surface by more than √3/2 cell, half its diagonal. A cell is empty
if its centre lies outside by more than that, unless it cannot be reached from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.voxels.grid import occupancy_grids as occupancy_grids

_HOMES = {
    "grid": ["occupancy_grids"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
