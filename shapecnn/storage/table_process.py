"""The program that parses Parquet files for :mod:`shapecnn.storage.table_reader`, in a process of its own.

pyarrow 26 aborts its process on some damaged files, and reserves memory for as many rows as a file claims to have. The
program imports nothing of shapecnn, so that it starts as fast as pyarrow loads.

It first writes a line ``null``, or one that says why pyarrow does not load. Then it answers requests until its input
ends. A request is a line of JSON with ``size``, ``columns``, ``required``, ``most``, ``seconds`` and ``memory``, then a
file of ``size`` bytes. An answer is a line of JSON with ``error``; or with ``rows`` and ``columns``, the distinct
strings of each column, then for each column the places of its values among these strings, as int32, -1 for null.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until ``source`` ends.

    Args:
        source: Where requests come from.
        sink: Where the greeting and the answers go.
    """
    try:
        import pyarrow.parquet
    except (ImportError, MemoryError) as error:
        sink.write(_line(str(error) or "there is not enough memory"))
        return
    del pyarrow
    sink.write(_line(None))
    sink.flush()
    parts: list[bytes | memoryview]
    while line := source.readline():
        request = json.loads(line)
        _limit(request["seconds"], request["memory"])
        data = source.read(request["size"])
        try:
            columns = read_columns(data, request["columns"], request["required"], request["most"])
            rows = len(columns[0][1])
            header = _line({"rows": rows, "columns": [strings for strings, _ in columns]})
            parts = [header, *(places for _, places in columns)]
        except MemoryError:
            parts = [_line({"error": "it takes more memory than a table of its size should"})]
        except ValueError as error:
            parts = [_line({"error": str(error)})]
        sink.writelines(parts)
        sink.flush()


def read_columns(data: bytes, columns: Sequence[str], required: int, most: int) -> list[tuple[list[str], memoryview]]:
    """Read a Parquet file of strings. May abort the process, or hang, on a damaged file.

    Args:
        data: The content of the file.
        columns: The names of its columns in order.
        required: How many of them have to be there; the ones after these may be absent from the end.
        most: The largest number of rows.

    Returns:
        For each column that is there its distinct strings and, for each row, the place (int32) among them, -1 for null.

    Raises:
        ValueError: It is no Parquet file, is damaged, or is of other columns, of more rows or of another compression.
    """
    import pyarrow
    import pyarrow.parquet

    other = f"its columns are not {', '.join(columns)}"
    try:
        source = pyarrow.BufferReader(data)
        footer = pyarrow.parquet.read_metadata(source)
        _check_footer(footer, most)
        present = list(columns[: footer.num_columns])  # a KeyError follows if the file has others
        file = pyarrow.parquet.ParquetFile(source, metadata=footer, read_dictionary=present)
        names = file.schema_arrow.names
        if len(names) < required or names != list(columns[: len(names)]):
            raise ValueError(other)
        strings = pyarrow.string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        if any(field.type not in strings for field in file.schema_arrow):
            raise ValueError(other)
        table = file.read(use_threads=False)
        table.validate(full=True)  # or a place might lie outside the distinct strings
    except KeyError:
        raise ValueError(other) from None
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    return [_distinct(column) for column in table.columns]


def _check_footer(footer: pyarrow.parquet.FileMetaData, most: int) -> None:
    """Raise ValueError for more rows than ``most``, or another compression than snappy, which might shrink more."""
    groups = [footer.row_group(k) for k in range(footer.num_row_groups)]
    chunks = [[group.column(k) for k in range(group.num_columns)] for group in groups]
    rows = sum(
        max([abs(group.num_rows), *(abs(chunk.num_values) for chunk in row)])
        for group, row in zip(groups, chunks, strict=True)
    )
    rows = max(abs(footer.num_rows), rows)
    if rows > most:
        raise ValueError(f"it has {rows} rows, more than {most}")
    if any(chunk.compression != "SNAPPY" for row in chunks for chunk in row):
        raise ValueError("it is not compressed with snappy")


def _distinct(column: pyarrow.ChunkedArray) -> tuple[list[str], memoryview]:
    import pyarrow

    joined = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(joined, pyarrow.ChunkedArray):  # it has no chunk
        return [], memoryview(b"").cast("i")
    places = memoryview(joined.indices.fill_null(-1).buffers()[1] or b"").cast("B").cast("i")
    offset = joined.indices.offset
    return joined.dictionary.to_pylist(), places[offset : offset + len(joined)]


def _limit(seconds: int, memory: int) -> None:
    """Bound what the next file may take: its time in seconds, where the system can, and memory in bytes, on Linux."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        bounds = {resource.RLIMIT_CPU: math.ceil(time.process_time()) + seconds}
        if sys.platform == "linux":
            bounds[resource.RLIMIT_DATA] = memory
        for kind, bound in bounds.items():
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (bound if hard < 0 else min(bound, hard), hard))


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    sys.modules["numpy"] = None  # type: ignore[assignment]  # pyarrow does without, and loads in half the time
    serve(sys.stdin.buffer, sys.stdout.buffer)
