"""A safetensors file written row by row, for tensors that memory should not have to hold."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

_BYTES = {"F32": 4, "F16": 2}


class Rows(NamedTuple):
    """A tensor of this ``shape``, as its rows along the first axis, drawn once."""

    kind: Literal["F32", "F16"]
    shape: tuple[int, ...]
    each: Iterable[NDArray[Any]]


def write_tensors(path: Path, tensors: Mapping[str, Rows]) -> str:
    """Write the tensors, larger numbers first, as safetensors itself would, byte for byte; returns the SHA-256 (hex).

    Raises ValueError if rows are not what the shape says.
    """
    header, end = {}, 0
    for name, rows in tensors.items():
        start, end = end, end + math.prod(rows.shape) * _BYTES[rows.kind]
        header[name] = {"dtype": rows.kind, "shape": rows.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        write(len(text).to_bytes(8, "little") + text)
        for name, rows in tensors.items():
            count = 0
            for row in rows.each:
                if row.shape != rows.shape[1:]:
                    raise ValueError(f"a row of {name} is {row.shape}, of {rows.shape}")
                write(row.astype(f"<f{_BYTES[rows.kind]}", casting="safe", copy=False).tobytes())
                count += 1
            if count != rows.shape[0]:
                raise ValueError(f"{name} has {count} rows, not {rows.shape[0]}")
    return digest.hexdigest()
