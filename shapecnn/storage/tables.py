"""Rows of plain values as Parquet, and back; what others wrote is held against what was expected before it is read."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from shapecnn.storage.parquet import SNAPPY, read_footer

if TYPE_CHECKING:
    import pyarrow

MOST = 10_000_000  # rows of a table

Row = TypeVar("Row")


def table_bytes(row: type, rows: Sequence[Any]) -> bytes:
    """Instances of the dataclass ``row``, of floats and of strings or None, as a Parquet file with a column for each
    field; the same rows give the same bytes.
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
    """The rows, at most so many and of strings alone, that :func:`table_bytes` was given; ValueError for anything else.

    The last columns may be absent where their fields have a default: earlier versions did not have them.

    A small file can promise much: strings are kept once however often they occur, and the compression is the one that
    is written, which shrinks nothing to less than a twentieth.
    """
    import pyarrow
    import pyarrow.parquet

    kinds = _kinds(row)
    footer = read_footer(data)
    if footer.rows > most:
        raise ValueError(f"it has {footer.rows} rows, more than {most}")
    if not footer.codecs <= {SNAPPY}:
        raise ValueError("it is not compressed with snappy")
    try:
        kinds = _held(row, pyarrow.parquet.read_schema(pyarrow.BufferReader(data)).names)
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=list(kinds))
        if any(
            field.type not in (pyarrow.string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
            for field in file.schema_arrow
        ):
            raise ValueError(f"its columns are not {', '.join(kinds)}")
        table = file.read()
        table.validate(full=True)  # a string of another number than there are
    except KeyError:
        raise ValueError(f"its columns are not {', '.join(kinds)}") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    for name, kind in kinds.items():
        _require(name, table[name], kind)
    return [row(*values) for values in zip(*(_texts(table[name]) for name in kinds), strict=True)]


def _kinds(row: type) -> dict[str, Any]:
    hints = get_type_hints(row)
    return {field.name: hints[field.name] for field in dataclasses.fields(row)}


def _held(row: type, names: Sequence[str]) -> dict[str, Any]:
    """The fields whose columns are these.  Raises ValueError if they are others."""
    kinds = _kinds(row)
    needed = [f.name for f in dataclasses.fields(row) if f.default is dataclasses.MISSING]
    if not (len(names) >= len(needed) and list(kinds)[: len(names)] == list(names)):
        raise ValueError(f"its columns are not {', '.join(kinds)}")
    return {name: kinds[name] for name in names}


def _require(name: str, column: pyarrow.ChunkedArray, kind: Any) -> None:
    """Raise ValueError unless the values are of this type."""
    if column.null_count and NoneType not in get_args(kind):
        raise ValueError(f"a {name} is missing")
    if get_origin(kind) is Literal and not {*column.unique().to_pylist()} <= {*get_args(kind)}:
        raise ValueError(f"a {name} is none of {', '.join(get_args(kind))}")


def _texts(column: pyarrow.ChunkedArray) -> Iterator[str | None]:
    """The values, each string made once."""
    return chain.from_iterable(map(_texts_of, column.chunks))


def _texts_of(chunk: Any) -> list[str | None]:
    if not hasattr(chunk, "dictionary"):  # an empty table
        return list(chunk.to_pylist())
    known = chunk.dictionary.to_pylist()
    return [None if place is None else known[place] for place in chunk.indices.to_pylist()]
