"""Arrays in the safetensors format, which holds no code: written row by row, viewed where they lie, read with checks.

The library reads what fits in memory. It neither writes an array that memory does not hold nor gives a view of a mapped
file, so :func:`write_arrays` and :func:`view_arrays` do that here, with the library's own bytes.
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

Kind = Literal["F32", "F16", "U8"]
"""The names of safetensors for float32, float16 and uint8."""

Number = TypeVar("Number", bound=np.generic)

_DTYPES: dict[Kind, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "U8": np.dtype("u1")}
_BLOCK = 1 << 22  # numbers looked at at a time


class Rows(NamedTuple):
    """An array to be written.  each: its rows along the first axis, drawn once."""

    kind: Kind
    shape: tuple[int, ...]
    each: Iterable[NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, Rows]) -> str:
    """Write arrays one row at a time, byte for byte as the safetensors library would.

    Args:
        path: The file, which must not be there yet.
        arrays: By name, those of larger numbers first, as the library orders them.

    Returns:
        The SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        ValueError: Rows are not of the shape, or not as many.
        TypeError: Rows are of a type that does not fit into the kind without loss.
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
                    raise ValueError(f"a row of {name} is {row.shape}, of {rows.shape}")
                write(row.astype(_DTYPES[rows.kind], casting="safe", copy=False).tobytes())
                count += 1
            if count != rows.shape[0]:
                raise ValueError(f"{name} has {count} rows, not {rows.shape[0]}")
    return digest.hexdigest()


def view_arrays(content: bytes | mmap, arrays: Mapping[str, tuple[Kind, tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    """View arrays in a file without reading or copying them.

    The header of the file is compared with the only one that :func:`write_arrays` writes for such arrays, not parsed.

    Args:
        content: The file, mapped or in memory.
        arrays: The kind and the shape of each array that it must hold, in order.

    Returns:
        Read-only arrays by name. Their numbers are not checked.

    Raises:
        ValueError: The file holds something else.
    """
    header, places = _layout(arrays)
    if content[: len(header)] != header or len(content) != places[-1]:
        expected = ", ".join(f"{name} {kind} {shape}" for name, (kind, shape) in arrays.items())
        raise ValueError(f"it is not of {expected}")
    return {
        name: np.frombuffer(content, _DTYPES[kind], math.prod(shape), place).reshape(shape)
        for (name, (kind, shape)), place in zip(arrays.items(), places, strict=False)
    }


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read all arrays of a safetensors file by the library.

    Args:
        data: The content of the file.

    Returns:
        The arrays by name, of any type and shape. Their numbers are not checked: :func:`array_of` does that.

    Raises:
        ValueError: It is no safetensors file, or is damaged.
    """
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except Exception as error:  # SafetensorError, KeyError for a type that numpy does not know
        raise ValueError(f"it is no safetensors file: {error}") from None


def array_of(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: type[Number], shape: Sequence[int | None]
) -> NDArray[Number]:
    """Take one array that must be there, of a type and a shape, and finite.

    Args:
        arrays: What :func:`read_arrays` returned.
        name: The name of the array.
        dtype: Its type.
        shape: Its lengths, None where any length will do.

    Returns:
        The array itself, not a copy.

    Raises:
        ValueError: It is missing, of another type or shape, or holds NaN or infinity.
    """
    if name not in arrays:
        raise ValueError(f"it lacks {name}")
    array = arrays[name]
    fits = len(array.shape) == len(shape) and all(
        n in (None, length) for n, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} ({lengths})")
    require_numbers(name, array)
    return array


def require_numbers(name: str, array: NDArray[Any]) -> None:
    """Check that all of an array, of any size, is finite.

    Args:
        name: What the message calls it.
        array: Numbers of any shape.

    Raises:
        ValueError: Some of them are NaN or infinite.
    """
    flat = array.reshape(-1)
    if not all(np.isfinite(flat[start : start + _BLOCK]).all() for start in range(0, flat.size, _BLOCK)):
        raise ValueError(f"some of {name} are no numbers")


def _layout(arrays: Mapping[str, tuple[Kind, tuple[int, ...]]]) -> tuple[bytes, list[int]]:
    """Return the header of a file, and the places in the file where each array begins and the last one ends."""
    ends = [0]
    described = {}
    for name, (kind, shape) in arrays.items():
        ends.append(ends[-1] + math.prod(shape) * _DTYPES[kind].itemsize)
        described[name] = {"dtype": kind, "shape": shape, "data_offsets": ends[-2:]}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return header, [len(header) + end for end in ends]
