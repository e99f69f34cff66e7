"""Volumes: a mesh becomes a grid of cells that are filled or empty.

::

    Mesh ── grid.voxelize ──> bool [rotation, x, y, z] ── binvox.write ──> bytes ── binvox.read ──> [x, y, z]
               │
               ├── turned about z and fitted: the longest extent is R − 2·padding cells, centred
               ├── kernels.mark_surface: the cells that a triangle meets, exactly
               └── kernels.mark_outside: the cells that the outside reaches; what is left is solid

A cell whose centre lies inside a closed surface by more than √3/2 cell, half its diagonal, is filled; one
whose centre lies outside by more is empty, unless the outside cannot reach it.
"""

from shapecnn.voxels import binvox
from shapecnn.voxels.grid import voxelize

__all__ = ["binvox", "voxelize"]
