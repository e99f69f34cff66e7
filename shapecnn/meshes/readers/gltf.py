"""Reader of glTF files (GLB and GLTF): the triangles of the scene in its default pose.

Instances, morph targets and skins are applied.

The steps are in separate modules: :mod:`gltf_container` opens the file, :mod:`gltf_accessors` reads arrays,
:mod:`gltf_compression` decompresses arrays, :mod:`gltf_nodes` computes the matrices of nodes, :mod:`gltf_deform`
applies skins and morph targets. Materials, cameras and animations are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_accessors import MOST, WHOLE, Accessors, dequantize
from shapecnn.meshes.readers.gltf_compression import DracoMesh, decode_draco
from shapecnn.meshes.readers.gltf_container import (
    Sibling,
    extension,
    get_list,
    item_at,
    open_container,
    outer_buffers,
    read_buffers,
    require_known_extensions,
)
from shapecnn.meshes.readers.gltf_deform import apply_morph_targets, apply_skin, influences, joint_matrices
from shapecnn.meshes.readers.gltf_nodes import Nodes, compose_matrices
from shapecnn.meshes.readers.triangles import Triangles

__all__ = ["Sibling", "outer_buffers", "read_gltf"]

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_UNSUPPORTED = "the data may need a glTF extension that shapecnn does not support"


def read_gltf(data: bytes, sibling: Sibling | None = None) -> Triangles:
    """Read the triangles that the scene of a GLB or GLTF file shows.

    Args:
        data: The content of the file.
        sibling: Function that reads a companion file. If it is None, a reference to a companion file is an error.

    Returns:
        The n vertices, (n, 3) float64, in the coordinates of the scene, and the m ≥ 1 faces, (m, 3) int64. A note tells
        whether bytes after the end of a GLB were ignored.

    Raises:
        MeshError: The file or a companion file cannot be read, or the scene is too large (kinds: format, truncated,
            no-faces, index, reference, too-large).
    """
    tree, chunk, notes = open_container(data)
    try:
        require_known_extensions(tree)
        accessors = Accessors(tree, read_buffers(tree, chunk, sibling))
        vertices, faces = _flatten(_collect_parts(tree, accessors))
    except (MeshError, MemoryError):
        raise
    except Exception:  # code that walks a malformed JSON tree may raise anything
        raise MeshError("format", "not a valid glTF file: the JSON tree of nodes and meshes is malformed") from None
    return Triangles(vertices, faces, notes)


@dataclass(frozen=True, slots=True)
class _Part:
    """A primitive (one part of a glTF mesh) and its k instances in the scene.

    Attributes:
        vertices: Coordinates of the n vertices, (n, 3).
        faces: Vertex indices of the m triangles, (m, 3).
        matrices: Matrix of each instance from the primitive to the scene, (k, 4, 4).
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    matrices: NDArray[np.float64]


