"""What files are thrown at: the readers, the rasteriser, the voxelizer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shapecnn.artefacts.imports.grids import open_npz, unpack_grid
from shapecnn.artefacts.imports.pictures import decode_grey
from shapecnn.artefacts.manifest import Entry, artefact_stems
from shapecnn.duplicates.signatures import mesh_signature
from shapecnn.errors import ItemError, MeshError, ShapecnnError, visible
from shapecnn.meshes.collection import Shape, content_hash, list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh, sibling_reader
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.sources.archive import unpack
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.tables import table_bytes
from shapecnn.views import render_views
from shapecnn.views.photographs import read_picture
from shapecnn.voxels import binvox, occupancy_grids
from tests.fuzz.checks import refused, require
from tests.fuzz.seeds import gltf


def check_mesh(mesh: Mesh) -> None:
    require(mesh.vertices.dtype == np.float64 and mesh.faces.dtype == np.int32, "another type")
    require(mesh.vertices.shape[1:] == (3,) and mesh.faces.shape[1:] == (3,) and len(mesh.faces), "another shape")
    require(np.isfinite(mesh.vertices).all(), "vertices that are not finite")
    require(mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices), "faces of vertices that do not exist")


SMALL_VIEWS = [ViewSettings(size=8, samples=1), ViewSettings(size=16, fit="view", views=20)]
SMALL_GRIDS = [VoxelSettings(resolution=12, padding=1), VoxelSettings(resolution=9, padding=0, fill="surface")]


def use(mesh: Mesh, views: ViewSettings, grids: VoxelSettings) -> None:
    """Draw it, fill it, sign it."""
    ready = normalize(mesh)
    check_mesh(ready)
    radius = np.linalg.norm(ready.vertices, axis=1).max()
    require(abs(radius - 1) < 1e-9, f"a radius of {radius}")
    pictures = render_views(ready, views)
    require(pictures.shape == (views.views, views.size, views.size) and pictures.dtype == np.uint8, "other pictures")
    require(set(np.unique(pictures)) <= set(range(25, 256)), "grey below the ambient light")
    cells = occupancy_grids(ready, grids)
    R = grids.resolution
    require(cells.shape == (grids.rotations, R, R, R) and cells.dtype == np.bool_, "another grid")
    require(cells.any(axis=(1, 2, 3)).all(), "an empty grid")
    pad = grids.padding
    inner = cells[:, pad : R - pad, pad : R - pad, pad : R - pad]
    require(inner.sum() == cells.sum(), "cells in the padding")
    require(np.array_equal(binvox.read(binvox.write(cells[0])), cells[0]), "another grid is read than written")
    require(np.isfinite(mesh_signature(ready)).all(), "a signature that is not finite")


def read_as(extension: str) -> Callable[[bytes, Path], str]:
    """The target of mesh files with this extension, each beside a buffer, a secret above, and a link to it."""

    def target(data: bytes, folder: Path) -> str:
        name = f"a.{extension}"
        here = folder / "here"
        if extension == "gltf":
            here.mkdir()
            (folder / "x.bin").write_bytes(b"\0" * 4000)
            for other, content in gltf().items():
                if other != "model.gltf":
                    (here / other).write_bytes(content)
        shape = Shape(name, None, None, here / name)
        try:
            require(len(content_hash(shape, data)) == 64, "no SHA-256")
            mesh = read_mesh(data, name, sibling_reader(here))
        except MeshError as error:
            return refused(error)
        check_mesh(mesh)
        for views, grids in zip(SMALL_VIEWS, SMALL_GRIDS, strict=True):
            use(mesh, views, grids)
        return "read"

    return target


def any_name(drawn: tuple[str, bytes], folder: Path) -> str:
    """Files of one format called like another."""
    extension, data = drawn
    return read_as(extension)(data, folder)


def draw_and_fill(drawn: tuple[bytes, ViewSettings, VoxelSettings], folder: Path) -> str:
    data, views, grids = drawn
    try:
        mesh = read_mesh(data, "a.off")
    except MeshError as error:
        return refused(error)
    use(mesh, views, grids)
    return "read"


def read_binvox(data: bytes, folder: Path) -> str:
    try:
        grid = binvox.read(data)
    except ItemError as error:
        return refused(error)
    require(grid.dtype == np.bool_ and grid.ndim == 3, "no grid")
    return "read"


def read_npz(data: bytes, folder: Path) -> str:
    (folder / "a-train.npz").write_bytes(data)
    try:
        items, maker = open_npz(folder / "a-train.npz")
        for item in items:
            unpack_grid(item.bits, maker.settings.resolution)
            list(maker.open(item)[1]().contents)
    except ShapecnnError as error:
        return refused(error)
    return "read"


def import_picture(data: bytes, folder: Path) -> str:
    try:
        picture = decode_grey(data, "a.png", 16)
    except ItemError as error:
        return refused(error)
    require(picture.shape == (16, 16) and picture.dtype == np.uint8, "another picture")
    return "read"


def read_any_picture(data: bytes, folder: Path) -> str:
    (folder / "a").write_bytes(data)
    try:
        picture = read_picture(folder / "a", 32, 0.9)
    except ShapecnnError as error:
        return refused(error)
    require(picture.shape == (32, 32) and picture.dtype == np.uint8 and picture.min() < 255, "another picture")
    return "read"


def read_collection(path: Path) -> str:
    try:
        shapes = list_shapes(path)
        stems = artefact_stems([shape.id for shape in shapes])
    except ShapecnnError as error:
        return refused(error)
    require(len(set(stems)) == len(shapes), "two shapes with one artefact")
    outcomes = []
    for shape, stem in zip(shapes, stems, strict=True):
        target = (path.parent / "out" / stem.replace("\0", "_")).resolve()
        require(target.is_relative_to((path.parent / "out").resolve()), f"an artefact outside: {stem!r}")
        require(visible(shape.path) == shape.path, f"a path that is no line of text: {shape.path!r}")
        try:
            data = shape.read()
            content_hash(shape, data)
            outcomes.append("read")
        except MeshError as error:
            outcomes.append(refused(error))
    rows = [Entry(s.id, s.label, s.split, None, "ok", None) for s in shapes]
    table_bytes(Entry, rows)
    json_bytes([s.path for s in shapes])
    return min(outcomes)


def read_zip(data: bytes, folder: Path) -> str:
    (folder / "a.zip").write_bytes(data)
    try:
        unpack(folder / "a.zip", folder / "unpacked")
    except ShapecnnError as error:
        refused(error)
    outside = {path.name for path in folder.iterdir()} - {"a.zip", "unpacked"}
    require(not outside, f"files outside the folder it was unpacked into: {outside}")
    return read_collection(folder / "a.zip")


def read_csv(data: bytes, folder: Path) -> str:
    (folder / "a.csv").write_bytes(data)
    for name in ("a.off", "c/d.stl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    return read_collection(folder / "a.csv")


def list_names(names: list[tuple[bytes, ...]], folder: Path) -> str:
    """Files with these folders and names, at most 255 bytes each."""
    root = os.fsencode(folder / "set")
    for name in names:
        path = os.path.join(root, *name) + b".off"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(os.fsdecode(path)).write_bytes(b"OFF")
        except OSError:  # a file where a folder should be, or a name that is . or ..
            continue
    (folder / "set").mkdir(exist_ok=True)
    return read_collection(folder / "set")
