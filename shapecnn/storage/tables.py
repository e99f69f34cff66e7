"""Write dataclass instances as rows of a Parquet file, and read and validate such a file."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from shapecnn.storage.table_reader import read_columns

MOST = 10_000_000  # largest number of rows of a table

Row = TypeVar("Row")


def table_bytes(row: type, rows: Sequence[Any]) -> bytes:
    """Encode dataclass instances as a Parquet file with a column for each field; equal rows give identical bytes.

    Args:
        row: The dataclass. Each field has the type float, str, or str | None.
        rows: Instances of the dataclass, one for each row of the table.

    Returns:
        The content of the Parquet file, compressed with snappy.
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
    """Read an untrusted Parquet file of strings, written by :func:`table_bytes`, as dataclass instances.

    The file is parsed in a separate process, because a damaged file may crash pyarrow. To limit the memory that a small
    file can take, equal strings are kept in memory only once, and only snappy compression is accepted: it shrinks data
    to no less than a twentieth.

    Args:
        row: The dataclass. Each field has the type str or str | None. The columns of the last fields may be missing if
            these fields have default values, because earlier versions of shapecnn did not write them.
        data: The content of the file.
        most: The largest number of rows that is accepted.

    Returns:
        The rows in the order of the file.

    Raises:
        ValueError: The file is damaged, or is not a table with these columns, types and compression.
        ProcessError: The parsing process cannot be started, or was killed from outside.
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
    """Raise ValueError if a column lacks a required value or has a value that its Literal type does not allow."""
    distinct = set(values)
    if None in distinct and NoneType not in get_args(kind):
        raise ValueError(f"the column {name} has an empty cell, but every row needs a value")
    if get_origin(kind) is Literal and not distinct <= {*get_args(kind)}:
        raise ValueError(f"the column {name} has a value other than {', '.join(get_args(kind))}")
