"""The arrays of a glTF: accessors over views of buffers, plain, sparse, normalized or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.gltf_compression import decode_meshopt, has_meshopt
from shapecnn.meshes.readers.gltf_container import MESHOPT, at, extension, listed

MOST = 1 << 30  # bytes of the vertices and faces of all parts together; a scene may show one mesh a million times
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WHOLE = (5121, 5123, 5125)  # component types of indices
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Accessors:
    """Reads accessors by their number, each bounded by what its buffer holds.

    Args:
        tree: of the glTF.
        buffers: the content of each, None where it has none; an error only where it is asked for.
    """

    def __init__(self, tree: Mapping[str, Any], buffers: list[bytes | None]) -> None:
        self._accessors = listed(tree, "accessors")
        self._views = listed(tree, "bufferViews")
        self._buffers = buffers
        self._decoded: dict[int, bytes] = {}

    def count(self, number: int, kind: str, types: tuple[int, ...] = tuple(_TYPES)) -> int:
        """How many elements an accessor has.  Raises MeshError unless it is of this kind, and one of these types."""
        accessor = at(self._accessors, number)
        count: int = _natural(accessor["count"])
        if count == 0:
            raise _unsound()
        if accessor["componentType"] not in types or accessor["type"] != kind:
            raise MeshError("format", "it cannot be read as GLTF: an accessor is not of the type that it should be")
        if count * _WIDTHS[kind] * 8 > MOST:
            self._require_data(accessor, count)
            raise MeshError("too-large", f"it has {count} × {kind} in one accessor: simplify it")
        return count

    def has_data(self, number: int) -> bool:
        """Whether an accessor holds more than zeros."""
        accessor = at(self._accessors, number)
        return "bufferView" in accessor or "sparse" in accessor

    def floats(self, number: int, kind: str) -> NDArray[np.float64]:
        """(n, k) numbers; normalized integers as fractions.  Raises MeshError: format, truncated, too-large."""
        values = self._values(number, kind)
        accessor = self._accessors[number]
        return fractions(values) if accessor.get("normalized") is True else values.astype(np.float64)

    def integers(self, number: int, kind: str = "SCALAR", types: tuple[int, ...] = WHOLE) -> NDArray[np.int64]:
        """(n, k) indices.  Raises MeshError: format, truncated, too-large."""
        return self._values(number, kind, types).astype(np.int64)

    def normalized(self, number: int) -> bool:
        """Whether integers of an accessor stand for fractions."""
        return at(self._accessors, number).get("normalized") is True

    def view(self, number: int, stride: int = 0) -> memoryview:
        """The bytes of a buffer view, decompressed.  Raises MeshError: format, truncated, too-large."""
        view = at(self._views, number)
        if (compressed := self._compressed(view)) is not None:
            if number not in self._decoded:
                self._decoded[number] = decode_meshopt(self._slice(compressed), compressed, MOST)
            if stride not in (0, compressed["byteStride"]):
                raise _unsound()
            return memoryview(self._decoded[number])
        return self._slice(view)

    def _compressed(self, view: Mapping[str, Any]) -> dict[str, Any] | None:
        """How a view is packed; None too if it cannot be unpacked, and what stands in for it is there."""
        packed = extension(view, *MESHOPT)
        if packed is None:
            return None
        return packed if has_meshopt() or at(self._buffers, view["buffer"]) is None else None

    def _slice(self, view: Mapping[str, Any]) -> memoryview:
        buffer = at(self._buffers, view["buffer"])
        if buffer is None:
            raise MeshError("reference", "it has a buffer without content or name")
        begin, length = _natural(view.get("byteOffset", 0)), _natural(view["byteLength"])
        if begin + length > len(buffer):
            raise MeshError("truncated", f"it promises {begin + length} bytes, more than its buffer of {len(buffer)}")
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
            changed = _natural(sparse["count"])
            if not 0 < changed <= count or sparse["indices"]["componentType"] not in WHOLE:
                raise _unsound()
            index_type = np.dtype(_TYPES[sparse["indices"]["componentType"]])
            places = self._strided(sparse["indices"], (changed, 1), index_type, "SCALAR")[:, 0]
            if places.max() >= count:
                raise MeshError("index", f"a sparse accessor changes element {places.max()} of {count}")
            values = values.copy()
            values[places] = self._strided(sparse["values"], (changed, width), dtype, kind)
        return values

    def _strided(
        self, accessor: Mapping[str, Any], shape: tuple[int, int], dtype: np.dtype[Any], kind: str
    ) -> NDArray[Any]:
        """The elements that begin at an accessor's offset, as a view of the bytes of its buffer."""
        stride = _natural(at(self._views, accessor["bufferView"]).get("byteStride", 0))
        content = self.view(accessor["bufferView"], stride)
        start, size = _natural(accessor.get("byteOffset", 0)), shape[1] * dtype.itemsize
        stride = stride or self._stride(accessor["bufferView"]) or size
        if stride < size:
            raise MeshError("format", "it cannot be read as GLTF: an accessor is not of the type that it should be")
        if start + (shape[0] - 1) * stride + size > len(content):
            raise _short(shape[0], kind, len(content))
        return np.ndarray(shape, dtype, content, start, (stride, dtype.itemsize))

    def _stride(self, view: int) -> int:
        """The stride of decompressed data, which need not be said twice."""
        compressed = self._compressed(self._views[view])
        return 0 if compressed is None else int(compressed["byteStride"])

    def _require_data(self, accessor: Mapping[str, Any], count: int) -> None:
        """Raise MeshError if a count beyond all bounds is just wrong."""
        if "bufferView" in accessor:
            content = self.view(accessor["bufferView"])
            if count > len(content):
                raise _short(count, accessor["type"], len(content))


def fractions(values: NDArray[Any]) -> NDArray[np.float64]:
    """Normalized integers as fractions from 0 or -1 to 1; floats as they are."""
    if values.dtype.kind not in "iu":
        return values.astype(np.float64)
    return np.asarray(np.maximum(values / np.float64(np.iinfo(values.dtype).max), -1.0))


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise _unsound()
    return value


def _unsound() -> MeshError:
    return MeshError("format", "it cannot be read as GLTF: an accessor has no sound count or offset")


def _short(count: int, kind: str, held: int) -> MeshError:
    return MeshError("truncated", f"it promises {count} × {kind}, more than its {held} bytes hold")
