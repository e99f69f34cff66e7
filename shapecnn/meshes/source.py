"""Convert the meshes that users pass to the Python interface (a path, a trimesh object, arrays) to checked meshes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapecnn.errors import MeshError, UsageError
from shapecnn.meshes.mesh import Mesh, check_triangles, load_mesh, ready
from shapecnn.meshes.readers.triangles import Triangles
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.shared.checks import require_choice
from shapecnn.storage.objects.url import Url, as_path


class TriangleMesh(Protocol):
    """Any object with ``vertices`` and ``faces``, such as a ``trimesh.Trimesh`` or a :class:`Mesh`."""

    @property
    def vertices(self) -> Any:
        """Coordinates of the n vertices, (n, 3)."""

    @property
    def faces(self) -> Any:
        """Vertex indices of the m triangles, (m, 3)."""


MeshSource: TypeAlias = "str | os.PathLike[str] | TriangleMesh | tuple[ArrayLike, ArrayLike] | MeshFile"
"""A mesh: the path of a file, a ``trimesh.Trimesh`` or ``trimesh.Scene``, a :class:`Mesh`, (vertices, faces), or a
:class:`MeshFile`."""


class MeshArrays(NamedTuple):
    """An unchecked mesh in memory: its name and its arrays.

    Attributes:
        name: Name of the mesh in results and messages.
        vertices: Coordinates of the n vertices, (n, 3) float64.
        faces: Vertex indices of the m triangles, (m, 3) int64.
        upright: Whether +z already points up, as in a :class:`Mesh`. If True, the argument ``up`` of
            :func:`load_mesh_input` is ignored.
    """

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    upright: bool = False


class MeshFile(ABC):
    """A mesh whose file is read in the worker process that needs it, such as an upload that is not on the disk.

    Instances are sent to worker processes, so their classes must be importable by name and their values picklable.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the mesh in results and messages."""

    @abstractmethod
    def load(self, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
        """Read and check the mesh, turn it upright, centre it and scale it to radius 1.

        Args:
            up: Axis of the mesh that points up: x, y or z.
            limit: Largest number of faces, and whether a larger mesh is simplified or raises an error.

        Raises:
            MeshError: The mesh cannot be used.
        """


MeshInput: TypeAlias = str | MeshArrays | MeshFile
"""A mesh in a form that can be sent to a worker process: the path of its file, its arrays, or a :class:`MeshFile`."""


def mesh_inputs(meshes: MeshSource | Iterable[MeshSource]) -> list[MeshInput]:
    """Convert one or several meshes to paths or arrays that can be sent to worker processes.

    Args:
        meshes: One mesh, or any number of meshes.

    Returns:
        One entry for each mesh, in order. The name of a mesh in memory is the file name that trimesh has stored with
        it, or else ``mesh 0``, ``mesh 1`` and so on, by the position in ``meshes``.

    Raises:
        UsageError: ``meshes``, or one of its entries, is not a mesh.
    """
    if _is_mesh(meshes):
        return [_mesh_input(meshes, 0)]
    if not isinstance(meshes, Iterable):
        raise _not_a_mesh(meshes)
    return [_mesh_input(mesh, number) for number, mesh in enumerate(meshes)]


def load_mesh_input(mesh: MeshInput, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Read and check a mesh, turn it upright, centre it and scale it to radius 1.

    Args:
        mesh: Path of a mesh file, a mesh as arrays, or a :class:`MeshFile`.
        up: Axis of the mesh that points up: x, y or z.
        limit: Largest number of faces, and whether a larger mesh is simplified or raises an error.

    Returns:
        The mesh with +z up, its bounding box centred at the origin and its farthest vertex at distance 1.

    Raises:
        MeshError: The mesh cannot be used.
    """
    if isinstance(mesh, str):
        return load_mesh(as_path(mesh), up, limit)
    if isinstance(mesh, MeshFile):
        return mesh.load(up, limit)
    return ready(check_triangles(Triangles(mesh.vertices, mesh.faces, ())), "z" if mesh.upright else up, limit)


def mesh_name(mesh: MeshInput) -> str:
    """Return the name of a mesh in results: the path of its file, or the name of a mesh in memory."""
    return mesh if isinstance(mesh, str) else mesh.name


