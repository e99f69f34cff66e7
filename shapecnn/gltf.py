"""The scene of a GLB or GLTF, checked and flattened; what is left for trimesh is to decode its primitives.

trimesh gets a tree of nothing but accessors and primitives: no materials, no images, no names, no files to open. The
nodes are walked here, for its graph takes minutes where some hundred hang in a chain.

Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted

Sibling = Callable[[str], bytes]
"""Reads a file named by a mesh file (a glTF's buffer), by its path relative to that mesh file."""

Triangles = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Vertices (n, 3) and faces (m, 3)."""

MOST = 1 << 30  # bytes of the vertices and faces of all parts together; a scene may show one mesh a million times
_COMPRESSIONS = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}
_SIZES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}  # bytes of each type of component
_UNITS = {5120: 127.0, 5121: 255.0, 5122: 32767.0, 5123: 65535.0}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


@dataclass(frozen=True, slots=True)
class Scene:
    """tree: a glTF whose meshes are named ``0``, ``1``, … and have one primitive each.  buffers: by the name it gives
    them.  units: what coordinates of each mesh are divided by.  shown: (matrix (4, 4), mesh) of each instance.
    """

    tree: dict[str, Any]
    buffers: dict[str, bytes]
    units: list[float]
    shown: list[tuple[NDArray[np.float64], int]]

    def flattened(self, meshes: list[Triangles]) -> list[Triangles]:
        """Each instance as vertices (n, 3) and faces (m, 3), where it stands in the scene."""
        scaled = [vertices / unit for (vertices, _), unit in zip(meshes, self.units, strict=True)]
        with np.errstate(all="ignore"):  # what becomes infinite is found later
            return [(scaled[mesh] @ matrix[:3, :3].T + matrix[:3, 3], meshes[mesh][1]) for matrix, mesh in self.shown]


def open_scene(data: bytes, sibling: Sibling | None) -> Scene:
    """The scene of a GLB or GLTF file.  ``sibling`` reads the buffers it refers to; without it such are errors.

    Raises MeshError: format, truncated, no-faces, reference, too-large.
    """
    tree, chunk = _container(data)
    try:
        return _scene(tree, [_buffer(b, None if i else chunk, sibling) for i, b in enumerate(_of(tree, "buffers"))])
    except (MeshError, MemoryError):
        raise
    except Exception:  # a tree that holds anything anywhere raises anything
        raise MeshError("format", "it cannot be read as GLTF: its tree of nodes and meshes is malformed") from None


def outer_buffers(data: bytes, sibling: Sibling) -> list[bytes]:
    """The files that a GLB or GLTF refers to, in its order; none where it is none, as reading it will tell.

    Raises MeshError if one of them cannot be read.
    """
    try:
        uris = [buffer.get("uri", "data:") for buffer in _of(_container(data)[0], "buffers")]
        names = [urllib.parse.unquote(uri) for uri in uris if not uri.startswith("data:")]
    except (MeshError, TypeError, AttributeError):
        return []
    return [_outer(name, sibling) for name in names]


def _container(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The tree, and the binary chunk of a GLB."""
    chunk = None
    if data.startswith(b"glTF"):
        version, kind = (struct.unpack_from("<I", data.ljust(20, b"\0"), at)[0] for at in (4, 16))
        if version != 2 or kind != 0x4E4F534A:
            raise MeshError("format", "it cannot be read as GLB: it is not of version 2, or begins with no JSON")
        position, chunks = 12, []
        while position + 8 <= len(data):
            length, kind = struct.unpack_from("<II", data, position)
            position += 8 + length
            if position > len(data):
                raise MeshError("truncated", f"its header promises {length} bytes more than the {len(data)} it holds")
            chunks.append((kind, data[position - length : position]))
        data = chunks[0][1]
        chunk = next((content for kind, content in chunks[1:] if kind == 0x004E4942), None)
    try:
        tree = json.loads(data.decode("utf-8-sig").rstrip("\0"))
    except (ValueError, RecursionError):
        raise MeshError("format", "it cannot be read as GLTF: it is not JSON, or no GLB") from None
    if not isinstance(tree, dict):
        raise MeshError("format", "it cannot be read as GLTF: its JSON is no object")
    return tree, chunk


def _buffer(buffer: Mapping[str, Any], chunk: bytes | None, sibling: Sibling | None) -> bytes:
    uri = buffer.get("uri")
    if uri is None:
        if chunk is None:
            raise MeshError("reference", "it has a buffer without content or name")
        return chunk
    if uri.startswith("data:"):
        try:
            return base64.b64decode(uri.partition(";base64,")[2])
        except binascii.Error:
            raise MeshError("format", "it cannot be read as GLTF: a buffer in it is not base64") from None
    return _outer(urllib.parse.unquote(uri), sibling)


def _outer(name: str, sibling: Sibling | None) -> bytes:
    if sibling is None:
        raise MeshError("reference", f"it refers to the file {quoted(name)}, which cannot be read from here")
    try:
        return sibling(name)
    except MeshError as error:
        if error.kind == "reference":
            raise
        raise MeshError("reference", f"it refers to the file {quoted(name)}: {error}") from None


def _of(tree: Mapping[str, Any], key: str) -> list[Any]:
    found = tree.get(key, [])
    if not isinstance(found, list):
        raise MeshError("format", f"it cannot be read as GLTF: its {key} are no list")
    return found


def _at(items: list[Any], index: Any) -> Any:
    """``items[index]``, and an IndexError where Python would count from the end."""
    if type(index) is not int or index < 0:
        raise IndexError(index)
    return items[index]


def _scene(tree: dict[str, Any], buffers: list[bytes]) -> Scene:
    if needed := _COMPRESSIONS & set(_of(tree, "extensionsRequired")):
        raise MeshError("format", f"it needs {min(needed)}, which cannot be read: export it without")
    meshes = [list(filter(None, map(_primitive, _of(mesh, "primitives")))) for mesh in _of(tree, "meshes")]
    shown = [(matrix, primitive) for matrix, mesh in _instances(tree) for primitive in _at(meshes, mesh)]
    if not shown:
        raise MeshError("no-faces", "no faces are found in it: it holds only points, or its scene is empty")
    sizes = {primitive: 0 for _, primitive in shown}
    for primitive in sizes:
        sizes[primitive] = _require_held(tree, buffers, primitive)
    size = sum(sizes[primitive] for _, primitive in shown)
    if size > MOST:
        raise MeshError("too-large", f"its scene takes {size / 1e9:.1f} GB once it is flattened: simplify it")
    order = {primitive: number for number, primitive in enumerate(sizes)}
    accessors = [tree["accessors"][position] for position, _, _ in order]
    units = [_UNITS.get(a["componentType"], 1.0) if a.get("normalized") is True else 1.0 for a in accessors]
    names = [str(number) for number in range(len(buffers))]
    plain = _plain(tree, list(order), names)
    return Scene(plain, dict(zip(names, buffers, strict=True)), units, [(m, order[p]) for m, p in shown])


def _plain(tree: dict[str, Any], primitives: list[_Primitive], names: list[str]) -> dict[str, Any]:
    """The same primitives and what they refer to, in a tree of nothing else."""
    kept = ("bufferView", "byteOffset", "componentType", "count", "type")
    used = {number: i for i, number in enumerate(dict.fromkeys(n for p in primitives for n in p[:2] if n is not None))}
    meshes = []
    for number, (position, indices, mode) in enumerate(primitives):
        primitive = {"attributes": {"POSITION": used[position]}, "mode": mode}
        meshes.append({
            "name": str(number),
            "primitives": [primitive if indices is None else {**primitive, "indices": used[indices]}],
        })  # fmt: skip
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": name} for name in names],
        "bufferViews": tree["bufferViews"],
        "accessors": [{k: tree["accessors"][n][k] for k in kept if k in tree["accessors"][n]} for n in used],
        "meshes": meshes,
    }


