"""A safetensors file written row by row, and looked at without being read: for tensors that memory should not have to
hold.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from mmap import mmap
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.storage.publishing import create

Kind = Literal["F32", "F16", "U8"]

_TYPES: dict[Kind, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "U8": np.dtype("u1")}


class Rows(NamedTuple):
    """A tensor of this ``shape``, as its rows along the first axis, drawn once."""

    kind: Kind
    shape: tuple[int, ...]
    each: Iterable[NDArray[Any]]


def write_tensors(path: Path, tensors: Mapping[str, Rows]) -> str:
    """Write the tensors, larger numbers first, as safetensors itself would, byte for byte; returns the SHA-256 (hex).

    Raises ValueError if rows are not what the shape says.
    """
    header, _ = _layout({name: (rows.kind, rows.shape) for name, rows in tensors.items()})
    digest = hashlib.sha256()
    with create(path) as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        write(header)
        for name, rows in tensors.items():
            count = 0
            for row in rows.each:
                if row.shape != rows.shape[1:]:
                    raise ValueError(f"a row of {name} is {row.shape}, of {rows.shape}")
                write(row.astype(_TYPES[rows.kind], casting="safe", copy=False).tobytes())
                count += 1
            if count != rows.shape[0]:
                raise ValueError(f"{name} has {count} rows, not {rows.shape[0]}")
    return digest.hexdigest()


def view_tensors(content: bytes | mmap, tensors: Mapping[str, tuple[Kind, tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    """Read-only views of the tensors, of these kinds and shapes, in what :func:`write_tensors` wrote.

    What the file says of itself is not interpreted: that it holds just these leaves one way to say so. Raises
    ValueError for any other content.
    """
    header, places = _layout(tensors)
    if content[: len(header)] != header or len(content) != places[-1]:
        told = ", ".join(f"{name} {kind} {shape}" for name, (kind, shape) in tensors.items())
        raise ValueError(f"it is not of {told}")
    return {
        name: np.frombuffer(content, _TYPES[kind], math.prod(shape), place).reshape(shape)
        for (name, (kind, shape)), place in zip(tensors.items(), places, strict=False)
    }


def _layout(tensors: Mapping[str, tuple[Kind, tuple[int, ...]]]) -> tuple[bytes, list[int]]:
    """What stands before the tensors, and the places in the file where each begins and the last ends."""
    ends = [0]
    described = {}
    for name, (kind, shape) in tensors.items():
        ends.append(ends[-1] + math.prod(shape) * _TYPES[kind].itemsize)
        described[name] = {"dtype": kind, "shape": shape, "data_offsets": ends[-2:]}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return header, [len(header) + end for end in ends]
