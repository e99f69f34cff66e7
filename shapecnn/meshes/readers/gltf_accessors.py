"""Reader of the arrays in a glTF file (accessors and buffer views): plain, sparse, normalized or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_compression import decode_meshopt, has_meshopt
from shapecnn.meshes.readers.gltf_container import MESHOPT, extension, get_list, item_at

MOST = 1 << 30  # limit for all vertices and faces of a scene in bytes: a scene may show one mesh a million times
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WHOLE = (5121, 5123, 5125)  # component types for indices: unsigned integers of 1, 2 and 4 bytes
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Accessors:
    """Reader of the accessors (arrays) of a glTF file, which checks that each array lies within its buffer.

    Args:
        tree: JSON tree of the glTF.
        buffers: Content of each buffer; None for a missing one. A missing buffer is an error only when it is needed.
    """

    def __init__(self, tree: Mapping[str, Any], buffers: list[bytes | None]) -> None:
        self._accessors = get_list(tree, "accessors")
        self._views = get_list(tree, "bufferViews")
        self._buffers = buffers
        self._decoded: dict[int, bytes] = {}

    def count(self, number: int, kind: str, types: tuple[int, ...] = tuple(_TYPES)) -> int:
        """Check the type of an accessor and return the number of its elements.

        Args:
            number: Number of the accessor.
            kind: Required element type, such as ``VEC3``.
            types: Allowed component types, as glTF codes, such as 5126 for float32.

        Raises:
            MeshError: The accessor has another type, too many elements, or more elements than its buffer can hold
                (kinds: format, too-large, truncated).
        """
        accessor = item_at(self._accessors, number)
        count: int = _natural(accessor["count"])
        if count == 0:
            raise _invalid()
        if accessor["componentType"] not in types or accessor["type"] != kind:
            raise MeshError("format", "not a valid glTF file: an accessor has the wrong element type")
        if count * _WIDTHS[kind] * 8 > MOST:
            self._require_data(accessor, count)
            limit = MOST // 8 // _WIDTHS[kind]
            told = f"one glTF accessor has {count} elements of type {kind}, more than the limit of {limit}"
            raise MeshError("too-large", f"{told}: simplify the mesh")
        return count

    def has_data(self, number: int) -> bool:
        """Return whether an accessor has data; if it has none, all elements are zero."""
        accessor = item_at(self._accessors, number)
        return "bufferView" in accessor or "sparse" in accessor

    def floats(self, number: int, kind: str) -> NDArray[np.float64]:
        """Read the n elements of an accessor as (n, k) float64; k is the number of components, such as 3 for VEC3.

        Normalized integers become fractions.

        Raises:
            MeshError: The accessor is malformed or too large (kinds: format, truncated, index, too-large).
        """
        values = self._values(number, kind)
        accessor = self._accessors[number]
        return dequantize(values) if accessor.get("normalized") is True else values.astype(np.float64)

    def integers(self, number: int, kind: str = "SCALAR", types: tuple[int, ...] = WHOLE) -> NDArray[np.int64]:
        """Read the n elements of an accessor as (n, k) int64; k is the number of components, such as 1 for SCALAR.

        Raises:
            MeshError: The accessor is malformed or too large (kinds: format, truncated, index, too-large).
        """
        return self._values(number, kind, types).astype(np.int64)

    def normalized(self, number: int) -> bool:
        """Return whether an accessor is normalized, which means that its integers represent fractions."""
        return item_at(self._accessors, number).get("normalized") is True

    def view(self, number: int, stride: int = 0) -> memoryview:
        """Return the bytes of a buffer view, decompressed.

        Args:
            number: Number of the buffer view.
            stride: Distance between elements in bytes that compressed data must have; 0 accepts any distance.

        Raises:
            MeshError: It is malformed, or its buffer is missing (kinds: format, truncated, reference, too-large).
        """
        view = item_at(self._views, number)
        if (compressed := self._compressed(view)) is not None:
            if number not in self._decoded:
                self._decoded[number] = decode_meshopt(self._slice(compressed), compressed, MOST)
            if stride not in (0, compressed["byteStride"]):
                raise _invalid()
            return memoryview(self._decoded[number])
        return self._slice(view)

    def _compressed(self, view: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the compression settings of a buffer view; None if its data can be read without decompression.

        A view with a fallback buffer is read from the fallback if the package meshoptimizer is not installed.
        """
        compression = extension(view, *MESHOPT)
        if compression is None:
            return None
        return compression if has_meshopt() or item_at(self._buffers, view["buffer"]) is None else None

    def _slice(self, view: Mapping[str, Any]) -> memoryview:
        buffer = item_at(self._buffers, view["buffer"])
        if buffer is None:
            raise MeshError("reference", "a glTF buffer has no data, neither in a uri nor in a GLB: export it again")
        begin, length = _natural(view.get("byteOffset", 0)), _natural(view["byteLength"])
        if begin + length > len(buffer):
            told = f"a glTF buffer view ends at byte {begin + length}, but its buffer has only {len(buffer)} bytes"
            raise MeshError("truncated", told)
        return memoryview(buffer)[begin : begin + length]

    def _values(self, number: int, kind: str, types: tuple[int, ...] = tuple(_TYPES)) -> NDArray[Any]:
        count = self.count(number, kind, types)
        accessor, width = self._accessors[number], _WIDTHS[kind]
        dtype = np.dtype(_TYPES[accessor["componentType"]])
        if "bufferView" in accessor:
            values = self._strided(accessor, (count, width), dtype, kind)
        else:
            values = np.zeros((count, width), dtype)
        if (sparse := accessor.get("sparse")) is not None:
            changes = _natural(sparse["count"])
            if not 0 < changes <= count or sparse["indices"]["componentType"] not in WHOLE:
                raise _invalid()
            index_type = np.dtype(_TYPES[sparse["indices"]["componentType"]])
            places = self._strided(sparse["indices"], (changes, 1), index_type, "SCALAR")[:, 0]
            if places.max() >= count:
                told = f"a sparse glTF accessor replaces element {places.max()}, but has only {count} elements"
                raise MeshError("index", told)
            values = values.copy()
            values[places] = self._strided(sparse["values"], (changes, width), dtype, kind)
        return values

    def _strided(
        self, accessor: Mapping[str, Any], shape: tuple[int, int], dtype: np.dtype[Any], kind: str
    ) -> NDArray[Any]:
        """Return the elements of an accessor, or its sparse indices or values, as an array in the buffer's memory."""
        stride = _natural(item_at(self._views, accessor["bufferView"]).get("byteStride", 0))
        content = self.view(accessor["bufferView"], stride)
        start, size = _natural(accessor.get("byteOffset", 0)), shape[1] * dtype.itemsize
        stride = stride or self._stride(accessor["bufferView"]) or size
        if stride < size:
            raise MeshError("format", "not a valid glTF file: an accessor has the wrong element type")
        if start + (shape[0] - 1) * stride + size > len(content):
            raise _too_short(shape[0], kind, len(content))
        return np.ndarray(shape, dtype, content, start, (stride, dtype.itemsize))

    def _stride(self, view: int) -> int:
        """Return the stride of a compressed buffer view in bytes; 0 for a buffer view without compression."""
        compressed = self._compressed(self._views[view])
        return 0 if compressed is None else int(compressed["byteStride"])

    def _require_data(self, accessor: Mapping[str, Any], count: int) -> None:
        """Raise MeshError (truncated) if an accessor declares more elements than its data have bytes."""
        if "bufferView" in accessor:
            content = self.view(accessor["bufferView"])
            if count > len(content):
                raise _too_short(count, accessor["type"], len(content))


def dequantize(values: NDArray[Any]) -> NDArray[np.float64]:
    """Convert normalized integers to float64 fractions: unsigned to [0, 1], signed to [-1, 1]; floats are kept."""
    if values.dtype.kind not in "iu":
        return values.astype(np.float64)
    return np.asarray(np.maximum(values / np.float64(np.iinfo(values.dtype).max), -1.0))


def _natural(value: Any) -> int:
    """Check that a value of the JSON tree is an integer ≥ 0, and return the value."""
    if type(value) is not int or value < 0:
        raise _invalid()
    return value


def _invalid() -> MeshError:
    return MeshError("format", "not a valid glTF file: an accessor has no valid count, offset or stride")


def _too_short(count: int, kind: str, size: int) -> MeshError:
    told = f"a glTF accessor declares {count} elements of type {kind}, more than its {size} bytes can hold"
    return MeshError("truncated", told)
