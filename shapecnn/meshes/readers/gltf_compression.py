"""Decompression of glTF data: Draco meshes (package DracoPy) and meshopt buffer views (package meshoptimizer).

Formats: KHR_draco_mesh_compression, EXT_meshopt_compression and KHR_meshopt_compression in
https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError


class DracoMesh(NamedTuple):
    """Mesh that was decompressed with Draco.

    Attributes:
        attributes: Values of each attribute by its id in the Draco data: (n, k) for n vertices and k components.
        faces: Vertex indices of the m triangles, (m, 3).
    """

    attributes: dict[int, NDArray[Any]]
    faces: NDArray[np.uint32]


def decode_draco(data: bytes) -> DracoMesh:
    """Decompress a Draco mesh.

    Raises:
        MeshError: The data are damaged or contain no mesh (kind: format).
    """
    import DracoPy

    try:
        decoded = DracoPy.decode(data)
        faces = np.asarray(decoded.faces, np.uint32).reshape(-1, 3)
        attributes = {int(each["unique_id"]): np.asarray(each["data"]) for each in decoded.attributes}
    except MemoryError:
        raise
    except Exception:  # DracoPy found a point cloud or damaged data
        raise MeshError("format", "a mesh compressed with Draco cannot be decoded: its data are damaged") from None
    return DracoMesh(attributes, faces)


def has_meshopt() -> bool:
    """Return whether the optional package meshoptimizer is installed."""
    try:
        import meshoptimizer  # noqa: F401
    except ImportError:
        return False
    return True


def decode_meshopt(data: memoryview, compression: Mapping[str, Any], most: int) -> bytes:
    """Decompress a buffer view that is compressed with meshopt.

    Args:
        data: The compressed bytes.
        compression: The glTF extension of the buffer view, with its count, byteStride, mode and filter.
        most: Limit for the size of the result in bytes.

    Returns:
        The decompressed bytes of the buffer view.

    Raises:
        MeshError: The data are damaged, the package meshoptimizer is not installed, or the result would be too large
            (kinds: format, too-large).
    """
    count, stride, mode = compression["count"], compression["byteStride"], compression["mode"]
    kind = compression.get("filter", "NONE")
    if type(count) is not int or type(stride) is not int or not 0 < count <= most:
        raise _damaged()
    if not 0 < stride <= 256 or count * stride > most:
        told = f"a buffer view compressed with meshopt would decompress to {count} × {stride} bytes"
        raise MeshError("too-large", f"{told}: the limits are {most} bytes in all and 256 bytes per element")
    if mode == "ATTRIBUTES" and kind in _FILTERS and stride % 4 == 0:
        values: NDArray[Any] = _FILTERS[kind](_rows(data, count, stride))
        return values.tobytes()
    if (
        mode in ("TRIANGLES", "INDICES")
        and kind == "NONE"
        and stride in (2, 4)
        and (mode == "INDICES" or count % 3 == 0)
    ):
        return _indices(data, count, stride, mode)
    if kind in ("OCTAHEDRAL", "COLOR"):
        raise MeshError(
            "format",
            f"positions, indices or weights are compressed with the meshopt filter {kind}, which does not support them",
        )
    raise _damaged()


def _rows(data: memoryview, count: int, stride: int) -> NDArray[np.uint8]:
    return _call("decode_vertex_buffer", count, stride, data).view(np.uint8).reshape(count, stride)


def _indices(data: memoryview, count: int, stride: int, mode: str) -> bytes:
    indices = _call("decode_index_buffer" if mode == "TRIANGLES" else "decode_index_sequence", count, 4, data)
    if stride == 2 and indices.max() > 0xFFFF:
        raise _damaged()
    return indices.astype("<u2" if stride == 2 else "<u4").tobytes()


def _call(function: str, count: int, size: int, data: memoryview) -> NDArray[Any]:
    """Call a function of the package meshoptimizer; raise MeshError (format) if the package is missing or fails."""
    if not has_meshopt():
        message = "the file is compressed with meshopt, which needs an extra package: pip install 'shapecnn[meshopt]'"
        raise MeshError("format", message)
    import meshoptimizer

    try:
        return np.asarray(getattr(meshoptimizer, function)(count, size, bytes(data)))
    except (ValueError, RuntimeError):
        raise _damaged() from None


def _exponential(rows: NDArray[np.uint8]) -> NDArray[Any]:
    """Undo the meshopt filter EXPONENTIAL: convert 24-bit mantissas with 8-bit exponents (both signed) to float32."""
    packed = rows.view("<i4")
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp((packed << 8 >> 8).astype(np.float32), packed >> 24), "<f4")


def _quaternion(rows: NDArray[np.uint8]) -> NDArray[Any]:
    """Undo the meshopt filter QUATERNION: restore the largest component of quaternions; return four int16 for each."""
    if rows.shape[1] != 8:
        raise _damaged()
    packed = rows.view("<i2").astype(np.float64)
    last = rows.view("<i2")[:, 3]
    scale = (last | 3).astype(np.float64) * np.sqrt(2)
    with np.errstate(all="ignore"):
        three = packed[:, :3] / scale[:, None]
        largest = np.sqrt(np.maximum(0, 1 - (three**2).sum(axis=1)))
    quaternions = np.empty((len(rows), 4))
    axis = last & 3
    each = np.arange(len(rows))
    for k in range(3):
        quaternions[each, (axis + 1 + k) % 4] = three[:, k]
    quaternions[each, axis] = largest
    return np.asarray(np.round(np.clip(np.nan_to_num(quaternions), -1, 1) * 32767), "<i2")


_FILTERS = {"NONE": lambda rows: rows, "EXPONENTIAL": _exponential, "QUATERNION": _quaternion}


def _damaged() -> MeshError:
    return MeshError("format", "a buffer view compressed with meshopt cannot be decoded: its data are damaged")
