"""How fast OFF files are read: ours beside trimesh and a plain Python reader, one process, one core.

    python benchmarks/readers.py --json results/readers.json

All meshes of psb.zip are unpacked to memory beforehand. The readers take turns on each file and must agree on it.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.collection import list_shapes
from shapecnn.off import read_off

Geometry = tuple[NDArray[np.float64], NDArray[np.integer]]
HEADINGS = ("reader", "meshes", "megabytes_per_second", "meshes_per_second", "times_ours")


def with_trimesh(data: bytes) -> Geometry:
    import trimesh

    mesh = trimesh.load_mesh(io.BytesIO(data), file_type="off", process=False)
    return mesh.vertices, mesh.faces


def with_plain_python(data: bytes) -> Geometry:
    """Line by line, with split, float and int, as one writes it for well-formed files."""
    lines = iter(data.decode().split("\n"))
    assert next(lines).strip() == "OFF"
    vertex_count, face_count, _ = map(int, next(lines).split())
    vertices = [[float(x) for x in next(lines).split()] for _ in range(vertex_count)]
    polygons = [[int(x) for x in next(lines).split()][1:] for _ in range(face_count)]
    fans = [[p[0], p[i], p[i + 1]] for p in polygons for i in range(1, len(p) - 1)]
    return np.array(vertices), np.array(fans)


READERS: dict[str, Callable[[bytes], Geometry]] = {
    "shapecnn": read_off,
    "trimesh": with_trimesh,
    "plain Python": with_plain_python,
}


def require_agreement(name: str, data: bytes) -> None:
    """The same coordinates to a few units in the last place, and as many triangles."""
    vertices, faces, _ = read_off(data)
    for reader, read in READERS.items():
        its_vertices, its_faces = read(data)
        same = its_vertices.shape == vertices.shape and np.allclose(its_vertices, vertices, rtol=1e-15, atol=0)
        if not same or its_faces.shape != faces.shape:
            raise SystemExit(f"{reader} reads {name} differently")


def main() -> None:
    options = arguments(__doc__ or "", repeats=3)
    use_cores(1)
    files = {shape.id: shape.read() for shape in list_shapes(options.data / "psb.zip")}
    for name, data in files.items():
        require_agreement(name, data)
    seconds: dict[str, list[float]] = {reader: [] for reader in READERS}
    for _ in range(options.repeats):
        spent = dict.fromkeys(READERS, 0.0)
        for data in files.values():
            for reader, read in READERS.items():
                started = time.perf_counter()
                read(data)
                spent[reader] += time.perf_counter() - started
        for reader in READERS:
            seconds[reader].append(spent[reader])
    size = sum(map(len, files.values())) / 1e6
    ours = median(seconds["shapecnn"])
    rows = [
        (reader, len(files), size / median(s), len(files) / median(s), median(s) / ours)
        for reader, s in seconds.items()
    ]
    print(table(HEADINGS, [(*row[:2], *(f"{value:.1f}" for value in row[2:])) for row in rows]))
    figures = [dict(zip(HEADINGS, row, strict=True)) for row in rows]
    save(options.json, {"megabytes": size, "rows": figures}, [options.data / "psb.zip"])


if __name__ == "__main__":
    main()
