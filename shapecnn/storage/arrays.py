"""Write, memory-map and validate arrays in safetensors files, a format that cannot contain executable code.

The safetensors library can neither write an array that is larger than memory nor return arrays that are views of a
mapped file. :func:`write_arrays` and :func:`view_arrays` do this, and use exactly the file format of the library.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from mmap import mmap
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from shapecnn.storage.atomic import create

Kind = Literal["F32", "I32", "F16", "I8", "U8"]
"""Element type by its safetensors name: F32 is float32, I32 int32, F16 float16, I8 int8, U8 uint8."""

Number = TypeVar("Number", bound=np.generic)

_DTYPES: dict[Kind, np.dtype[Any]] = {
    "F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "F16": np.dtype("<f2"), "I8": np.dtype("i1"), "U8": np.dtype("u1"),
}  # fmt: skip
_BLOCK = 1 << 18  # numbers checked at a time, so that they stay in the cache of the processor


class Rows(NamedTuple):
    """An array to write to a safetensors file, given row by row so that it need not fit in memory.

    Attributes:
        kind: Element type.
        shape: Shape of the whole array.
        each: Iterable over the rows of the first axis, each an array of shape ``shape[1:]``. It is iterated once.
    """

    kind: Kind
    shape: tuple[int, ...]
    each: Iterable[NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, Rows]) -> str:
    """Write arrays to a safetensors file one row at a time, with the same bytes as the safetensors library.

    Args:
        path: The file to write. An existing file at this path is replaced.
        arrays: The arrays by name, in the order of the element types in :data:`Kind`, and arrays of one type in order
            of name, because the safetensors library orders them so.

    Returns:
        SHA-256 hash of the file, 64 hexadecimal digits.

    Raises:
        ValueError: A row has the wrong shape, or an array has more or fewer rows than its shape says.
        TypeError: The dtype of a row cannot be converted to the element type of the array without loss.
        OSError: The file cannot be written.
    """
    header, _ = _layout({name: (rows.kind, rows.shape) for name, rows in arrays.items()})
    digest = hashlib.sha256()
    with create(path) as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        write(header)
        for name, rows in arrays.items():
            count = 0
            for row in rows.each:
                if row.shape != rows.shape[1:]:
                    raise ValueError(f"the array {name} of shape {rows.shape} was given a row of shape {row.shape}")
                write(row.astype(_DTYPES[rows.kind], casting="safe", copy=False).tobytes())
                count += 1
            if count != rows.shape[0]:
                raise ValueError(f"the array {name} must have {rows.shape[0]} rows, but was given {count}")
    return digest.hexdigest()


def view_arrays(content: bytes | mmap, arrays: Mapping[str, tuple[Kind, tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file as views of its content, without copying.

    The header is not parsed. Instead, it must equal the header that :func:`write_arrays` writes for these arrays.

    Args:
        content: The content of the file, mapped or in memory.
        arrays: Element type and shape of each expected array, by name, in the order of the file.

    Returns:
        Read-only arrays by name. The numbers may be NaN or infinite: they are not checked.

    Raises:
        ValueError: The file does not hold exactly these arrays.
    """
    header, places = _layout(arrays)
    if content[: len(header)] != header or len(content) != places[-1]:
        expected = ", ".join(f"{name} {kind} {shape}" for name, (kind, shape) in arrays.items())
        raise ValueError(f"the file does not hold exactly these arrays: {expected}")
    return {
        name: np.frombuffer(content, _DTYPES[kind], math.prod(shape), place).reshape(shape)
        for (name, (kind, shape)), place in zip(arrays.items(), places, strict=False)
    }


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read all arrays of a safetensors file with the safetensors library.

    Args:
        data: The content of the file.

    Returns:
        The arrays by name, of any dtype and shape. The numbers are not checked; :func:`array_of` checks them.

    Raises:
        ValueError: The content is not in the safetensors format, or is damaged.
    """
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except Exception as error:  # SafetensorError; KeyError for a dtype that numpy lacks
        raise ValueError(f"the file is not in the safetensors format: {error}") from None


def array_of(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: type[Number], shape: Sequence[int | None]
) -> NDArray[Number]:
    """Return one array by name; raise ValueError if it is missing, has another dtype or shape, or is not finite.

    Args:
        arrays: Arrays by name, from :func:`read_arrays`.
        name: Name of the array.
        dtype: Required dtype.
        shape: Required shape; None for an axis of any length.

    Returns:
        The array itself, not a copy.

    Raises:
        ValueError: The array is missing, has another dtype or shape, or contains NaN or infinity.
    """
    if name not in arrays:
        raise ValueError(f"the array {name} is missing")
    array = arrays[name]
    fits = len(array.shape) == len(shape) and all(
        n in (None, length) for n, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"the array {name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} ({lengths})")
    require_numbers(name, array)
    return array


def require_numbers(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError if an array contains NaN or infinity.

    Args:
        name: Name of the array in the error message.
        array: Array of numbers, of any shape. It may be larger than memory if it is a view of a mapped file.

    Raises:
        ValueError: The array contains NaN or infinity.
    """
    flat = array.reshape(-1)
    if not all(np.isfinite(flat[start : start + _BLOCK]).all() for start in range(0, flat.size, _BLOCK)):
        raise ValueError(f"the array {name} contains NaN or infinity")


def _layout(arrays: Mapping[str, tuple[Kind, tuple[int, ...]]]) -> tuple[bytes, list[int]]:
    """Return the header of a safetensors file, and byte offsets: where each array starts, and the end of the file."""
    ends = [0]
    described = {}
    for name, (kind, shape) in arrays.items():
        ends.append(ends[-1] + math.prod(shape) * _DTYPES[kind].itemsize)
        described[name] = {"dtype": kind, "shape": shape, "data_offsets": ends[-2:]}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return header, [len(header) + end for end in ends]
