"""Parse untrusted Parquet files in a separate process, so that a crash or hang does not affect the caller.

The separate process runs :mod:`shapecnn.storage.table_process`. It is started for the first table and then waits for
more tables, because importing pyarrow takes some tenths of a second and parsing a table only milliseconds. The calling
process does not import pyarrow at all. The worker processes for meshes are not used for tables, because the server
that starts them takes a second or more to load compiled kernels.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shapecnn.errors import ProcessError
from shapecnn.storage import table_process

_SECONDS = 60  # time limit for one file; a file of a million rows takes two seconds
_MEMORY = 1 << 30  # memory limit for one file in bytes, to which _GROWTH times the file size is added
_GROWTH = 100  # snappy shrinks data to no less than a twentieth, and parsing holds a few copies

_lock = threading.Lock()
_reader: _Reader | None = None


def start_reader() -> None:
    """Start the process that parses Parquet tables if it is not running, without waiting until it is ready.

    Raises:
        ProcessError: The system cannot start another process.
    """
    with _lock:
        _running()


def read_columns(
    data: bytes, columns: Sequence[str], numbers: Sequence[str], required: int, most: int
) -> list[list[str | None]]:
    """Parse a Parquet file of strings and numbers in a separate process and return the columns.

    Args:
        data: The content of the file, which may be damaged or malicious.
        columns: Names of the expected columns, in order.
        numbers: Names of the columns that hold float64; all others hold strings.
        required: Number of columns that must exist, counted from the first. The later columns may be missing.
        most: Largest number of rows that is accepted.

    Returns:
        The values of each column in the file, with None for null. A number is returned as a string with all its digits.
        Equal strings of a column share one object.

    Raises:
        ValueError: The content is damaged or not a Parquet file; or it has other columns, more rows or another
            compression than accepted; or parsing exceeds the time or memory limit.
        ProcessError: The process that parses tables cannot be started, or was killed from outside.
    """
    request = {
        "size": len(data),
        "columns": columns,
        "numbers": numbers,
        "required": required,
        "most": most,
        "seconds": _SECONDS,
        "memory": _MEMORY + _GROWTH * len(data),
    }
    with _lock:
        return _running().read(request, data)


class _Reader:
    """Connection to the process that parses tables: starts it, sends requests, receives answers and stops it."""

    def __init__(self) -> None:
        program = str(Path(table_process.__file__).resolve())
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", program],  # -P: import no module from the current folder
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # discards what pyarrow prints when it aborts
                start_new_session=True,  # only the parent receives Ctrl-C and the hangup of the terminal
            )
        except OSError as error:
            raise ProcessError(
                f"The process that reads tables cannot start ({error.strerror or error}). Close other programs."
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._sink, self._source = self._process.stdin, self._process.stdout
        self._greeted = False

    def runs(self) -> bool:
        return self._process.poll() is None

    def read(self, request: dict[str, Any], data: bytes) -> list[list[str | None]]:
        """Send a Parquet file to the process and return the columns; see :func:`read_columns` for the errors.

        After a crash, a crossed limit or a broken protocol, the process does not run any more. If it answers that the
        file is invalid, it goes on running.
        """
        self._greet()
        begin = time.monotonic()
        timer = threading.Timer(request["seconds"], self._process.kill)
        timer.start()
        try:
            self._sink.write(json.dumps(request).encode() + b"\n")
            self._sink.write(data)
            self._sink.flush()
            answer = self._line()
            columns = [] if "error" in answer else [self._column(answer["rows"], known) for known in answer["columns"]]
        except (EOFError, BrokenPipeError):
            late = time.monotonic() - begin >= request["seconds"]
            self.stop()
            code = self._process.returncode
            if late or code == -getattr(signal, "SIGXCPU", 0):
                raise ValueError(f"parsing the table takes longer than {request['seconds']} s") from None
            if code == -signal.SIGKILL:
                raise ProcessError(
                    "The process that reads tables was killed, perhaps because the machine ran out of memory. Free "
                    "memory, and run the command again."
                ) from None
            raise ValueError("pyarrow crashed while parsing the table") from None
        except BaseException:
            self.stop()  # the late answer would be mistaken for the answer to the next request
            raise
        finally:
            timer.cancel()
        if "error" in answer:
            raise ValueError(answer["error"])
        return columns

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._source.close()
        with contextlib.suppress(BrokenPipeError):  # data that the process did not read
            self._sink.close()

    def _greet(self) -> None:
        """Wait until the process has imported pyarrow; raise ProcessError if the import fails."""
        if self._greeted:
            return
        try:
            complaint: str | None = self._line()
        except EOFError:
            self._process.wait()
            complaint = f"it ended with exit code {self._process.returncode}"
        except BaseException:
            self.stop()
            raise
        if complaint is not None:
            self.stop()
            raise ProcessError(
                f"The process that reads tables does not start: {complaint}. Free memory, or reinstall shapecnn."
            )
        self._greeted = True

    def _line(self) -> Any:
        line = self._source.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)

    def _column(self, rows: int, strings: list[str]) -> list[str | None]:
        places = array("i")
        places.frombytes(self._source.read(rows * places.itemsize))
        if len(places) != rows:
            raise EOFError
        known: list[str | None] = [*strings, None]  # index -1, for null, selects the last element
        return [known[place] for place in places]


def _running() -> _Reader:
    global _reader
    if _reader is not None and not _reader.runs():
        _reader.stop()
        _reader = None
    if _reader is None:
        _reader = _Reader()
    return _reader


@atexit.register
def _stop() -> None:
    if _reader is not None:
        _reader.stop()


def _forget() -> None:
    """Forget the reader process in a forked child, because the process and its pipes belong to the parent."""
    global _lock, _reader
    _lock, _reader = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
