"""Open a glTF file: parse its JSON tree and GLB chunks, and read its buffers from the file or companion files.

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
from shapecnn.meshes.readers.triangles import note_ignored

Sibling = Callable[[str], bytes]
"""Function that reads a companion file of a mesh (a buffer of a glTF), given its path relative to the mesh file."""

MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_HARMLESS = re.compile(  # extensions that do not change the shape; a file that requires them can be read
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
    """Parse the JSON tree and the binary chunk of a GLB or GLTF file.

    Args:
        data: The content of the file.

    Returns:
        The JSON tree; the binary chunk of a GLB, or None if the file has none; and notes on ignored bytes.

    Raises:
        MeshError: The file is not glTF 2.0 or is truncated (kinds: format, truncated).
    """
    chunk: bytes | None = None
    notes: tuple[str, ...] = ()
    if data.startswith(b"glTF"):
        data, chunk, notes = _chunks(data)
    try:
        tree = json.loads(data.decode("utf-8-sig").rstrip("\0"))
    except (ValueError, RecursionError):
        raise MeshError("format", "not a valid glTF file: the content is neither JSON nor GLB") from None
    if not isinstance(tree, dict):
        raise MeshError("format", "not a valid glTF file: the JSON content is not an object")
    _require_version(tree)
    return tree, chunk, notes


def _chunks(data: bytes) -> tuple[bytes, bytes | None, tuple[str, ...]]:
    """Return the JSON chunk of a GLB, the binary chunk (None if the GLB has none), and notes on ignored bytes."""
    version, total = struct.unpack_from("<II", data.ljust(12, b"\0"), 4)
    if version != 2:
        raise MeshError("format", f"the file is GLB version {version}, and shapecnn reads only version 2: {_CONVERT}")
    end = total if 20 <= total <= len(data) else len(data)
    position, chunks = 12, []
    while position + 8 <= end:
        length, kind = struct.unpack_from("<I4s", data, position)
        position += 8 + length
        if position > len(data):
            promise = f"a GLB chunk declares a length of {length} bytes"
            raise MeshError("truncated", f"{promise}, but the file ends before that, at byte {len(data)}")
        chunks.append((kind, data[position - length : position]))
    if not chunks or chunks[0][0] != b"JSON":
        raise MeshError("format", "not a valid GLB file: the first chunk is not JSON")
    notes = note_ignored(max(len(data) - max(end, position), 0), "the end of the GLB")
    return chunks[0][1], next((content for kind, content in chunks[1:] if kind == b"BIN\0"), None), notes


_CONVERT = "convert it to glTF 2.0, for example with Blender or gltf-pipeline"


def _require_version(tree: Mapping[str, Any]) -> None:
    """Raise MeshError (format) if the JSON tree declares a glTF version other than 2."""
    asset = tree.get("asset")
    version, least = (asset.get("version"), asset.get("minVersion")) if isinstance(asset, dict) else (None, None)
    if version is None and isinstance(tree.get("meshes"), dict):  # only glTF 1.0 has an object here
        version = "1.0"
    if least is not None and not re.fullmatch(r"2(\.0+)?", str(least)):
        raise MeshError("format", f"the file needs glTF {str(least)[:20]}, and shapecnn reads only 2.0: {_CONVERT}")
    if least is None and version is not None and not re.fullmatch(r"2(\.[0-9]+)?", str(version)):  # 2.x extends 2.0
        raise MeshError("format", f"the file is glTF {str(version)[:20]}, and shapecnn reads only 2.0: {_CONVERT}")


def require_known_extensions(tree: Mapping[str, Any]) -> None:
    """Check that each glTF extension required by a file is supported or does not change the shape.

    Raises:
        MeshError: The file requires another extension (kind: format).
    """
    for name in get_list(tree, "extensionsRequired"):
        if name not in _HANDLED and not (isinstance(name, str) and _HARMLESS.fullmatch(name)):
            shown = name if isinstance(name, str) and re.fullmatch(r"\w{1,80}", name) else quoted(str(name))
            told = f"the file requires the glTF extension {shown}, which shapecnn does not support"
            raise MeshError("format", f"{told}: export the mesh without this glTF extension")


def read_buffers(tree: Mapping[str, Any], chunk: bytes | None, sibling: Sibling | None) -> list[bytes | None]:
    """Read the content of each buffer of a glTF.

    Args:
        tree: JSON tree of the glTF.
        chunk: Binary chunk of a GLB, which is the content of its first buffer; None without such a chunk.
        sibling: Function that reads a companion file. If it is None, a reference to a companion file is an error.

    Returns:
        Content of each buffer; None for a buffer without content, such as the fallback for compressed data.

    Raises:
        MeshError: A buffer is malformed, or its companion file cannot be read or is too large (kinds: format,
            reference, too-large).
    """
    return [
        _buffer(buffer, None if number else chunk, sibling) for number, buffer in enumerate(get_list(tree, "buffers"))
    ]


def outer_buffers(data: bytes, sibling: Sibling) -> list[bytes]:
    """Read the companion files of a GLB or GLTF.

    Args:
        data: The content of the file.
        sibling: Function that reads a companion file.

    Returns:
        Contents of the companion files, in the order of the buffers. The list is empty if the file is not a valid GLB
        or GLTF: :func:`read_gltf` reports this error.

    Raises:
        MeshError: A companion file cannot be read.
    """
    try:
        buffers = get_list(open_container(data)[0], "buffers")
        outer = [buffer for buffer in buffers if not _is_data(buffer.get("uri", "data:"))]
    except (MeshError, TypeError, AttributeError):
        return []
    contents = [_buffer(buffer, None, sibling) for buffer in outer]
    return [content for content in contents if content is not None]


def get_list(tree: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list at a key of a JSON object; an empty list if the key is missing.

    Raises:
        MeshError: The value is not a list (kind: format).
    """
    items = tree.get(key, [])
    if not isinstance(items, list):
        raise MeshError("format", f"not a valid glTF file: the value of {key} is not a list")
    return items


