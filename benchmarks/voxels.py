"""Meshes per second that become grids: 24 cells across in 30³, filling alone, on one core.

    python benchmarks/voxels.py --json results/voxels.json

The meshes of psb.zip are read beforehand. The project's voxelizer fills all of them; then it, trimesh and Open3D fill
the same subset.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from measure import arguments, save, table, use_cores

from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, read_mesh, upright
from shapecnn.settings.artefacts import VoxelSettings
from shapecnn.voxels import occupancy_grids

SUBSET = 60
CELLS = 24
HEADINGS = ("voxelizer", "computes", "meshes", "meshes_per_second", "cells")


def ours(**options: Any) -> Callable[[Mesh], int]:
    settings = VoxelSettings(**options)
    return lambda mesh: int(occupancy_grids(mesh, settings)[0].sum())


def with_trimesh(mesh: Mesh) -> int:
    import trimesh

    pitch = np.ptp(mesh.vertices, axis=0).max() / CELLS
    return int(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).voxelized(pitch).fill().filled_count)


def with_open3d(mesh: Mesh) -> int:
    import open3d

    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    shell = open3d.geometry.VoxelGrid.create_from_triangle_mesh_within_bounds(
        open3d.geometry.TriangleMesh(
            open3d.utility.Vector3dVector(mesh.vertices), open3d.utility.Vector3iVector(mesh.faces)
        ),
        voxel_size=(high - low).max() / CELLS,
        min_bound=low,
        max_bound=high,
    )
    return len(shell.get_voxels())


def measure(voxelizer: Callable[[Mesh], int], meshes: list[Mesh], repeats: int) -> tuple[float, float]:
    """Meshes a second, the median of some runs, and the mean number of cells set."""
    voxelizer(meshes[0])
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        cells = [voxelizer(mesh) for mesh in meshes]
        seconds.append(time.perf_counter() - started)
    return len(meshes) / median(seconds), float(np.mean(cells))


def main() -> None:
    options = arguments(__doc__ or "", repeats=3)
    use_cores(1)
    shapes = list_shapes(options.data / "psb.zip")
    meshes = [upright(read_mesh(shape.read(), shape.id), "y") for shape in shapes]
    subset = meshes[:: len(meshes) // SUBSET][:SUBSET]
    runs = [
        ("shapecnn", "exact surface, filled", meshes, ours()),
        ("shapecnn", "exact surface", meshes, ours(fill="surface")),
        ("shapecnn", "exact surface, filled, in 12 rotations", meshes, ours(rotations=12)),
        ("shapecnn", "exact surface, filled", subset, ours()),
        ("trimesh", "cells of the subdivided mesh's corners, filled", subset, with_trimesh),
        ("shapecnn", "exact surface", subset, ours(fill="surface")),
        ("open3d", "surface by box overlap, never filled", subset, with_open3d),
    ]
    rows = [(name, what, len(these), *measure(run, these, options.repeats)) for name, what, these, run in runs]
    print(table(HEADINGS, [(*row[:3], f"{row[3]:.1f}", f"{row[4]:.0f}") for row in rows]))
    save(options.json, {"rows": [dict(zip(HEADINGS, row, strict=True)) for row in rows]}, [options.data / "psb.zip"])


if __name__ == "__main__":
    main()
