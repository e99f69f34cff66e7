"""The triangles that the scene of a GLB or GLTF shows at rest: nodes, instances, skins and morph targets applied.

Modules beside this one hold a part each: :mod:`gltf_container` the file, :mod:`gltf_accessors` its
arrays, :mod:`gltf_compression` what packs them, :mod:`gltf_nodes` where nodes stand,
:mod:`gltf_deform` what bends meshes. Materials, cameras and animations are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_accessors import MOST, WHOLE, Accessors, fractions
from shapecnn.meshes.readers.gltf_compression import DracoMesh, decode_draco
from shapecnn.meshes.readers.gltf_container import (
    Sibling,
    at,
    extension,
    listed,
    open_container,
    outer_buffers,
    read_buffers,
    require_known_extensions,
)
from shapecnn.meshes.readers.gltf_deform import influences, joint_matrices, morphed, skinned
from shapecnn.meshes.readers.gltf_nodes import Nodes, placed
from shapecnn.meshes.readers.triangles import Triangles

__all__ = ["Sibling", "outer_buffers", "read_gltf"]

_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def read_gltf(data: bytes, sibling: Sibling | None = None) -> Triangles:
    """What a GLB or GLTF file shows.  ``sibling`` reads the files it refers to; without it such are errors.

    Raises MeshError: format, truncated, no-faces, index, reference, too-large.
    """
    tree, chunk, notes = open_container(data)
    try:
        require_known_extensions(tree)
        accessors = Accessors(tree, read_buffers(tree, chunk, sibling))
        vertices, faces = _flattened(_shown(tree, accessors))
    except (MeshError, MemoryError):
        raise
    except Exception:  # a tree that holds anything anywhere raises anything
        raise MeshError("format", "it cannot be read as GLTF: its tree of nodes and meshes is malformed") from None
    return Triangles(vertices, faces, notes)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A primitive, and the matrices (k, 4, 4) that put it where the scene shows it, k times."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    matrices: NDArray[np.float64]


class _Primitives:
    """Decodes the primitives of a tree, each no more than once.  Raises MeshError."""

    def __init__(self, accessors: Accessors) -> None:
        self._accessors = accessors
        self._draco: dict[int, DracoMesh] = {}
        self._faces: dict[int, NDArray[np.int64]] = {}
        self._positions: dict[int, NDArray[np.float64]] = {}

    def size(self, primitive: Mapping[str, Any]) -> int:
        """About how many bytes a primitive takes, before it is decoded."""
        indices = primitive.get("indices")
        count = self._accessors.count(primitive["attributes"]["POSITION"], "VEC3")
        return 24 * (count + (count if indices is None else self._accessors.count(indices, "SCALAR", WHOLE)))

    def positions(self, primitive: Mapping[str, Any]) -> NDArray[np.float64]:
        """(n, 3) as they stand in the file."""
        if id(primitive) not in self._positions:
            number = primitive["attributes"]["POSITION"]
            if self._packed(primitive, "POSITION") is None and not self._accessors.has_data(number):
                raise MeshError("format", "it has positions without data, which may need an extension that is not read")
            self._positions[id(primitive)] = self.floats(primitive, "POSITION", "VEC3")
        return self._positions[id(primitive)]

    def floats(self, primitive: Mapping[str, Any], name: str, kind: str) -> NDArray[np.float64]:
        """(n, k) numbers of an attribute."""
        number = primitive["attributes"][name]
        if (values := self._packed(primitive, name)) is None:
            return self._accessors.floats(number, kind)
        values = fractions(values) if self._accessors.normalized(number) else values.astype(np.float64)
        if values.ndim != 2 or values.shape[1] != {"VEC3": 3, "VEC4": 4}[kind]:
            raise MeshError("format", f"it cannot be read as GLTF: what is compressed for {name} is not of its type")
        return values

    def joints(self, primitive: Mapping[str, Any], name: str) -> NDArray[Any]:
        """(n, 4) indices of an attribute."""
        values = self._packed(primitive, name)
        return self._accessors.integers(primitive["attributes"][name], "VEC4") if values is None else values

    def faces(self, primitive: Mapping[str, Any]) -> NDArray[np.int64]:
        """(m, 3) indices into the positions, each of which exists."""
        if id(primitive) not in self._faces:
            self._faces[id(primitive)] = self._read_faces(primitive)
        return self._faces[id(primitive)]

    def _read_faces(self, primitive: Mapping[str, Any]) -> NDArray[np.int64]:
        vertices = len(self.positions(primitive))
        if (draco := self._unpacked(primitive)) is not None:
            faces = draco.faces.astype(np.int64)
        elif (number := primitive.get("indices")) is None:
            faces = _triangles(np.arange(vertices), primitive.get("mode", _TRIANGLES), vertices)
        else:
            if not self._accessors.has_data(number):
                raise MeshError("format", "it has faces without data, which may need an extension that is not read")
            indices = self._accessors.integers(number)[:, 0]
            faces = _triangles(indices, primitive.get("mode", _TRIANGLES), vertices)
        if len(faces) and faces.max() >= vertices:
            raise MeshError("index", f"a face names vertex {faces.max()}, but there are {vertices} vertices")
        return faces

    def _packed(self, primitive: Mapping[str, Any], name: str) -> NDArray[Any] | None:
        """An attribute that is compressed with Draco."""
        packed = extension(primitive, "KHR_draco_mesh_compression")
        draco = self._unpacked(primitive)
        if packed is None or draco is None or name not in packed["attributes"]:
            return None
        return draco.attributes[packed["attributes"][name]]

    def _unpacked(self, primitive: Mapping[str, Any]) -> DracoMesh | None:
        packed = extension(primitive, "KHR_draco_mesh_compression")
        if packed is None:
            return None
        if id(primitive) not in self._draco:
            self._draco[id(primitive)] = decode_draco(bytes(self._accessors.view(packed["bufferView"])))
        return self._draco[id(primitive)]


def _shown(tree: Mapping[str, Any], accessors: Accessors) -> list[_Placed]:
    """What the scene shows, bent but not yet moved.  Raises MeshError: too-large before any of it is decoded."""
    nodes, primitives = Nodes(tree), _Primitives(accessors)
    meshes = listed(tree, "meshes")
    parts = [[p for p in listed(mesh, "primitives") if _is_face(p)] for mesh in meshes]
    drawn = [(tree["nodes"][n], nodes.world(n)) for n in nodes.shown if "mesh" in tree["nodes"][n]]
    drawn = [(node, matrix) for node, matrix in drawn if at(parts, node["mesh"])]
    sizes: dict[int, int] = {}
    total = 0
    for node, _ in drawn:
        mesh = node["mesh"]
        if mesh not in sizes:
            sizes[mesh] = sum(primitives.size(primitive) for primitive in parts[mesh])
        total += sizes[mesh] * _instance_count(node, accessors)
    if total > MOST:
        raise MeshError("too-large", f"its scene takes {total / 1e9:.1f} GB once it is flattened: simplify it")
    shown, skins = [], listed(tree, "skins") if any("skin" in node for node, _ in drawn) else []
    for node, matrix in drawn:
        mesh = meshes[node["mesh"]]
        weights = node.get("weights", mesh.get("weights", []))
        bones = joint_matrices(at(skins, node["skin"]), nodes, accessors) if "skin" in node else None
        matrices = _instances(node, matrix, accessors)
        for primitive in parts[node["mesh"]]:
            faces = primitives.faces(primitive)
            vertices = morphed(primitives.positions(primitive), primitive.get("targets", []), weights, accessors)
            found = None if bones is None else _influences(primitive, primitives)
            if bones is not None and found is not None:
                if _instanced(node) is not None:
                    raise MeshError("format", "it has instances of a mesh with a skin, which glTF does not define")
                shown.append(_Placed(skinned(vertices, *found, bones), faces, np.eye(4)[None]))
            else:
                shown.append(_Placed(vertices, faces, matrices))
    return shown


def _influences(
    primitive: Mapping[str, Any], primitives: _Primitives
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    return influences(
        primitive["attributes"],
        lambda name: primitives.joints(primitive, name),
        lambda name: primitives.floats(primitive, name, "VEC4"),
    )


def _is_face(primitive: Mapping[str, Any]) -> bool:
    mode = primitive.get("mode", _TRIANGLES)
    return mode in (_TRIANGLES, _STRIP, _FAN) and primitive["attributes"].get("POSITION") is not None


def _instanced(node: Mapping[str, Any]) -> dict[str, int] | None:
    """The accessors of translations, rotations and scales of a node that is shown many times."""
    instancing = extension(node, "EXT_mesh_gpu_instancing")
    return None if instancing is None else {k: v for k, v in instancing["attributes"].items() if k in _KINDS} or None


_KINDS = {"TRANSLATION": ("VEC3", (0, 0, 0)), "ROTATION": ("VEC4", (0, 0, 0, 1)), "SCALE": ("VEC3", (1, 1, 1))}


def _instance_count(node: Mapping[str, Any], accessors: Accessors) -> int:
    counts = {accessors.count(number, _KINDS[name][0]) for name, number in (_instanced(node) or {}).items()}
    if len(counts) > 1:
        raise MeshError("format", "it has instances with unequal numbers of translations, rotations or scales")
    return max(counts, default=1)


def _instances(node: Mapping[str, Any], matrix: NDArray[np.float64], accessors: Accessors) -> NDArray[np.float64]:
    """(k, 4, 4): where each instance of a node stands in the scene; one without EXT_mesh_gpu_instancing."""
    found = _instanced(node)
    if found is None:
        return matrix[None]
    count = _instance_count(node, accessors)
    values = [
        accessors.floats(found[name], kind) if name in found else np.tile(np.array(rest, np.float64), (count, 1))
        for name, (kind, rest) in _KINDS.items()
    ]
    with np.errstate(all="ignore"):
        return np.asarray(matrix @ placed(*values))


def _triangles(indices: NDArray[np.int64], mode: int, vertices: int) -> NDArray[np.int64]:
    """(m, 3): the triangles of a list, a strip or a fan.  What ends a strip or a fan and begins another is the largest
    number of its type, where no vertex is called so."""
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if len(indices) < 3:
        return np.empty((0, 3), np.int64)
    ends = np.isin(indices, [number for number in (0xFF, 0xFFFF, 0xFFFFFFFF) if number >= vertices])
    place = np.arange(len(indices))
    first = np.maximum.accumulate(np.where(ends, place + 1, 0))[:-2]  # where the strip of each triangle begins
    whole = ~(ends[:-2] | ends[1:-1] | ends[2:])
    odd = (place[:-2] - first) % 2 == 1
    a, b, c = indices[:-2], indices[1:-1], indices[2:]
    if mode == _FAN:
        faces = np.stack([indices[np.minimum(first, len(indices) - 1)], b, c], axis=1)
    else:
        faces = np.stack([np.where(odd, b, a), np.where(odd, a, b), c], axis=1)
    return faces[whole]


def _flattened(shown: list[_Placed]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (n, 3) and faces (m, 3) of all instances of all primitives, where they stand in the scene."""
    if not any(len(part.faces) for part in shown):
        raise MeshError("no-faces", "no faces are found in it: it holds only points, or its scene is empty")
    counts = np.array([(len(p.matrices) * len(p.vertices), len(p.matrices) * len(p.faces)) for p in shown])
    if counts.sum() * 24 > MOST:  # what is compressed may hold more than it promised
        raise MeshError(
            "too-large", f"its scene takes {counts.sum() * 24 / 1e9:.1f} GB once it is flattened: simplify it"
        )
    vertices = np.empty((int(counts[:, 0].sum()), 3))
    faces = np.empty((int(counts[:, 1].sum()), 3), np.int64)
    row = top = 0
    for part, (more, most) in zip(shown, counts.tolist(), strict=True):
        times, single = len(part.matrices), len(part.vertices)
        with np.errstate(all="ignore"):  # what becomes infinite is found later
            moved = part.vertices @ part.matrices[:, :3, :3].transpose(0, 2, 1) + part.matrices[:, None, :3, 3]
        vertices[row : row + more] = moved.reshape(-1, 3)
        offsets = row + single * np.arange(times)
        faces[top : top + most] = (part.faces + offsets[:, None, None]).reshape(-1, 3)
        row, top = row + more, top + most
    return vertices, faces
