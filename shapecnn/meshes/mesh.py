"""From the bytes of a mesh file to a checked triangle mesh that stands upright, centred, with radius 1.

The formats and their readers are in :mod:`readers`. Every fault of a file becomes one :class:`MeshError` that says what
is wrong.
"""

from __future__ import annotations

import codecs
import mmap
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted
from shapecnn.meshes.readers import FORMATS, Sibling, Triangles, find_format
from shapecnn.meshes.simplification import simplify
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.storage.reading import describe_non_file

EXTENSIONS = frozenset(FORMATS)
_BLOCK = 1 << 16  # faces checked at a time: most meshes fit, and the largest need a hundredth of the memory
MAX_BYTES = 1 << 30  # of a file in memory: what a worker can hold and parse in its share of memory
MAX_MAPPED = 1 << 32  # of a file that is mapped from disk

Content = bytes | mmap.mmap
"""The bytes of a mesh file, in memory or mapped from disk."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Mesh:
    """A checked triangle mesh.

    Attributes:
        vertices: (n, 3) float64 coordinates, all finite, each used by a face.
        faces: (m, 3) int32 indices into vertices, m ≥ 1.
        notes: Sentences, without a full stop, on what of the file is not in the mesh; see :class:`Triangles`.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    notes: tuple[str, ...] = ()


def load_mesh(path: Path, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Read a mesh file and return the mesh checked, upright, centred and scaled to radius 1.

    Args:
        path: A file in one of the formats of :data:`FORMATS`; companion files are read from its folder.
        up: The axis of the file that points up.
        limit: The largest number of faces, and whether a larger mesh is simplified or refused.

    Returns:
        The mesh with +z up, its bounding box centred at the origin and its farthest vertex at distance 1.

    Raises:
        MeshError: The file cannot be used as a mesh.
    """
    try:
        return ready(read_mesh(read_source(path), path.name, sibling_reader(path.parent)), up, limit)
    except MemoryError:
        raise MeshError("too-large", "there is not enough memory for it: simplify it") from None


def ready(mesh: Mesh, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Return the mesh within its face limit, upright, centred and scaled to radius 1.

    Args:
        mesh: A checked mesh as its file has it.
        up: The axis of the file that points up.
        limit: The largest number of faces, and whether a larger mesh is simplified or refused.

    Raises:
        MeshError: too-large, degenerate.
    """
    if limit.most is not None and len(mesh.faces) > limit.most:
        if not limit.simplify:
            excess = f"it has {len(mesh.faces)} faces, more than the {limit.most} of --max-faces"
            raise MeshError("too-large", f"{excess}: raise that, or add --simplify")
        mesh = check_triangles(Triangles(*simplify(mesh.vertices, mesh.faces, limit.most), mesh.notes))
    return normalize(upright(mesh, up))


def read_file(path: Path) -> bytes:
    """Return the bytes of a file of at most ``MAX_BYTES``.

    Raises:
        MeshError: missing, unreadable, too-large.
    """
    return _read(path, MAX_BYTES, Path.read_bytes)


def read_source(path: Path) -> Content:
    """Return the content of a mesh file: mapped from disk if it exceeds ``MAX_BYTES`` and its format allows a map.

    Raises:
        MeshError: missing, unreadable, too-large.
    """
    file_format = find_format(path.name)
    most = MAX_MAPPED if file_format is not None and file_format.mapped else MAX_BYTES
    return _read(path, most, lambda path: _map(path) if path.stat().st_size > MAX_BYTES else path.read_bytes())


def _read(path: Path, most: int, read: Callable[[Path], _T]) -> _T:
    try:
        if not path.is_file():
            raise MeshError("missing", describe_non_file(path, "a mesh file", "the mesh files"))
        if path.stat().st_size > most:
            raise too_large(path.stat().st_size, most)
        return read(path)
    except OSError as error:
        raise MeshError("unreadable", f"it cannot be read: {error.strerror or error}") from None


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def too_large(size: int, most: int) -> MeshError:
    """Return the error for a file of ``size`` bytes where ``most`` are allowed."""
    actual, limit = f"{size / 1e9:.1f} GB", f"{most / 1e9:.1f} GB"
    return MeshError("too-large", f"it holds {actual}, more than the limit of {limit}: simplify it")


def sibling_reader(folder: Path) -> Sibling:
    """Return a function that reads the companion files of a mesh file, from ``folder`` or below and nowhere else."""

    def read(name: str) -> bytes:
        require_beside(name)
        try:
            target, root = (folder / name).resolve(), folder.resolve()
        except (OSError, RuntimeError):  # RuntimeError: before Python 3.13 a link that leads to itself
            raise MeshError("reference", f"it refers to {quoted(name)}, which cannot be read") from None
        if not target.is_relative_to(root):
            raise MeshError("reference", f"it refers to {quoted(name)}, outside its own folder")
        return read_file(target)

    return read


def require_beside(name: str) -> None:
    """Check that ``name`` is a relative path to a file in the folder of a mesh file, or below.

    Raises:
        MeshError: reference.
    """
    path = PurePosixPath(name)
    if re.search("[\0\ud800-\udfff]", name):
        raise MeshError("reference", f"it refers to {quoted(name)}, which cannot be the name of a file")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name) or path.is_absolute() or ".." in path.parts:
        raise MeshError("reference", f"it refers to {quoted(name)}, outside its own folder")


