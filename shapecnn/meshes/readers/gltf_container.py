"""What holds a glTF together: the JSON tree, the chunks of a GLB, and the buffers, inside or in files of their own.

Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shapecnn.errors import MeshError, quoted
from shapecnn.meshes.readers.triangles import ignored

Sibling = Callable[[str], bytes]
"""Reads a file named by a mesh file (a glTF's buffer), by its path relative to that mesh file."""

MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_HARMLESS = re.compile(  # extensions that may be required and leave the shape as it is
    r"KHR_materials_\w+|EXT_materials_\w+|ADOBE_materials_\w+|NV_materials_mdl|KHR_techniques?_webgl|KHR_blend"
    r"|KHR_texture_\w+|EXT_texture_\w+|GOOGLE_texture_basis|MSFT_texture_dds|MSFT_packing_\w+|KHR_image_\w+"
    r"|KHR_lights_\w+|EXT_lights_\w+|KHR_xmp|KHR_xmp_json_ld|KHR_animation_pointer|KHR_audio|KHR_audio_emitter"
    r"|KHR_node_selectability|KHR_node_hoverability|KHR_interactivity|KHR_physics_rigid_bodies|KHR_implicit_shapes"
    r"|EXT_mesh_features|EXT_instance_features|EXT_structural_metadata|EXT_feature_metadata"
    r"|EXT_mesh_manifold|EXT_mesh_primitive_restart|EXT_primitive_voxels_metadata"
    r"|AGI_articulations|AGI_stk_metadata|CESIUM_primitive_outline|CESIUM_RTC|FB_geometry_metadata|GRIFFEL_bim_data"
    r"|VRM|VRMC_\w+|OMI_\w+|MX_\w+|GODOT_single_root"
)
_HANDLED = {
    "KHR_draco_mesh_compression", "KHR_mesh_quantization", "KHR_node_visibility", "EXT_mesh_gpu_instancing", "MSFT_lod",
    *MESHOPT,
}  # fmt: skip


def open_container(data: bytes) -> tuple[dict[str, Any], bytes | None, tuple[str, ...]]:
    """The tree of a glTF, the binary chunk of a GLB, and notes.

    Raises MeshError: format (no glTF, or one of another version), truncated.
    """
    chunk: bytes | None = None
    notes: tuple[str, ...] = ()
    if data.startswith(b"glTF"):
        data, chunk, notes = _chunks(data)
    try:
        tree = json.loads(data.decode("utf-8-sig").rstrip("\0"))
    except (ValueError, RecursionError):
        raise MeshError("format", "it cannot be read as GLTF: it is not JSON, or no GLB") from None
    if not isinstance(tree, dict):
        raise MeshError("format", "it cannot be read as GLTF: its JSON is no object")
    _require_version(tree)
    return tree, chunk, notes


def _chunks(data: bytes) -> tuple[bytes, bytes | None, tuple[str, ...]]:
    """The JSON and the binary chunk of a GLB, and notes."""
    version, total = struct.unpack_from("<II", data.ljust(12, b"\0"), 4)
    if version != 2:
        raise MeshError("format", f"it is a GLB of version {version}, and only version 2 can be read: {_CONVERT}")
    end = total if 20 <= total <= len(data) else len(data)
    position, chunks = 12, []
    while position + 8 <= end:
        length, kind = struct.unpack_from("<I4s", data, position)
        position += 8 + length
        if position > len(data):
            promise = f"a chunk of it has {length} bytes by its header"
            raise MeshError("truncated", f"{promise}, more than the {len(data)} that the file holds")
        chunks.append((kind, data[position - length : position]))
    if not chunks or chunks[0][0] != b"JSON":
        raise MeshError("format", "it cannot be read as GLB: it does not begin with JSON")
    notes = ignored(max(len(data) - max(end, position), 0), "the end of the GLB")
    return chunks[0][1], next((content for kind, content in chunks[1:] if kind == b"BIN\0"), None), notes


_CONVERT = "convert it to glTF 2.0 (Blender and gltf-pipeline do)"


def _require_version(tree: Mapping[str, Any]) -> None:
    asset = tree.get("asset")
    version, needed = (asset.get("version"), asset.get("minVersion")) if isinstance(asset, dict) else (None, None)
    if version is None and isinstance(tree.get("meshes"), dict):  # lists became objects in 1.0, and lists again in 2.0
        version = "1.0"
    if needed is not None and not re.fullmatch(r"2(\.0+)?", str(needed)):
        raise MeshError("format", f"it needs glTF {str(needed)[:20]}, and only glTF 2.0 can be read: {_CONVERT}")
    if needed is None and version is not None and not re.fullmatch(r"2(\.[0-9]+)?", str(version)):  # 2.x adds to 2.0
        raise MeshError("format", f"it is glTF {str(version)[:20]}, and only glTF 2.0 can be read: {_CONVERT}")


def require_known_extensions(tree: Mapping[str, Any]) -> None:
    """Raise MeshError unless each extension that the file says is required is read, or leaves the shape as it is."""
    for name in listed(tree, "extensionsRequired"):
        if name not in _HANDLED and not (isinstance(name, str) and _HARMLESS.fullmatch(name)):
            told = name if isinstance(name, str) and re.fullmatch(r"\w{1,80}", name) else quoted(str(name))
            raise MeshError("format", f"it requires the extension {told}, which cannot be read: export it without")


def read_buffers(tree: Mapping[str, Any], chunk: bytes | None, sibling: Sibling | None) -> list[bytes | None]:
    """The content of each buffer; None for one that has none, as where it only stands in for compressed data.

    Raises MeshError.
    """
    return [
        _buffer(buffer, None if number else chunk, sibling) for number, buffer in enumerate(listed(tree, "buffers"))
    ]


def outer_buffers(data: bytes, sibling: Sibling) -> list[bytes]:
    """The files that a GLB or GLTF refers to, in its order; none where it is none, as reading it will tell.

    Raises MeshError if one of them cannot be read.
    """
    try:
        buffers = listed(open_container(data)[0], "buffers")
        outer = [buffer for buffer in buffers if not _is_data(buffer.get("uri", "data:"))]
    except (MeshError, TypeError, AttributeError):
        return []
    read = [_buffer(buffer, None, sibling) for buffer in outer]
    return [content for content in read if content is not None]


def listed(tree: Mapping[str, Any], key: str) -> list[Any]:
    """``tree[key]``, empty where there is none.  Raises MeshError unless it is a list."""
    found = tree.get(key, [])
    if not isinstance(found, list):
        raise MeshError("format", f"it cannot be read as GLTF: its {key} are no list")
    return found


def extension(item: Mapping[str, Any], *names: str) -> dict[str, Any] | None:
    """The first of some extensions that an item has."""
    found = item.get("extensions")
    extensions = found if isinstance(found, dict) else {}
    return next((extensions[name] for name in names if isinstance(extensions.get(name), dict)), None)


def at(items: list[Any], index: Any) -> Any:
    """``items[index]``, and an IndexError where Python would count from the end."""
    if type(index) is not int or index < 0:
        raise IndexError(index)
    return items[index]


def _stands_in(buffer: Mapping[str, Any]) -> bool:
    """Whether a buffer is there for programs that cannot decompress: it need have no content, and its file may lack."""
    return (extension(buffer, *MESHOPT) or {}).get("fallback") is True


def _is_data(uri: str) -> bool:
    return uri[:5].lower() == "data:"


def _buffer(buffer: Mapping[str, Any], chunk: bytes | None, sibling: Sibling | None) -> bytes | None:
    uri = buffer.get("uri")
    if uri is None:
        return chunk
    try:
        return _data_of(uri) if _is_data(uri) else _outer(uri, sibling)
    except MeshError:
        if _stands_in(buffer):
            return None
        raise


def _data_of(uri: str) -> bytes:
    """What a ``data:`` URI holds: base64 or not, percent-encoded or not, whatever media type it names."""
    head, comma, body = uri.partition(",")
    if not comma:
        raise MeshError("format", "it cannot be read as GLTF: a buffer in it has a data URI without data")
    content = urllib.parse.unquote_to_bytes(body)
    if not re.search(r";\s*base64\s*$", head, re.IGNORECASE):
        return content
    content = b"".join(content.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except binascii.Error:
        raise MeshError("format", "it cannot be read as GLTF: a buffer in it is not base64") from None


def _outer(uri: str, sibling: Sibling | None) -> bytes:
    names = list(_names(uri))
    if sibling is None:
        raise MeshError("reference", f"it refers to the file {quoted(names[0])}, which cannot be read from here")
    for name in names[1:]:
        try:
            return sibling(name)
        except (MeshError, KeyError):
            continue
    try:
        return sibling(names[0])
    except MeshError as error:
        if error.kind == "reference":
            raise
        raise MeshError("reference", f"it refers to the file {quoted(names[0])}: {error}") from None


def _names(uri: str) -> Iterator[str]:
    """What a file may be called that a URI names: as the format says; as it stands, where it is not encoded."""
    yield urllib.parse.unquote(uri)
    if urllib.parse.unquote(uri) != uri:
        yield uri