class _Primitives:
    """Decoder of the primitives (parts of meshes) of a glTF, with a cache. All methods raise MeshError for bad data."""

    def __init__(self, accessors: Accessors) -> None:
        self._accessors = accessors
        self._draco: dict[int, DracoMesh] = {}
        self._faces: dict[int, NDArray[np.int64]] = {}
        self._positions: dict[int, NDArray[np.float64]] = {}

    def size(self, primitive: Mapping[str, Any]) -> int:
        """Estimate the size in bytes of the decoded vertices and faces of a primitive, without decoding them."""
        indices = primitive.get("indices")
        count = self._accessors.count(primitive["attributes"]["POSITION"], "VEC3")
        return 24 * (count + (count if indices is None else self._accessors.count(indices, "SCALAR", WHOLE)))

    def positions(self, primitive: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the coordinates of the n vertices of a primitive, (n, 3), before any transform."""
        if id(primitive) not in self._positions:
            number = primitive["attributes"]["POSITION"]
            if self._compressed_attribute(primitive, "POSITION") is None and not self._accessors.has_data(number):
                raise MeshError("format", f"a mesh has no data for its vertex positions: {_UNSUPPORTED}")
            self._positions[id(primitive)] = self.floats(primitive, "POSITION", "VEC3")
        return self._positions[id(primitive)]

    def floats(self, primitive: Mapping[str, Any], name: str, kind: str) -> NDArray[np.float64]:
        """Return an attribute of n vertices as floats, (n, k): k = 3 if ``kind`` is VEC3, k = 4 if it is VEC4."""
        number = primitive["attributes"][name]
        if (values := self._compressed_attribute(primitive, name)) is None:
            return self._accessors.floats(number, kind)
        values = dequantize(values) if self._accessors.normalized(number) else values.astype(np.float64)
        if values.ndim != 2 or values.shape[1] != {"VEC3": 3, "VEC4": 4}[kind]:
            raise MeshError("format", f"not a valid glTF file: the Draco data of {name} has the wrong type")
        return values

    def joints(self, primitive: Mapping[str, Any], name: str) -> NDArray[Any]:
        """Return the indices of the four joints of each of n vertices, (n, 4), from the attribute ``name``."""
        values = self._compressed_attribute(primitive, name)
        return self._accessors.integers(primitive["attributes"][name], "VEC4") if values is None else values

    def faces(self, primitive: Mapping[str, Any]) -> NDArray[np.int64]:
        """Return the vertex indices of the m triangles of a primitive, (m, 3), all valid."""
        if id(primitive) not in self._faces:
            self._faces[id(primitive)] = self._read_faces(primitive)
        return self._faces[id(primitive)]

    def _read_faces(self, primitive: Mapping[str, Any]) -> NDArray[np.int64]:
        vertices = len(self.positions(primitive))
        if (draco := self._draco_mesh(primitive)) is not None:
            faces = draco.faces.astype(np.int64)
        elif (number := primitive.get("indices")) is None:
            faces = _triangles(np.arange(vertices), primitive.get("mode", _TRIANGLES), vertices)
        else:
            if not self._accessors.has_data(number):
                raise MeshError("format", f"a mesh has no data for its face indices: {_UNSUPPORTED}")
            indices = self._accessors.integers(number)[:, 0]
            faces = _triangles(indices, primitive.get("mode", _TRIANGLES), vertices)
        if len(faces) and faces.max() >= vertices:
            raise MeshError("index", f"a face refers to vertex {faces.max()}, but the mesh has {vertices} vertices")
        return faces

    def _compressed_attribute(self, primitive: Mapping[str, Any], name: str) -> NDArray[Any] | None:
        """Return the decompressed values of an attribute; None if it is not compressed with Draco."""
        compression = extension(primitive, "KHR_draco_mesh_compression")
        draco = self._draco_mesh(primitive)
        if compression is None or draco is None or name not in compression["attributes"]:
            return None
        return draco.attributes[compression["attributes"][name]]

    def _draco_mesh(self, primitive: Mapping[str, Any]) -> DracoMesh | None:
        """Return the decompressed mesh of a primitive; None if it is not compressed with Draco."""
        compression = extension(primitive, "KHR_draco_mesh_compression")
        if compression is None:
            return None
        if id(primitive) not in self._draco:
            self._draco[id(primitive)] = decode_draco(bytes(self._accessors.view(compression["bufferView"])))
        return self._draco[id(primitive)]


def _collect_parts(tree: Mapping[str, Any], accessors: Accessors) -> list[_Part]:
    """Decode the primitives that the scene shows, with skins and morph targets applied.

    Raises:
        MeshError: The scene is too large (kind: too-large, raised before decoding), or its data are malformed (see
            :func:`read_gltf`).
    """
    nodes, primitives = Nodes(tree), _Primitives(accessors)
    meshes = get_list(tree, "meshes")
    parts = [[p for p in get_list(mesh, "primitives") if _is_surface(p)] for mesh in meshes]
    drawn = [(tree["nodes"][n], nodes.world(n)) for n in nodes.visible if "mesh" in tree["nodes"][n]]
    drawn = [(node, matrix) for node, matrix in drawn if item_at(parts, node["mesh"])]
    sizes: dict[int, int] = {}
    total = 0
    for node, _ in drawn:
        mesh = node["mesh"]
        if mesh not in sizes:
            sizes[mesh] = sum(primitives.size(primitive) for primitive in parts[mesh])
        total += sizes[mesh] * _instance_count(node, accessors)
    if total > MOST:
        taken = f"{total / 1e9:.1f} GB, more than the limit of {MOST / 1e9:.1f} GB"
        raise MeshError("too-large", f"the scene with all its instances takes {taken}: simplify the mesh")
    result, skins = [], get_list(tree, "skins") if any("skin" in node for node, _ in drawn) else []
    for node, matrix in drawn:
        mesh = meshes[node["mesh"]]
        weights = node.get("weights", mesh.get("weights", []))
        bones = joint_matrices(item_at(skins, node["skin"]), nodes, accessors) if "skin" in node else None
        matrices = _instances(node, matrix, accessors)
        for primitive in parts[node["mesh"]]:
            faces = primitives.faces(primitive)
            vertices = primitives.positions(primitive)
            vertices = apply_morph_targets(vertices, primitive.get("targets", []), weights, accessors)
            joints = None if bones is None else _influences(primitive, primitives)
            if bones is not None and joints is not None:
                if _instancing(node) is not None:
                    raise MeshError("format", "a mesh has both a skin and GPU instances, which glTF does not define")
                result.append(_Part(apply_skin(vertices, *joints, bones), faces, np.eye(4)[None]))
            else:
                result.append(_Part(vertices, faces, matrices))
    return result


def _influences(
    primitive: Mapping[str, Any], primitives: _Primitives
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    return influences(
        primitive["attributes"],
        lambda name: primitives.joints(primitive, name),
        lambda name: primitives.floats(primitive, name, "VEC4"),
    )


def _is_surface(primitive: Mapping[str, Any]) -> bool:
    """Return whether a primitive has triangles, rather than points or lines, and vertex positions."""
    mode = primitive.get("mode", _TRIANGLES)
    return mode in (_TRIANGLES, _STRIP, _FAN) and primitive["attributes"].get("POSITION") is not None


def _instancing(node: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the accessors of TRANSLATION, ROTATION and SCALE in the GPU instancing of a node, by number; else None."""
    instancing = extension(node, "EXT_mesh_gpu_instancing")
    return None if instancing is None else {k: v for k, v in instancing["attributes"].items() if k in _KINDS} or None


_KINDS = {"TRANSLATION": ("VEC3", (0, 0, 0)), "ROTATION": ("VEC4", (0, 0, 0, 1)), "SCALE": ("VEC3", (1, 1, 1))}


def _instance_count(node: Mapping[str, Any], accessors: Accessors) -> int:
    counts = {accessors.count(number, _KINDS[name][0]) for name, number in (_instancing(node) or {}).items()}
    if len(counts) > 1:
        raise MeshError("format", "the instances of a mesh have unequal numbers of translations, rotations or scales")
    return max(counts, default=1)


def _instances(node: Mapping[str, Any], matrix: NDArray[np.float64], accessors: Accessors) -> NDArray[np.float64]:
    """Compute the matrix of each of the k instances of a node in the scene, (k, 4, 4).

    Without EXT_mesh_gpu_instancing, a node is its only instance, with the given ``matrix``.
    """
    instancing = _instancing(node)
    if instancing is None:
        return matrix[None]
    count = _instance_count(node, accessors)
    values = [
        accessors.floats(instancing[name], kind)
        if name in instancing
        else np.tile(np.array(default, np.float64), (count, 1))
        for name, (kind, default) in _KINDS.items()
    ]
    with np.errstate(all="ignore"):
        return np.asarray(matrix @ compose_matrices(*values))


def _triangles(indices: NDArray[np.int64], mode: int, vertices: int) -> NDArray[np.int64]:
    """Convert the indices of a triangle list, strip or fan (``mode``) to m triangles, (m, 3).

    A strip or fan ends, and a new one begins, at a marker: the largest value of an index type (255, 65535 or
    4294967295). If the primitive has more vertices than this value, the value is a normal index and no marker.
    """
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if len(indices) < 3:
        return np.empty((0, 3), np.int64)
    ends = np.isin(indices, [number for number in (0xFF, 0xFFFF, 0xFFFFFFFF) if number >= vertices])
    place = np.arange(len(indices))
    first = np.maximum.accumulate(np.where(ends, place + 1, 0))[:-2]  # start position of the strip of each triangle
    whole = ~(ends[:-2] | ends[1:-1] | ends[2:])
    odd = (place[:-2] - first) % 2 == 1
    a, b, c = indices[:-2], indices[1:-1], indices[2:]
    if mode == _FAN:
        faces = np.stack([indices[np.minimum(first, len(indices) - 1)], b, c], axis=1)
    else:
        faces = np.stack([np.where(odd, b, a), np.where(odd, a, b), c], axis=1)
    return faces[whole]


def _flatten(parts: list[_Part]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge all instances of all primitives into n vertices (n, 3), in scene coordinates, and m faces (m, 3)."""
    if not any(len(part.faces) for part in parts):
        raise MeshError("no-faces", "no faces found: the file contains only points, or the scene is empty")
    counts = np.array([(len(p.matrices) * len(p.vertices), len(p.matrices) * len(p.faces)) for p in parts])
    if counts.sum() * 24 > MOST:  # compressed data may be larger than the accessors declare
        taken = f"{counts.sum() * 24 / 1e9:.1f} GB, more than the limit of {MOST / 1e9:.1f} GB"
        raise MeshError("too-large", f"the scene with all its instances takes {taken}: simplify the mesh")
    vertices = np.empty((int(counts[:, 0].sum()), 3))
    faces = np.empty((int(counts[:, 1].sum()), 3), np.int64)
    row = top = 0
    for part, (more, most) in zip(parts, counts.tolist(), strict=True):
        times, single = len(part.matrices), len(part.vertices)
        with np.errstate(all="ignore"):  # infinite results become errors later
            moved = part.vertices @ part.matrices[:, :3, :3].transpose(0, 2, 1) + part.matrices[:, None, :3, 3]
        vertices[row : row + more] = moved.reshape(-1, 3)
        offsets = row + single * np.arange(times)
        faces[top : top + most] = (part.faces + offsets[:, None, None]).reshape(-1, 3)
        row, top = row + more, top + most
    return vertices, faces