_Primitive = tuple[int, int | None, int]
"""Accessors of the positions and the indices, and the mode."""


def _primitive(primitive: Mapping[str, Any]) -> _Primitive | None:
    mode = primitive.get("mode", _TRIANGLES)
    if mode == _FAN:
        raise MeshError("format", "it has triangle fans, which cannot be read: export it with triangles")
    position = primitive["attributes"].get("POSITION")
    return (position, primitive.get("indices"), mode) if mode in (_TRIANGLES, _STRIP) and position is not None else None


def _require_held(tree: Mapping[str, Any], buffers: list[bytes], primitive: _Primitive) -> int:
    """Raise MeshError unless the accessors of a primitive lie in their buffers; the bytes that it takes."""
    taken = 0
    for number, width, kinds in ((primitive[0], 3, set(_SIZES)), (primitive[1], 1, {5121, 5123, 5125})):
        if number is None:
            continue
        accessor = tree["accessors"][number]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise MeshError("format", "it has sparse or empty accessors, which cannot be read: export it without")
        view = tree["bufferViews"][accessor["bufferView"]]
        count, start = accessor["count"], accessor.get("byteOffset", 0)
        begin, length = view.get("byteOffset", 0), view["byteLength"]
        size = _SIZES[accessor["componentType"]] * width
        stride = view.get("byteStride", size)
        numbers = (number, accessor["bufferView"], view["buffer"], count, start, begin, length, stride)
        if any(type(n) is not int or n < 0 for n in numbers) or count == 0:
            raise MeshError("format", "it cannot be read as GLTF: an accessor has no sound count or offset")
        if (
            accessor["componentType"] not in kinds
            or accessor["type"] != {3: "VEC3", 1: "SCALAR"}[width]
            or stride < size
        ):
            raise MeshError("format", "it cannot be read as GLTF: an accessor is not of the type that it should be")
        held = len(buffers[view["buffer"]])
        if begin + length > held or start + (count - 1) * stride + size > length:
            raise MeshError(
                "truncated", f"it promises {count} × {accessor['type']}, more than its buffer of {held} bytes holds"
            )
        taken += count * 24  # three coordinates, or of a strip as many faces
    return taken


def _instances(tree: Mapping[str, Any]) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Each mesh that the scene shows, and the matrix (4, 4) that puts it there.  Raises MeshError if it is no tree."""
    nodes = _of(tree, "nodes")
    scenes = _of(tree, "scenes")
    if scenes:
        roots = _of(_at(scenes, tree.get("scene", 0)), "nodes")
    else:
        roots = sorted(set(range(len(nodes))) - {child for node in nodes for child in _of(node, "children")})
    pending = [(np.eye(4), root) for root in reversed(roots)]
    seen = set()
    while pending:
        above, number = pending.pop()
        if number in seen:
            raise MeshError("format", "it cannot be read as GLTF: a node of its scene hangs in two places")
        seen.add(number)
        node = _at(nodes, number)
        with np.errstate(all="ignore"):
            matrix = above @ _local(node)
        if "mesh" in node:
            yield matrix, node["mesh"]
        pending += [(matrix, child) for child in reversed(_of(node, "children"))]


def _local(node: Mapping[str, Any]) -> NDArray[np.float64]:
    """The matrix (4, 4) of a node: its own, or translation · rotation · scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    x, y, z, w = np.array([x, y, z, w]) / (np.sqrt(x * x + y * y + z * z + w * w) or 1.0)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix
