"""Speed of the mesh readers beside trimesh, Open3D, plyfile and a plain Python reader: one process, one core.

    python benchmarks/readers.py --json results/readers.json

All meshes of psb.zip are read in OFF, as they are, and every fourth in each other format, written beforehand. Files are
in memory; for Open3D, which reads from paths, in a folder of /dev/shm. The readers take turns on each file, and their
results must agree. Time is processor time, so that other work on the machine counts little.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import plyfile
import trimesh
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray

from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.readers.binary_stl import read_binary_stl
from shapecnn.meshes.readers.obj import read_obj
from shapecnn.meshes.readers.off import read_off
from shapecnn.meshes.readers.ply import read_ply
from shapecnn.meshes.readers.text_stl import read_text_stl
from shapecnn.meshes.readers.triangles import Triangles

Geometry = tuple[NDArray[np.float64], NDArray[np.integer]]
Reader = Callable[[bytes, Path], Geometry]
"""Reads the bytes of a file, or the same at a path."""

SHARE = 4  # one mesh of so many is written in the other formats
HEADINGS = ("format", "reader", "meshes", "megabytes_per_second", "meshes_per_second", "times_ours")


def ours(read: Callable[[bytes], Triangles]) -> Reader:
    return lambda data, _path: read(data)[:2]


def with_trimesh(data: bytes, path: Path) -> Geometry:
    mesh = trimesh.load_mesh(io.BytesIO(data), file_type=path.suffix[1:], process=False)
    return mesh.vertices, mesh.faces


def with_open3d(_data: bytes, path: Path) -> Geometry:
    import open3d

    mesh = open3d.io.read_triangle_mesh(path)
    return np.asarray(mesh.vertices), np.asarray(mesh.triangles)


def with_plyfile(data: bytes, _path: Path) -> Geometry:
    ply = plyfile.PlyData.read(io.BytesIO(data))
    vertices = np.stack([ply["vertex"][axis] for axis in "xyz"], axis=1)
    return vertices, np.stack(ply["face"]["vertex_indices"])


def with_plain_python(data: bytes, _path: Path) -> Geometry:
    """Line by line, with split, float and int, as one writes it for well-formed files."""
    lines = iter(data.decode().split("\n"))
    assert next(lines).strip() == "OFF"
    vertex_count, face_count, _ = map(int, next(lines).split())
    vertices = [[float(x) for x in next(lines).split()] for _ in range(vertex_count)]
    polygons = [[int(x) for x in next(lines).split()][1:] for _ in range(face_count)]
    fans = [[p[0], p[i], p[i + 1]] for p in polygons for i in range(1, len(p) - 1)]
    return np.array(vertices), np.array(fans)


def written(off: bytes, suffix: str, **options: object) -> bytes:
    """A mesh in another format, by trimesh."""
    vertices, faces, _ = read_off(off)
    content = trimesh.Trimesh(vertices, faces, process=False).export(file_type=suffix, **options)
    return content.encode() if isinstance(content, str) else content


OTHERS: dict[str, Reader] = {"trimesh": with_trimesh, "Open3D": with_open3d}
FORMATS: dict[str, tuple[str, Callable[[bytes], bytes], dict[str, Reader]]] = {
    "OFF": (
        ".off",
        lambda off: off,
        {"shapecnn": ours(read_off), "trimesh": with_trimesh, "plain Python": with_plain_python},
    ),
    "OBJ": (".obj", lambda off: written(off, "obj"), {"shapecnn": ours(read_obj), **OTHERS}),
    "text PLY": (
        ".ply",
        lambda off: written(off, "ply", encoding="ascii", vertex_normal=False),
        {"shapecnn": ours(read_ply), **OTHERS, "plyfile": with_plyfile},
    ),
    "binary PLY": (
        ".ply",
        lambda off: written(off, "ply", vertex_normal=False),
        {"shapecnn": ours(read_ply), **OTHERS, "plyfile": with_plyfile},
    ),
    "text STL": (".stl", lambda off: written(off, "stl_ascii"), {"shapecnn": ours(read_text_stl), **OTHERS}),
    "binary STL": (".stl", lambda off: written(off, "stl"), {"shapecnn": ours(read_binary_stl), **OTHERS}),
}
"""For each format: the ending of its files, how a mesh is written, who reads it."""


def require_agreement(read: dict[str, Geometry], name: str) -> None:
    """The same triangles in the same order, to the precision of the text."""
    (_, (vertices, faces)), *others = read.items()
    for reader, (its_vertices, its_faces) in others:
        same = its_faces.shape == faces.shape and np.allclose(its_vertices[its_faces], vertices[faces], rtol=1e-6)
        if not same:
            raise SystemExit(f"{reader} reads {name} differently")


def measure(name: str, meshes: dict[str, bytes], folder: Path, repeats: int) -> list[tuple[object, ...]]:
    """A row for each reader of one format."""
    ending, write, readers = FORMATS[name]
    files = {folder / f"{number}{ending}": write(off) for number, off in enumerate(meshes.values())}
    for path, data in files.items():
        path.write_bytes(data)
    for (path, data), shape in zip(files.items(), meshes, strict=True):
        require_agreement({reader: read(data, path) for reader, read in readers.items()}, f"{shape} as {name}")
    seconds: dict[str, list[float]] = {reader: [] for reader in readers}
    for _ in range(repeats):
        spent = dict.fromkeys(readers, 0.0)
        for path, data in files.items():
            for reader, read in readers.items():
                started = time.process_time()
                read(data, path)
                spent[reader] += time.process_time() - started
        for reader in readers:
            seconds[reader].append(spent[reader])
    size = sum(map(len, files.values())) / 1e6
    own = median(seconds["shapecnn"])
    return [
        (name, reader, len(files), size / median(s), len(files) / median(s), median(s) / own)
        for reader, s in seconds.items()
    ]


def main() -> None:
    options = arguments(__doc__ or "", repeats=3, formats=",".join(FORMATS))
    use_cores(1)
    meshes = {shape.id: shape.read() for shape in list_shapes(options.data / "psb.zip")}
    some = {shape: meshes[shape] for shape in list(meshes)[::SHARE]}
    rows = []
    for name in options.formats.split(","):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            rows += measure(name, meshes if name == "OFF" else some, Path(folder), options.repeats)
    print(table(HEADINGS, [(*row[:3], *(f"{value:.1f}" for value in row[3:])) for row in rows]))
    figures = [dict(zip(HEADINGS, row, strict=True)) for row in rows]
    save(options.json, {"rows": figures}, [options.data / "psb.zip"])


if __name__ == "__main__":
    main()