def read_mesh(data: Content, name: str, sibling: Sibling | None = None) -> Mesh:
    """Read and check a mesh, in the coordinates of its file.

    Args:
        data: The content of the mesh file.
        name: Its name; the extension decides the format.
        sibling: Reads the files that the mesh refers to. Without it such references are errors.

    Raises:
        MeshError: format, empty, truncated, not-finite, no-faces, index, degenerate, too-large, reference.
    """
    file_format = find_format(name)
    if file_format is None:
        extension, readable = PurePosixPath(name).suffix.lower(), ", ".join(sorted(EXTENSIONS))
        raise MeshError("format", f"{extension[:80] or 'no extension'} is not a mesh format; readable are {readable}")
    if not re.search(rb"[^\0 \t\r\n]", data):
        nothing = "holds nothing but zero bytes" if b"\0" in data[: 1 << 10] else "is empty"
        raise MeshError("empty", f"the file {nothing}")
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise MeshError("format", "it is text in UTF-16 or UTF-32: save it as UTF-8")
    return check_triangles(file_format.read(data, sibling))


def check_triangles(triangles: Triangles) -> Mesh:
    """Return the mesh without unused vertices, or raise MeshError for anything that would break a later stage."""
    vertices, faces, notes = triangles
    if len(faces) == 0:
        raise MeshError("no-faces", "it has no faces")
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= len(vertices):
        bad = lowest if lowest < 0 else highest
        raise MeshError("index", f"a face names vertex {bad}, but there are {len(vertices)} vertices")
    used = np.zeros(len(vertices), bool)
    used[faces.ravel()] = True
    if not used.all():
        numbers = np.cumsum(used, dtype=np.int64) - 1
        vertices, faces = vertices[used], numbers[faces]
    vertices = np.ascontiguousarray(vertices, np.float64)
    faces = np.ascontiguousarray(faces, np.int32)
    finite = np.isfinite(vertices).all(axis=1)
    if not finite.all():
        count = np.count_nonzero(~finite)
        raise MeshError("not-finite", f"{count} of its {len(vertices)} vertices are not finite numbers")
    largest = float(max(vertices.max(), -vertices.min()))
    if not 1e-100 < largest < 1e100:  # keep squares and cubes of coordinates inside the range of a double
        vertices = vertices / largest if largest > 0 else vertices
        largest = 1.0
    extent = float(np.ptp(vertices, axis=0).max())
    if extent <= 1e-12 * largest:
        raise MeshError("degenerate", "all its vertices coincide")
    if not any(_have_area(vertices, part, extent) for part in np.array_split(faces, -(-len(faces) // _BLOCK))):
        raise MeshError("degenerate", "every face has zero area")
    return Mesh(vertices, faces, notes)


def _have_area(vertices: NDArray[np.float64], faces: NDArray[np.int32], extent: float) -> bool:
    """Return whether any of the faces has an area, relative to the extent of the mesh."""
    corners = (vertices[faces] - vertices[0]) / extent
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return bool(np.linalg.norm(normals, axis=1).max() > 1e-12)


def upright(mesh: Mesh, up: Up) -> Mesh:
    """Turn the mesh so that its ``up`` axis becomes +z: y → (x, −z, y), x → (−z, y, x)."""
    x, y, z = mesh.vertices.T
    columns = {"z": (x, y, z), "y": (x, -z, y), "x": (-z, y, x)}[up]
    return replace(mesh, vertices=np.stack(columns, axis=1))


def normalize(mesh: Mesh) -> Mesh:
    """Move the centre of the bounding box to the origin and the farthest vertex to distance 1."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    centred = mesh.vertices - (low + high) / 2
    return replace(mesh, vertices=centred / np.linalg.norm(centred, axis=1).max())
