"""What inputs are thrown at, and what has to hold of whatever comes of it.

Each target takes an input and returns ``read``, or ``refused: KIND`` where it was told in one sentence why not; all
else is a :class:`Finding`. The folder it may use is its own and empty.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from shapecnn.arrays import array_of, read_arrays
from shapecnn.artefacts import Entry
from shapecnn.checksums import parse_sums, sums_bytes
from shapecnn.collection import Shape, artefact_stems, content_hash, list_shapes
from shapecnn.config import ViewSettings, VoxelSettings
from shapecnn.errors import ItemError, MeshError, ShapecnnError, StoredDataError, visible
from shapecnn.imports.grids import open_npz, unpacked
from shapecnn.imports.pictures import grey
from shapecnn.index import Item
from shapecnn.mesh import Mesh, normalize, read_mesh, sibling_reader
from shapecnn.pictures import read_picture
from shapecnn.sealed import Sealed
from shapecnn.signatures import mesh_signature
from shapecnn.sources.archive import unpack
from shapecnn.storage import json_bytes
from shapecnn.tables import read_table, table_bytes
from shapecnn.views import draw_views
from shapecnn.voxels import binvox, voxelize
from tests.fuzz.inputs import NAMES, damaged, damaged_sums, damaged_tree, meshes
from tests.fuzz.seeds import gltf

LONGEST = 400  # characters of a message: a sentence or two
KINDS = frozenset({
    "missing", "unreadable", "empty", "format", "truncated", "not-finite", "no-faces", "index", "degenerate",
    "too-large", "reference", "count", "size", "blank", "collection", "usage", "archive", "stored-data",
})  # fmt: skip


class Finding(AssertionError):  # noqa: N818
    """An input was neither read nor refused as it should be."""


def require(holds: object, what: str) -> None:
    if not holds:
        raise Finding(what)


def refused(error: ShapecnnError) -> str:
    """The outcome of an input that was refused, once its message is one that a person can read on a terminal."""
    message = str(error)
    require(error.kind in KINDS, f"unknown kind {error.kind!r}")
    require(message and len(message) <= LONGEST, f"a message of {len(message)} characters: {message[:200]!r}…")
    require(visible(message) == message, f"the message is no line of text: {message!r}")
    require("Traceback" not in message and "Error:" not in message, f"the message shows Python's insides: {message!r}")
    if "not enough memory" in message:
        raise Finding("a small file is said to need more memory than there is")
    return f"refused: {error.kind}"


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
    pictures = draw_views(ready, views)
    require(pictures.shape == (views.views, views.size, views.size) and pictures.dtype == np.uint8, "other pictures")
    require(set(np.unique(pictures)) <= set(range(25, 256)), "grey below the ambient light")
    cells = voxelize(ready, grids)
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
            unpacked(item.bits, maker.settings.resolution)
            list(maker.open(item)[1]().contents)
    except ShapecnnError as error:
        return refused(error)
    return "read"


def import_picture(data: bytes, folder: Path) -> str:
    try:
        picture = grey(data, "a.png", 16)
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


STORED = Sealed(Path("run"), {}, "Make it again.")
"""A folder whose files are as they were written: what others wrote there is refused by ValueError alone."""


def read_stored_table(data: bytes, folder: Path) -> str:
    """As a manifest and as the shapes of an index."""
    outcomes = []
    for row in (Entry, Item):
        try:
            with STORED.expecting("a.parquet"):
                rows = read_table(row, data)
        except StoredDataError as error:
            outcomes.append(refused(error))
            continue
        require(read_table(row, table_bytes(row, rows)) == rows, "other rows are read than written")
        outcomes.append("read")
    return min(outcomes)


def read_stored_arrays(data: bytes, folder: Path) -> str:
    try:
        with STORED.expecting("a.safetensors"):
            matrix = array_of(read_arrays(data), "matrix", np.float32, (None, 4))
    except StoredDataError as error:
        return refused(error)
    require(matrix.dtype == np.float32 and matrix.shape[1:] == (4,) and np.isfinite(matrix).all(), "another matrix")
    return "read"


def read_sums(data: bytes, folder: Path) -> str:
    try:
        with STORED.expecting("SHA256SUMS"):
            sums = parse_sums(data)
    except StoredDataError as error:
        return refused(error)
    require(sums_bytes(sums) == data, "other sums are read than written")
    for name in sums:
        require((folder / name).resolve().is_relative_to(folder.resolve()), f"a file outside: {name!r}")
    return "read"


@dataclass(frozen=True)
class Target:
    """inputs: what is thrown at ``run``.  share: of all inputs, in parts of a hundred."""

    inputs: st.SearchStrategy[Any]
    run: Callable[[Any, Path], str]
    share: int


EXTENSIONS = ["off", "obj", "stl", "ply", "glb", "gltf"]
VIEWS = st.builds(
    ViewSettings, size=st.sampled_from([8, 9, 17]), samples=st.integers(1, 3), fit=st.sampled_from(["sphere", "view"]),
    views=st.sampled_from([12, 20]),
) | st.builds(ViewSettings, size=st.just(8), orientation=st.just("auto"))  # fmt: skip
GRIDS = st.builds(
    VoxelSettings, resolution=st.integers(3, 16), padding=st.integers(0, 1), fill=st.sampled_from(["solid", "surface"]),
    rotations=st.integers(1, 3), orientation=st.sampled_from(["upright", "auto"]),
)  # fmt: skip
ANY = st.tuples(st.sampled_from(EXTENSIONS), st.binary(max_size=400) | st.sampled_from(EXTENSIONS).flatmap(damaged))

TARGETS = {
    "off": Target(damaged("off"), read_as("off"), 8),
    "obj": Target(damaged("obj"), read_as("obj"), 9),
    "stl": Target(damaged("stl"), read_as("stl"), 9),
    "ply": Target(damaged("ply"), read_as("ply"), 9),
    "glb": Target(damaged_tree("glb"), read_as("glb"), 9),
    "gltf": Target(damaged_tree("gltf"), read_as("gltf"), 8),
    "wrong extension": Target(ANY, any_name, 5),
    "rasteriser and voxelizer": Target(st.tuples(meshes(), VIEWS, GRIDS), draw_and_fill, 16),
    "binvox": Target(damaged("binvox"), read_binvox, 4),
    "npz": Target(damaged("npz"), read_npz, 3),
    "imported picture": Target(damaged("picture"), import_picture, 3),
    "picture": Target(damaged("picture"), read_any_picture, 4),
    "zip": Target(damaged("zip"), read_zip, 3),
    "csv": Target(damaged("csv"), read_csv, 1),
    "names": Target(st.lists(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=4), list_names, 2),
    "table": Target(damaged("table"), read_stored_table, 4),
    "safetensors": Target(damaged_tree("safetensors"), read_stored_arrays, 2),
    "sums": Target(damaged_sums(), read_sums, 1),
}


def attempt(target: str, drawn: Any, folder: Path) -> str:
    """The outcome of one input, in a folder that is emptied afterwards.  Raises whatever it should not."""
    folder.mkdir()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return TARGETS[target].run(drawn, folder)
    finally:
        shutil.rmtree(folder)


def stored(drawn: Any) -> bytes:
    """An input as a file: bytes as they are, others as Python writes them."""
    return drawn if isinstance(drawn, bytes) else repr(drawn).encode()


def digest(drawn: Any) -> bytes:
    """Eight bytes that tell an input from others."""
    return hashlib.blake2b(stored(drawn), digest_size=8).digest()
