"""Rows of plain values as Parquet files, and rows of text back from such a file, which is checked."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from shapecnn.storage.table_reader import read_columns

MOST = 10_000_000  # rows of a table

Row = TypeVar("Row")


def table_bytes(row: type, rows: Sequence[Any]) -> bytes:
    """Write rows as a Parquet file with a column for each field; the same rows give the same bytes.

    Args:
        row: A dataclass whose fields are floats, strings, or strings or None.
        rows: Instances of it.

    Returns:
        The content of the file, compressed with snappy.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([
        (name, pyarrow.float64() if kind is float else pyarrow.string()) for name, kind in _kinds(row).items()
    ])  # fmt: skip
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dataclasses.asdict(r) for r in rows], schema), buffer)
    return buffer.getvalue()


def read_table(row: type[Row], data: bytes, most: int = MOST) -> list[Row]:
    """Read the rows of text that :func:`table_bytes` wrote, in a process that a damaged file may crash.

    A small file can promise much: strings are kept once however often they occur, and the compression is the one that
    is written, which shrinks nothing to less than a twentieth.

    Args:
        row: A dataclass whose fields are strings, or strings or None. The columns of its last fields may be absent
            where these have a default, because earlier versions did not write them.
        data: The content of the file. Nothing in it is trusted.
        most: The largest number of rows.

    Returns:
        The rows in the order of the file.

    Raises:
        ValueError: It is not such a file, or is damaged.
        ProcessError: The process cannot be started, or something else has ended it.
    """
    kinds = _kinds(row)
    required = sum(field.default is dataclasses.MISSING for field in dataclasses.fields(row))  # type: ignore[arg-type]
    columns = read_columns(data, list(kinds), required, most)
    for (name, kind), values in zip(kinds.items(), columns, strict=False):
        _require(name, values, kind)
    return [row(*values) for values in zip(*columns, strict=True)]


def _kinds(row: type) -> dict[str, Any]:
    hints = get_type_hints(row)
    return {field.name: hints[field.name] for field in dataclasses.fields(row)}


def _require(name: str, values: Sequence[str | None], kind: Any) -> None:
    """Raise ValueError unless the values are of this type."""
    distinct = set(values)
    if None in distinct and NoneType not in get_args(kind):
        raise ValueError(f"a {name} is missing")
    if get_origin(kind) is Literal and not distinct <= {*get_args(kind)}:
        raise ValueError(f"a {name} is none of {', '.join(get_args(kind))}")