def extension(item: Mapping[str, Any], *names: str) -> dict[str, Any] | None:
    """Return the first of the named glTF extensions of a JSON object; None if the object has none of them."""
    value = item.get("extensions")
    extensions = value if isinstance(value, dict) else {}
    return next((extensions[name] for name in names if isinstance(extensions.get(name), dict)), None)


def item_at(items: list[Any], index: Any) -> Any:
    """Return ``items[index]`` like Python, but raise IndexError for an index that is negative or not an integer."""
    if type(index) is not int or index < 0:
        raise IndexError(index)
    return items[index]


def _is_fallback(buffer: Mapping[str, Any]) -> bool:
    """Return whether a buffer is only a fallback for programs without meshopt; its content may be missing."""
    return (extension(buffer, *MESHOPT) or {}).get("fallback") is True


def _is_data(uri: str) -> bool:
    return uri[:5].lower() == "data:"


def _buffer(buffer: Mapping[str, Any], chunk: bytes | None, sibling: Sibling | None) -> bytes | None:
    uri = buffer.get("uri")
    if uri is None:
        return chunk
    try:
        return _data_of(uri) if _is_data(uri) else _companion(uri, sibling)
    except MeshError:
        if _is_fallback(buffer):
            return None
        raise


def _data_of(uri: str) -> bytes:
    """Decode the bytes in a ``data:`` URI of any media type, in base64 or percent-encoding."""
    head, comma, body = uri.partition(",")
    if not comma:
        raise MeshError("format", "not a valid glTF file: the data URI of a buffer has no data")
    content = urllib.parse.unquote_to_bytes(body)
    if not re.search(r";\s*base64\s*$", head, re.IGNORECASE):
        return content
    content = b"".join(content.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except binascii.Error:
        raise MeshError("format", "not a valid glTF file: the data URI of a buffer is not valid base64") from None


def _companion(uri: str, sibling: Sibling | None) -> bytes:
    names = list(_names(uri))
    if sibling is None:
        raise MeshError(
            "reference", f"the mesh refers to the file {quoted(names[0])}, but the folder of the mesh is not known"
        )
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
        raise MeshError("reference", f"the mesh refers to the file {quoted(names[0])}: {error}") from None


def _names(uri: str) -> Iterator[str]:
    """Yield the possible file names for a URI: percent-decoded, as the glTF format prescribes, then as written."""
    yield urllib.parse.unquote(uri)
    if urllib.parse.unquote(uri) != uri:
        yield uri