def _is_mesh(value: object) -> bool:
    if isinstance(value, str | os.PathLike | MeshFile) or _is_scene(value):
        return True
    if hasattr(value, "vertices") and (hasattr(value, "faces") or hasattr(value, "triangles")):
        return True
    return isinstance(value, tuple) and len(value) == 2 and all(_is_array(part) for part in value)


def _is_scene(value: object) -> bool:
    """Return whether a value is a ``trimesh.Scene``, which trimesh returns for GLB files."""
    return hasattr(value, "to_mesh") and hasattr(value, "graph")


def _is_array(value: object) -> bool:
    """Return whether a value may be an array of vertices or faces, rather than a whole mesh."""
    if isinstance(value, str | os.PathLike | tuple) or hasattr(value, "faces"):
        return False
    return isinstance(value, np.ndarray) or hasattr(value, "__array__") or isinstance(value, Sequence)


def _mesh_input(mesh: Any, number: int) -> MeshInput:
    if isinstance(mesh, MeshFile):
        return mesh
    if isinstance(mesh, str | os.PathLike):
        return str(mesh) if isinstance(mesh, Url) else os.fspath(mesh)
    if not _is_mesh(mesh):
        raise _not_a_mesh(mesh)
    source = (getattr(mesh, "metadata", None) or {}).get("file_name")
    if _is_scene(mesh):
        mesh = mesh.to_mesh()  # merges the parts of the scene, with their transforms applied
    if isinstance(mesh, tuple):
        vertices, faces = mesh
    else:
        vertices, faces = mesh.vertices, mesh.faces if hasattr(mesh, "faces") else mesh.triangles
    name = source if isinstance(source, str) else f"mesh {number}"
    upright = isinstance(mesh, Mesh)
    vertices, faces = _array(vertices, "vertices", name, np.float64), _array(faces, "faces", name, np.int64)
    return MeshArrays(name, vertices, faces, upright)


def _array(values: Any, what: str, name: str, kind: type[np.generic]) -> NDArray[Any]:
    try:
        array = np.array(values)  # a copy, because the caller may change the array before it is sent to a worker
    except ValueError:
        raise UsageError(
            f"The {what} of {name} are not an array, because their rows differ in length. Give 3 numbers in each row."
        ) from None
    if array.size == 0:
        array = array.reshape(0, 3)
    numeric = array.dtype.kind in "iu" or (what == "vertices" and array.dtype.kind == "f")
    if array.ndim != 2 or array.shape[1] != 3 or not (numeric or not array.size):
        wanted = (
            "an (n, 3) array of coordinates"
            if what == "vertices"
            else "an (m, 3) array of integers: the vertex indices of each triangle, from 0"
        )
        raise UsageError(f"The {what} of {name} have dtype {array.dtype} and shape {array.shape}. Give {wanted}.")
    return array.astype(kind)


def _not_a_mesh(value: object) -> UsageError:
    return UsageError(
        f"{type(value).__name__} is not a mesh. Give a path, a trimesh.Trimesh or trimesh.Scene, or a pair "
        f"(vertices, faces)."
    )


def require_mesh(mesh: MeshSource, up: Up, limit: FaceLimit) -> Mesh:
    """Read, check and normalize one mesh of any accepted kind.

    A :class:`Mesh` is already checked and normalized. If it has more faces than the limit, it is simplified if
    ``limit.simplify`` is set; otherwise MeshError is raised.

    Args:
        mesh: A path, a trimesh object, a :class:`Mesh`, or a pair (vertices, faces).
        up: Axis of the mesh that points up: x, y or z.
        limit: Largest number of faces, and whether a larger mesh is simplified or raises an error.

    Raises:
        MeshError: The mesh cannot be used.
        UsageError: ``mesh`` is not a mesh, or is several meshes.
    """
    if isinstance(mesh, Mesh):
        return ready(mesh, "z", limit) if limit.most is not None else mesh
    require_choice("up", up, Up)
    inputs = mesh_inputs(mesh)
    if len(inputs) != 1:
        raise UsageError(f"One mesh is needed, but {len(inputs)} were given. Call the function for one mesh at a time.")
    try:
        return load_mesh_input(inputs[0], up, limit)
    except MeshError as error:
        raise MeshError(error.kind, f"{mesh_name(inputs[0])}: {error}") from None
    except MemoryError:
        raise MeshError("too-large", f"{mesh_name(inputs[0])}: there is not enough memory: simplify the mesh") from None
