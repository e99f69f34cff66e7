"""Program that parses untrusted Parquet files in a separate process, for :mod:`shapecnn.storage.table_reader`.

A separate process is needed because pyarrow 26 aborts its process on some damaged files, and allocates memory for as
many rows as a file claims to have. To start fast, the program imports pyarrow but no module of shapecnn.

The protocol over standard input and output: the program first writes the line ``null``, or a JSON string that says why
pyarrow cannot be imported. It then answers requests until the end of its input.

- A request is a JSON line, followed by the content of a Parquet file. The line holds ``size`` (bytes of the file), the
  limits ``seconds`` (CPU time) and ``memory`` (bytes), and ``columns``, ``numbers``, ``required`` and ``most`` for
  :func:`read_columns`.
- An answer is a JSON line with either ``error``, or ``rows`` (the number of rows) and ``columns`` (the distinct strings
  of each column). In the second case, an int32 array for each column follows: for each row, the index of its string
  among the distinct strings, or -1 for null.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Read requests to parse Parquet files and write the answers, until the end of the input.

    Args:
        source: Stream of requests.
        sink: Stream for the greeting line and the answers.
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
            names, numbers = request["columns"], request["numbers"]
            columns = read_columns(data, names, numbers, request["required"], request["most"])
            rows = len(columns[0][1])
            header = _line({"rows": rows, "columns": [strings for strings, _ in columns]})
            parts = [header, *(places for _, places in columns)]
        except MemoryError:
            parts = [_line({"error": "the table needs more memory than its file size justifies"})]
        except ValueError as error:
            parts = [_line({"error": str(error)})]
        sink.writelines(parts)
        sink.flush()


def read_columns(
    data: bytes, columns: Sequence[str], numbers: Sequence[str], required: int, most: int
) -> list[tuple[list[str], memoryview]]:
    """Parse a Parquet file of strings and numbers; a damaged file may make the calling process crash or hang.

    Args:
        data: The content of the file.
        columns: Names of the expected columns, in order.
        numbers: Names of the columns that hold float64; all others hold strings.
        required: Number of columns that must exist, counted from the first. The later columns may be missing.
        most: Largest number of rows that is accepted.

    Returns:
        A pair for each column in the file: the distinct values as strings, and for each row the index (int32) of its
        string among the distinct strings, or -1 for null. The string of a number has all its digits.

    Raises:
        ValueError: The content is damaged or not a Parquet file; or it has other columns, more rows or another
            compression than accepted.
    """
    import pyarrow
    import pyarrow.parquet

    optional = f" (the last {len(columns) - required} may be missing)" if required < len(columns) else ""
    exception = f", but numbers in {' and '.join(numbers)}" if numbers else ""
    other = f"the table must have the columns {', '.join(columns)}{optional}, and all must hold strings{exception}"
    try:
        source = pyarrow.BufferReader(data)
        footer = pyarrow.parquet.read_metadata(source)
        _check_footer(footer, most)
        present = list(columns[: footer.num_columns])  # a KeyError follows if the file has others
        texts = [name for name in present if name not in numbers]
        file = pyarrow.parquet.ParquetFile(source, metadata=footer, read_dictionary=texts)
        names = file.schema_arrow.names
        if len(names) < required or names != list(columns[: len(names)]):
            raise ValueError(other)
        strings = pyarrow.string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        for field in file.schema_arrow:
            if field.type not in ((pyarrow.float64(),) if field.name in numbers else strings):
                raise ValueError(other)
        table = file.read(use_threads=False)
        table.validate(full=True)  # checks that all indices are within the distinct strings
    except KeyError:
        raise ValueError(other) from None
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    return [
        _distinct(column.cast(pyarrow.string()) if column.type == pyarrow.float64() else column)
        for column in table.columns
    ]


def _check_footer(footer: pyarrow.parquet.FileMetaData, most: int) -> None:
    """Raise ValueError if a Parquet file has more than ``most`` rows or is not compressed with snappy.

    Other compressions could pack huge data into a small file.
    """
    groups = [footer.row_group(k) for k in range(footer.num_row_groups)]
    chunks = [[group.column(k) for k in range(group.num_columns)] for group in groups]
    rows = sum(
        max([abs(group.num_rows), *(abs(chunk.num_values) for chunk in row)])
        for group, row in zip(groups, chunks, strict=True)
    )
    rows = max(abs(footer.num_rows), rows)
    if rows > most:
        raise ValueError(f"the table has {rows} rows, more than the limit of {most}")
    if any(chunk.compression != "SNAPPY" for row in chunks for chunk in row):
        raise ValueError("the table is not compressed with snappy")


def _distinct(column: pyarrow.ChunkedArray) -> tuple[list[str], memoryview]:
    import pyarrow

    joined = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(joined, pyarrow.ChunkedArray):  # the column has no chunks, so no rows
        return [], memoryview(b"").cast("i")
    places = memoryview(joined.indices.fill_null(-1).buffers()[1] or b"").cast("B").cast("i")
    offset = joined.indices.offset
    return joined.dictionary.to_pylist(), places[offset : offset + len(joined)]


def _limit(seconds: int, memory: int) -> None:
    """Limit the CPU time (in seconds) and the memory (in bytes, on Linux only) for parsing the next file."""
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
    sys.modules["numpy"] = None  # type: ignore[assignment]  # without numpy, pyarrow loads in half the time
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # mimalloc reserves 1 GiB at once, which would cross the limit
    serve(sys.stdin.buffer, sys.stdout.buffer)
