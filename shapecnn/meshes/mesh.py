"""From the bytes of a mesh file to a checked triangle mesh that stands upright, centred, with radius 1.

Each format has a reader: :mod:`off`, :mod:`obj`, :mod:`ply`, :mod:`binary_stl`,
:mod:`text_stl`, :mod:`gltf` (scenes are flattened with their transforms). Whatever is wrong with a
file ends in one :class:`MeshError` that says what.
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
from shapecnn.meshes.readers.binary_stl import is_binary_stl, read_binary_stl
from shapecnn.meshes.readers.gltf import Sibling, read_gltf
from shapecnn.meshes.readers.obj import read_obj
from shapecnn.meshes.readers.off import read_off
from shapecnn.meshes.readers.ply import read_ply
from shapecnn.meshes.readers.text_stl import read_text_stl
from shapecnn.meshes.readers.triangles import Triangles
from shapecnn.meshes.simplification import simplify
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up
from shapecnn.storage.reading import why_no_file

EXTENSIONS = frozenset({".off", ".obj", ".stl", ".ply", ".glb", ".gltf"})
_BLOCK = 1 << 16  # faces looked at together: for most meshes all, and for the largest a hundredth of their memory
MAX_BYTES = 1 << 30  # of one file that is held: what a worker can hold and parse in its share of memory
MAX_MAPPED = 1 << 32  # of one that is looked at on the disk
_MAPPED = frozenset({".off", ".obj", ".stl", ".ply"})  # formats whose readers hold no copy of the file

Content = bytes | mmap.mmap
"""The bytes of a mesh file, held in memory or mapped."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles in space.

    vertices: (n, 3) float64, finite, each used by a face.  faces: (m, 3) int32, m ≥ 1, indices into vertices.
    notes: what its file holds and the mesh does not, a sentence each; see :class:`Triangles`.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    notes: tuple[str, ...] = ()


def load_mesh(path: Path, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Read and check the mesh file at ``path`` and make it :func:`ready`.  Raises MeshError."""
    try:
        return ready(read_mesh(read_source(path), path.name, sibling_reader(path.parent)), up, limit)
    except MemoryError:
        raise MeshError("too-large", "there is not enough memory for it: simplify it") from None


def ready(mesh: Mesh, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """The mesh within its limit, upright, centred and scaled.  Raises MeshError: too-large, degenerate."""
    if limit.most is not None and len(mesh.faces) > limit.most:
        if not limit.simplify:
            told = f"it has {len(mesh.faces)} faces, more than the {limit.most} of --max-faces"
            raise MeshError("too-large", f"{told}: raise that, or add --simplify")
        mesh = _checked(Triangles(*simplify(mesh.vertices, mesh.faces, limit.most), mesh.notes))
    return normalize(upright(mesh, up))


def read_file(path: Path) -> bytes:
    """The bytes of one file.  Raises MeshError: missing, unreadable, too-large."""
    return _read(path, MAX_BYTES, Path.read_bytes)


def read_source(path: Path) -> Content:
    """The bytes of a mesh file; those of one too large to be held stay on the disk, where its format allows it.

    Raises MeshError as :func:`read_file` does.
    """
    most = MAX_MAPPED if path.suffix.lower() in _MAPPED else MAX_BYTES
    return _read(path, most, lambda path: _map(path) if path.stat().st_size > MAX_BYTES else path.read_bytes())


def _read(path: Path, most: int, read: Callable[[Path], _T]) -> _T:
    try:
        if not path.is_file():
            raise MeshError("missing", why_no_file(path, "a mesh file", "the mesh files"))
        if path.stat().st_size > most:
            raise too_large(path.stat().st_size, most)
        return read(path)
    except OSError as error:
        raise MeshError("unreadable", f"it cannot be read: {error.strerror or error}") from None


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def too_large(size: int, most: int) -> MeshError:
    """The complaint about a file of ``size`` bytes."""
    held, limit = f"{size / 1e9:.1f} GB", f"{most / 1e9:.1f} GB"
    return MeshError("too-large", f"it holds {held}, more than the limit of {limit}: simplify it")


def sibling_reader(folder: Path) -> Sibling:
    """A reader of files beside a mesh file that never leaves ``folder``."""

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
    """Raise MeshError unless ``name`` may be the relative path of a file in the folder of a mesh, or below."""
    path = PurePosixPath(name)
    if re.search("[\0\ud800-\udfff]", name):
        raise MeshError("reference", f"it refers to {quoted(name)}, which no file is called")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name) or path.is_absolute() or ".." in path.parts:
        raise MeshError("reference", f"it refers to {quoted(name)}, outside its own folder")


def read_mesh(data: Content, name: str, sibling: Sibling | None = None) -> Mesh:
    """The checked mesh in ``data``; the format is told by the extension of ``name``.

    ``sibling`` reads further files that the mesh refers to; without it such references are errors.
    Raises MeshError.
    """
    extension = PurePosixPath(name).suffix.lower()
    if extension not in EXTENSIONS:
        readable = ", ".join(sorted(EXTENSIONS))
        raise MeshError("format", f"{extension[:80] or 'no extension'} is not a mesh format; readable are {readable}")
    if not re.search(rb"[^\0 \t\r\n]", data):
        nothing = "holds nothing but zero bytes" if b"\0" in data[: 1 << 10] else "is empty"
        raise MeshError("empty", f"the file {nothing}")
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise MeshError("format", "it is text in UTF-16 or UTF-32: save it as UTF-8")
    if extension == ".off":
        return _checked(read_off(data))
    if extension == ".obj":
        return _checked(read_obj(data))
    if extension == ".ply":
        return _checked(read_ply(data))
    if extension == ".stl":
        return _checked(read_binary_stl(data) if is_binary_stl(data) else read_text_stl(data))
    return _checked(read_gltf(bytes(data), sibling))  # which is held already


def _checked(found: Triangles) -> Mesh:
    """The mesh without unused vertices, once everything that would break a later stage is ruled out."""
    vertices, faces, notes = found
    if len(faces) == 0:
        raise MeshError("no-faces", "it has no faces")
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= len(vertices):
        bad = lowest if lowest < 0 else highest
        raise MeshError("index", f"a face names vertex {bad}, but there are {len(vertices)} vertices")
    used = np.zeros(len(vertices), bool)
    used[faces.ravel()] = True
    if not used.all():
        renumbered = np.cumsum(used, dtype=np.int64) - 1
        vertices, faces = vertices[used], renumbered[faces]
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
    """Whether any of some faces has an area, measured by the extent of the mesh."""
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
