"""Convert meshes to voxel grids (occupancy grids), and write and read grids as binvox files.

Input: a normalized mesh and voxel settings, or the bytes of a binvox file. Output: bool grids indexed [x, y, z] with z
up, or the bytes of a binvox file. :mod:`grid` fills the grids with the numba kernels of :mod:`kernels`; :mod:`binvox`
writes and reads binvox files.

::

    Mesh ── grid.occupancy_grids ──> bool [rotation, x, y, z] ── binvox.write ──> bytes ── binvox.read ──> [x, y, z]
               │
               ├── rotate about z, centre and scale: the longest extent is R − 2·padding cells (R: resolution)
               ├── kernels.mark_surface: mark exactly the cells that triangles touch
               └── kernels.mark_outside: mark the cells that can be reached from outside; the rest is solid

A cell is filled if its centre lies inside a closed surface, deeper than √3/2 cell (half the diagonal of a cell). A cell
is empty if its centre lies outside, farther than √3/2 cell, unless the cell cannot be reached from outside.
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
