"""Read a mesh file as a checked triangle mesh that is upright, centred and scaled to radius 1.

The formats and their readers are in :mod:`readers`. Every problem with a file raises a :class:`MeshError` that names
the problem.
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

from shapecnn.errors import MeshError, ObjectStoreError, quoted
from shapecnn.meshes.readers import FORMATS, Sibling, Triangles, find_format
from shapecnn.meshes.simplification import simplify
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.storage.objects.store import read_object
from shapecnn.storage.objects.url import Url
from shapecnn.storage.reading import describe_non_file

EXTENSIONS = frozenset(FORMATS)
_BLOCK = 1 << 16  # number of faces checked at once, to bound memory; most meshes have fewer
MAX_BYTES = 1 << 30  # bytes of a file that is read into memory: a worker has enough memory to parse this much
MAX_MAPPED = 1 << 32  # bytes of a file that is memory-mapped

Content = bytes | mmap.mmap
"""Content of a mesh file: bytes in memory, or a memory-mapped file."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, repr=False)
class Mesh:
    """A triangle mesh that passed all checks: indices are valid, coordinates are finite, and the area is not zero.

    Attributes:
        vertices: Coordinates (n, 3) float64 of n vertices, all finite; each vertex belongs to a face.
        faces: Vertex indices (m, 3) int32 of m ≥ 1 triangles.
        notes: Messages about parts of the file that are missing in the mesh. Each is a sentence without a full stop;
            see :class:`Triangles`.
        radius: Length of one unit of the coordinates, in units of the mesh file. For a mesh that was scaled to radius
            1, it is the distance of the farthest vertex from the centre in the file.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    notes: tuple[str, ...] = ()
    radius: float = 1.0

    def __repr__(self) -> str:
        """Return a short description of the mesh: its numbers of vertices and faces."""
        return f"<Mesh: {len(self.vertices)} vertices, {len(self.faces)} faces>"


def load_mesh(path: Path, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Read and check a mesh file; return the mesh upright, centred and scaled to radius 1.

    Args:
        path: A file in one of the formats of :data:`FORMATS`; companion files are read from its folder.
        up: Axis of the file that points up: x, y or z.
        limit: Largest number of faces, and whether a larger mesh is simplified or raises an error.

    Returns:
        The mesh with +z up, its bounding box centred at the origin and its farthest vertex at distance 1.

    Raises:
        MeshError: The file cannot be used as a mesh.
    """
    try:
        return ready(read_mesh(read_source(path), path.name, sibling_reader(path.parent)), up, limit)
    except MemoryError:
        raise MeshError("too-large", "there is not enough memory for the mesh: simplify it") from None


