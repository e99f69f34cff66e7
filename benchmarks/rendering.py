"""Meshes per second that each renderer draws: 12 views of 224 pixels, drawing alone, on two cores.

    python benchmarks/rendering.py --json results/rendering.json

The meshes of psb.zip are read beforehand. The project's renderer draws all of them on two threads (its kernels release
the GIL). Then all three renderers draw the same subset, one after the other in this process, as Embree uses both cores
by itself and pyrender has one OpenGL context.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from measure import arguments, save, table, use_cores

from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh, upright
from shapecnn.settings.artefacts import Renderer, ViewSettings
from shapecnn.views import render_views

SUBSET = 60
CORES = 2


def rate(meshes: list[Mesh], settings: ViewSettings, threads: int, repeats: int) -> float:
    """Meshes a second, the median of some runs."""
    render_views(meshes[0], settings)
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            started = time.perf_counter()
            for _ in pool.map(lambda mesh: render_views(mesh, settings), meshes):
                pass
            seconds.append(time.perf_counter() - started)
    return len(meshes) / median(seconds)


def main() -> None:
    options = arguments(__doc__ or "", repeats=3)
    use_cores(CORES)
    shapes = list_shapes(options.data / "psb.zip")
    meshes = [normalize(upright(read_mesh(shape.read(), shape.id), "y")) for shape in shapes]
    subset = meshes[:: len(meshes) // SUBSET][:SUBSET]
    runs: list[tuple[Renderer, list[Mesh], int, int]] = [
        ("raster", meshes, 1, CORES),
        ("raster", meshes, 2, CORES),
        ("raster", subset, 1, CORES),
        ("open3d", subset, 1, 1),
        ("pyrender", subset, 1, 1),
    ]
    rows = [
        (name, len(drawn), samples, rate(drawn, ViewSettings(samples=samples, renderer=name), threads, options.repeats))
        for name, drawn, samples, threads in runs
    ]
    headings = ("renderer", "meshes", "samples", "meshes_per_second")
    print(table(headings, [(*row[:3], f"{row[3]:.1f}") for row in rows]))
    figures = [dict(zip(headings, row, strict=True)) for row in rows]
    save(options.json, {"views": 12, "size": 224, "rows": figures}, [options.data / "psb.zip"])


if __name__ == "__main__":
    main()
