"""Untrusted Parquet files, parsed in a process that may abort, hang or run out of memory in place of this one.

The program of that process is :mod:`shapecnn.storage.table_process`. It starts with the first table and stays for later
ones: pyarrow loads in some tenths of a second and parses in milliseconds. This process need not load pyarrow at all.
The workers for meshes do not serve here, because their server loads kernels for a second or more.
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

_SECONDS = 60  # for one file; one of a million rows takes two
_MEMORY = 1 << 30  # bytes for one file
_GROWTH = 100  # and for each of its bytes: snappy shrinks nothing to less than a twentieth, and there are a few copies

_lock = threading.Lock()
_reader: _Reader | None = None


def start_reader() -> None:
    """Start the process that parses tables, unless it runs, so that it loads pyarrow while this process goes on.

    Raises:
        ProcessError: The system does not start another process.
    """
    with _lock:
        _running()


def read_columns(data: bytes, columns: Sequence[str], required: int, most: int) -> list[list[str | None]]:
    """Read a Parquet file of strings, in the other process.

    Args:
        data: The content of the file, which may be damaged or made to do harm.
        columns: The names of its columns in order.
        required: How many of them have to be there; the ones after these may be absent from the end.
        most: The largest number of rows.

    Returns:
        The values of each column that is there, None for null. Equal strings of a column are one object.

    Raises:
        ValueError: It is no Parquet file, is damaged, is of other columns, of more rows or of another compression, or
            takes more time or memory than it should.
        ProcessError: The process cannot be started, or something else has ended it.
    """
    request = {
        "size": len(data),
        "columns": columns,
        "required": required,
        "most": most,
        "seconds": _SECONDS,
        "memory": _MEMORY + _GROWTH * len(data),
    }
    with _lock:
        return _running().read(request, data)


class _Reader:
    """The parent's end of the process."""

    def __init__(self) -> None:
        program = str(Path(table_process.__file__).resolve())
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", program],  # -P: nothing in the current folder is imported
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what pyarrow says when it aborts
                start_new_session=True,  # Ctrl-C and the end of the terminal are for the parent
            )
        except OSError as error:
            raise ProcessError(
                f"The process that reads tables cannot start ({error.strerror or error}). Close what is not needed."
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._sink, self._source = self._process.stdin, self._process.stdout
        self._greeted = False

    def runs(self) -> bool:
        return self._process.poll() is None

    def read(self, request: dict[str, Any], data: bytes) -> list[list[str | None]]:
        """As :func:`read_columns`. After any error but a plain answer the process has ended."""
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
                raise ValueError(f"reading it takes longer than {request['seconds']} s") from None
            if code == -signal.SIGKILL:
                raise ProcessError(
                    "The process that reads tables was killed, perhaps because the machine ran out of memory. Free "
                    "some, and run the command again."
                ) from None
            raise ValueError("the library that reads it crashed") from None
        except BaseException:
            self.stop()  # its answer would be taken for that to the next request
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
        with contextlib.suppress(BrokenPipeError):  # what it did not read
            self._sink.close()

    def _greet(self) -> None:
        """Wait until pyarrow is loaded.  Raises ProcessError if it does not load."""
        if self._greeted:
            return
        try:
            complaint: str | None = self._line()
        except EOFError:
            self._process.wait()
            complaint = f"it ended with {self._process.returncode}"
        except BaseException:
            self.stop()
            raise
        if complaint is not None:
            self.stop()
            raise ProcessError(
                f"The process that reads tables does not start: {complaint}. Free memory, or install shapecnn again."
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
        known: list[str | None] = [*strings, None]  # places[i] is -1 for null
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
    """In a fork: the process and its pipes are the parent's."""
    global _lock, _reader
    _lock, _reader = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