def ready(mesh: Mesh, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Normalize a checked mesh: simplify it if it has too many faces, turn it upright, centre it, scale it to radius 1.

    Args:
        mesh: A checked mesh in the coordinates of its file.
        up: Axis of the file that points up: x, y or z.
        limit: Largest number of faces, and whether a larger mesh is simplified or raises an error.

    Returns:
        The mesh with +z up, its bounding box centred at the origin and its farthest vertex at distance 1.

    Raises:
        MeshError: The mesh has too many faces, cannot be simplified to the limit, or has no area after simplification.
    """
    if limit.most is not None and len(mesh.faces) > limit.most:
        if not limit.simplify:
            excess = f"the mesh has {len(mesh.faces)} faces, more than the limit of {limit.most}"
            raise MeshError("too-large", f"{excess}: raise --max-faces, or add --simplify")
        mesh = check_triangles(Triangles(*simplify(mesh.vertices, mesh.faces, limit.most), mesh.notes))
    return normalize(upright(mesh, up))


def read_file(path: Path) -> bytes:
    """Return the content of a file of at most ``MAX_BYTES`` bytes.

    Raises:
        MeshError: The file is missing, unreadable or too large.
    """
    return _read_object(path) if isinstance(path, Url) else _read(path, MAX_BYTES, Path.read_bytes)


def read_source(path: Path) -> Content:
    """Return the content of a mesh file; a file above ``MAX_BYTES`` is memory-mapped if its reader allows it.

    An object at a URL is read into memory.

    Raises:
        MeshError: The file is missing, unreadable or too large.
    """
    if isinstance(path, Url):
        return _read_object(path)
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
        raise MeshError("unreadable", f"the file cannot be read: {error.strerror or error}") from None


def _read_object(url: Url) -> bytes:
    try:
        return read_object(url, MAX_BYTES)
    except FileNotFoundError:
        raise MeshError("missing", "there is no such object") from None
    except ValueError as error:
        raise too_large(error.args[0], MAX_BYTES) from None
    except ObjectStoreError as error:
        raise MeshError("unreadable", str(error).removeprefix(f"{url}: ").rstrip(".")) from None


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def too_large(size: int, most: int) -> MeshError:
    """Return the error for a mesh file of ``size`` bytes if at most ``most`` bytes are allowed."""
    actual, limit = f"{size / 1e9:.1f} GB", f"{most / 1e9:.1f} GB"
    return MeshError("too-large", f"the file has {actual}, more than the limit of {limit}: simplify the mesh")


def sibling_reader(folder: Path) -> Sibling:
    """Return a function that reads companion files of a mesh, such as glTF buffers, by name, only below ``folder``."""

    def read(name: str) -> bytes:
        require_beside(name)
        try:
            target, root = (folder / name).resolve(), folder.resolve()
        except (OSError, RuntimeError):  # before Python 3.13, a link to itself raises RuntimeError
            raise MeshError("reference", f"the mesh refers to {quoted(name)}, which cannot be read") from None
        if not target.is_relative_to(root):
            raise MeshError("reference", f"the mesh refers to {quoted(name)}, which is not in the folder of the mesh")
        return read_file(target)

    return read


def require_beside(name: str) -> None:
    """Check that ``name``, a reference in a mesh file, is a relative path inside the folder of the mesh file.

    Raises:
        MeshError: The name is an absolute path or a URL, leads out of the folder, or is not a valid file name.
    """
    path = PurePosixPath(name)
    if re.search("[\0\ud800-\udfff]", name):
        raise MeshError("reference", f"the mesh refers to {quoted(name)}, which is not a valid file name")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name) or path.is_absolute() or ".." in path.parts:
        raise MeshError("reference", f"the mesh refers to {quoted(name)}, which is not in the folder of the mesh")


def read_mesh(data: Content, name: str, sibling: Sibling | None = None) -> Mesh:
    """Parse and check the content of a mesh file; return the mesh in the coordinates of the file.

    Args:
        data: The content of the mesh file.
        name: Name of the mesh file; the extension decides the format.
        sibling: Function that reads companion files of the mesh file. If None, a reference to a file is an error.

    Raises:
        MeshError: The file cannot be used as a mesh. The ``kind`` of the error is one of format, empty, truncated,
            not-finite, no-faces, index, degenerate, too-large, reference.
    """
    file_format = find_format(name)
    if file_format is None:
        extension, readable = PurePosixPath(name).suffix.lower(), ", ".join(sorted(EXTENSIONS))
        raise MeshError(
            "format", f"{extension[:80] or 'a name without an extension'} is not a mesh format; use one of {readable}"
        )
    if not re.search(rb"[^\0 \t\r\n]", data):
        nothing = "holds nothing but zero bytes" if b"\0" in data[: 1 << 10] else "is empty"
        raise MeshError("empty", f"the file {nothing}")
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise MeshError("format", "the file is text in UTF-16 or UTF-32: save it as UTF-8")
    return check_triangles(file_format.read(data, sibling))


def check_triangles(triangles: Triangles) -> Mesh:
    """Check the triangles that a reader returns, and convert them to a mesh without unused vertices.

    Raises:
        MeshError: There are no faces, a vertex index is invalid, a coordinate is not finite, all vertices coincide, or
            all faces have zero area (kinds: no-faces, index, not-finite, degenerate).
    """
    vertices, faces, notes = triangles
    if len(faces) == 0:
        raise MeshError("no-faces", "the mesh has no faces")
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= len(vertices):
        bad = lowest if lowest < 0 else highest
        raise MeshError("index", f"a face refers to vertex {bad}, but the mesh has {len(vertices)} vertices")
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
        raise MeshError(
            "not-finite", f"{count} of the {len(vertices)} vertices of the mesh have coordinates that are not finite"
        )
    largest = float(max(vertices.max(), -vertices.min()))
    if not 1e-100 < largest < 1e100:  # squares and cubes of coordinates must not overflow or underflow
        vertices = vertices / largest if largest > 0 else vertices
        largest = 1.0
    extent = float(np.ptp(vertices, axis=0).max())
    if extent <= 1e-12 * largest:
        raise MeshError("degenerate", "all vertices of the mesh coincide")
    if not any(_have_area(vertices, part, extent) for part in np.array_split(faces, -(-len(faces) // _BLOCK))):
        raise MeshError("degenerate", "every face of the mesh has zero area")
    return Mesh(vertices, faces, notes)


def _have_area(vertices: NDArray[np.float64], faces: NDArray[np.int32], extent: float) -> bool:
    """Return whether the area of at least one face is larger than rounding errors in a mesh of size ``extent``."""
    corners = (vertices[faces] - vertices[0]) / extent
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return bool(np.linalg.norm(normals, axis=1).max() > 1e-12)


def upright(mesh: Mesh, up: Up) -> Mesh:
    """Rotate a mesh so that its ``up`` axis becomes +z.

    A vertex (x, y, z) becomes (x, −z, y) if ``up`` is y, and (−z, y, x) if ``up`` is x.
    """
    x, y, z = mesh.vertices.T
    columns = {"z": (x, y, z), "y": (x, -z, y), "x": (-z, y, x)}[up]
    return replace(mesh, vertices=np.stack(columns, axis=1))


def normalize(mesh: Mesh) -> Mesh:
    """Centre the bounding box of a mesh at the origin and scale the mesh so that its farthest vertex has distance 1."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    centred = mesh.vertices - (low + high) / 2
    farthest = float(np.linalg.norm(centred, axis=1).max())
    return replace(mesh, vertices=centred / farthest, radius=mesh.radius * farthest)
