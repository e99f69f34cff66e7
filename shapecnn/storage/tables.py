"""Write dataclass instances as rows of a Parquet file, and read and validate such a file."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from shapecnn.storage.table_reader import read_columns

MOST = 10_000_000  # largest number of rows of a table

Row = TypeVar("Row")


def table_bytes(row: type, rows: Sequence[Any]) -> bytes:
    """Encode dataclass instances as a Parquet file with a column for each field; equal rows give identical bytes.

    Args:
        row: The dataclass. Each field has the type float, str, or one of them or None.
        rows: Instances of the dataclass, one for each row of the table.

    Returns:
        The content of the Parquet file, compressed with snappy.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([
        (name, pyarrow.float64() if _numeric(kind) else pyarrow.string()) for name, kind in _kinds(row).items()
    ])  # fmt: skip
    columns = {name: [getattr(each, name) for each in rows] for name in schema.names}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pydict(columns, schema), buffer)
    return buffer.getvalue()


def read_table(row: type[Row], data: bytes, most: int = MOST) -> list[Row]:
    """Read an untrusted Parquet file, written by :func:`table_bytes`, as dataclass instances.

    The file is parsed in a separate process, because a damaged file may crash pyarrow. To limit the memory that a small
    file can take, equal strings are kept in memory only once, and only snappy compression is accepted: it shrinks data
    to no less than a twentieth.

    Args:
        row: The dataclass. Each field has the type float, str, or one of them or None. The columns of the last fields
            may be missing if these fields have default values, because earlier versions of shapecnn did not write them.
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
    numbers = [name for name, kind in kinds.items() if _numeric(kind)]
    columns: list[Sequence[str | float | None]] = []
    for (name, kind), values in zip(
        kinds.items(), read_columns(data, list(kinds), numbers, required, most), strict=False
    ):
        _require(name, values, kind)
        columns.append(_floats(name, values) if _numeric(kind) else values)
    return [row(*values) for values in zip(*columns, strict=True)]


def _kinds(row: type) -> dict[str, Any]:
    hints = get_type_hints(row)
    return {field.name: hints[field.name] for field in dataclasses.fields(row)}


def _numeric(kind: Any) -> bool:
    """Return whether a field has the type float, or float | None."""
    return float in (kind, *get_args(kind))


def _floats(name: str, values: Sequence[str | None]) -> list[float | None]:
    """Convert a column of numbers as strings; raise ValueError if a number is infinite or NaN."""
    numbers = [None if value is None else float(value) for value in values]
    if not all(number is None or math.isfinite(number) for number in numbers):
        raise ValueError(f"the column {name} has a number that is infinite or not a number")
    return numbers


def _require(name: str, values: Sequence[str | None], kind: Any) -> None:
    """Raise ValueError if a column lacks a required value or has a value that its Literal type does not allow."""
    distinct = set(values)
    if None in distinct and NoneType not in get_args(kind):
        raise ValueError(f"the column {name} has an empty cell, but every row needs a value")
    if get_origin(kind) is Literal and not distinct <= {*get_args(kind)}:
        raise ValueError(f"the column {name} has a value other than {', '.join(get_args(kind))}")
