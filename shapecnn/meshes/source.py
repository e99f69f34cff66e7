"""What the Python interface takes as a mesh: a file, a mesh in memory, or its arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapecnn.errors import MeshError, UsageError
from shapecnn.meshes.mesh import Mesh, check_triangles, load_mesh, ready
from shapecnn.meshes.readers.triangles import Triangles
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up


class TriangleMesh(Protocol):
    """Any object with vertices and triangles, such as a ``trimesh.Trimesh`` or a :class:`Mesh`."""

    @property
    def vertices(self) -> Any:
        """(n, 3) coordinates."""

    @property
    def faces(self) -> Any:
        """(m, 3) indices into the vertices."""


MeshSource: TypeAlias = str | os.PathLike[str] | TriangleMesh | tuple[ArrayLike, ArrayLike]
"""A path of a mesh file, a ``trimesh.Trimesh`` or ``trimesh.Scene``, a :class:`Mesh`, or a pair (vertices, faces)."""


class MeshArrays(NamedTuple):
    """A mesh in memory, not yet checked.

    Attributes:
        name: What results and messages call it.
        vertices: (n, 3) float64.
        faces: (m, 3) int64, indices into the vertices.
    """

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


MeshInput: TypeAlias = str | MeshArrays
"""A mesh that a worker can be sent: the path of its file, or its arrays."""


def mesh_inputs(meshes: MeshSource | Iterable[MeshSource]) -> list[MeshInput]:
    """Return meshes in the form in which workers take them.

    Args:
        meshes: One mesh, or any number of them.

    Returns:
        A list with one entry for each mesh, in order. Meshes in memory are called by the name of their file where
        trimesh remembers it, else ``mesh 0``, ``mesh 1`` and so on, by their places.

    Raises:
        UsageError: One of them is not a mesh.
    """
    if _is_mesh(meshes):
        return [_mesh_input(meshes, 0)]
    if not isinstance(meshes, Iterable):
        raise _not_a_mesh(meshes)
    return [_mesh_input(mesh, number) for number, mesh in enumerate(meshes)]


def load_mesh_input(mesh: MeshInput, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Read and check a mesh, turn it upright, centre it and scale it to radius 1.

    Args:
        mesh: Path of a mesh file, or arrays.
        up: Axis that points up in it.
        limit: How many faces it may have, and whether it is simplified if it has more.

    Raises:
        MeshError: It cannot be used.
    """
    if isinstance(mesh, str):
        return load_mesh(Path(mesh), up, limit)
    return ready(check_triangles(Triangles(mesh.vertices, mesh.faces, ())), up, limit)


def mesh_name(mesh: MeshInput) -> str:
    """Return what results call a mesh: its path as it was given, or the name of a mesh in memory."""
    return mesh if isinstance(mesh, str) else mesh.name


def _is_mesh(value: object) -> bool:
    if isinstance(value, str | os.PathLike) or _is_scene(value):
        return True
    if hasattr(value, "vertices") and (hasattr(value, "faces") or hasattr(value, "triangles")):
        return True
    return isinstance(value, tuple) and len(value) == 2 and all(_is_array(part) for part in value)


def _is_scene(value: object) -> bool:
    """Whether a value is a ``trimesh.Scene``, as trimesh loads GLB files."""
    return hasattr(value, "to_mesh") and hasattr(value, "graph")


def _is_array(value: object) -> bool:
    """Whether a value may be the vertices or the faces of a mesh, rather than a mesh by itself."""
    if isinstance(value, str | os.PathLike | tuple) or hasattr(value, "faces"):
        return False
    return isinstance(value, np.ndarray) or hasattr(value, "__array__") or isinstance(value, Sequence)


def _mesh_input(mesh: Any, number: int) -> MeshInput:
    if isinstance(mesh, str | os.PathLike):
        return os.fspath(mesh)
    if not _is_mesh(mesh):
        raise _not_a_mesh(mesh)
    source = (getattr(mesh, "metadata", None) or {}).get("file_name")
    if _is_scene(mesh):
        mesh = mesh.to_mesh()  # one mesh, with the transforms of its parts applied
    if isinstance(mesh, tuple):
        vertices, faces = mesh
    else:
        vertices, faces = mesh.vertices, mesh.faces if hasattr(mesh, "faces") else mesh.triangles
    name = source if isinstance(source, str) else f"mesh {number}"
    return MeshArrays(name, _array(vertices, "vertices", name, np.float64), _array(faces, "faces", name, np.int64))


def _array(values: Any, what: str, name: str, kind: type[np.generic]) -> NDArray[Any]:
    try:
        array = np.array(values)  # a copy: the caller may change its own while a worker is sent this one
    except ValueError:
        raise UsageError(f"The {what} of {name} are not an array: their rows differ in length.") from None
    if array.size == 0:
        array = array.reshape(0, 3)
    numeric = array.dtype.kind in "iu" or (what == "vertices" and array.dtype.kind == "f")
    if array.ndim != 2 or array.shape[1] != 3 or not (numeric or not array.size):
        wanted = "(n, 3) coordinates" if what == "vertices" else "(m, 3) indices of triangles"
        raise UsageError(f"The {what} of {name} are {array.dtype} {array.shape}. Give {wanted}.")
    return array.astype(kind)


def _not_a_mesh(value: object) -> UsageError:
    return UsageError(
        f"{type(value).__name__} is not a mesh. Give a path, a trimesh.Trimesh or trimesh.Scene, or a pair "
        f"(vertices, faces)."
    )


def require_mesh(mesh: MeshSource, up: Up, limit: FaceLimit) -> Mesh:
    """Return one mesh, checked and normalized; a :class:`Mesh` that is normalized already stays as it is.

    Raises:
        MeshError: It cannot be used.
        UsageError: It is not a mesh.
    """
    if isinstance(mesh, Mesh):
        return mesh
    inputs = mesh_inputs(mesh)
    if len(inputs) != 1:
        raise UsageError(f"One mesh is needed, and {len(inputs)} were given.")
    try:
        return load_mesh_input(inputs[0], up, limit)
    except MemoryError:
        raise MeshError("too-large", "there is not enough memory for it: simplify it") from None
