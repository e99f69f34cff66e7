"""Read and write the journal of an unfinished command: a header line, then a JSON line for each finished item.

If a command was interrupted and is run again, it reads its journal and skips the finished items. Each line is written
to the file at once, so that a killed process loses no line. Each line begins with its hash. Reading stops at the first
incomplete or damaged line; the items from this line on are processed again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shapecnn.errors import StoredDataError
from shapecnn.storage.atomic import create
from shapecnn.storage.reading import open_stored, sha256
from shapecnn.storage.unfinished import claim

Record = dict[str, Any]

_NAME = "journal.jsonl"
_DIGEST = 65  # characters of a SHA-256 hash and a space


def read_journal(folder: Path) -> tuple[Record | None, list[Record]]:
    """Read the whole journal of an unfinished command: its header and the records of the finished items.

    Args:
        folder: Subfolder of unfinished work; see :mod:`shapecnn.storage.unfinished`.

    Returns:
        The header, and the list of records in the order of writing. ``(None, [])`` if the journal is missing.

    Raises:
        OSError: The journal cannot be read.
    """
    records = [record for _, record in scan_journal(folder)]
    return (records[0], records[1:]) if records else (None, [])


def scan_journal(folder: Path) -> Iterator[tuple[int, Record]]:
    """Iterate over the header and the records of a journal, with only one of them in memory at a time.

    Args:
        folder: Subfolder of unfinished work; see :mod:`shapecnn.storage.unfinished`.

    Yields:
        A pair for the header, then a pair for each record: the offset of its line in the file in bytes (for
        :func:`read_record`), and its content. Nothing is yielded if the journal is missing.

    Raises:
        OSError: The journal cannot be read.
    """
    path = folder / _NAME
    if not path.exists():
        return
    with open_stored(path) as file:
        place = 0
        for line in file:
            record = _parse(line)
            if record is None:
                return
            yield place, record
            place += len(line)


def read_record(folder: Path, place: int) -> Record:
    """Read one record of a journal by its byte offset.

    Args:
        folder: Subfolder of unfinished work; see :mod:`shapecnn.storage.unfinished`.
        place: Offset of the record in bytes, from :func:`scan_journal` or :func:`open_journal`.

    Returns:
        The record.

    Raises:
        StoredDataError: The journal has changed: no valid record begins at this offset.
        OSError: The journal cannot be read.
    """
    with open_stored(folder / _NAME) as file:
        file.seek(place)
        record = _parse(file.readline())
    if record is None:
        raise StoredDataError(f"{folder / _NAME} changed while shapecnn was reading it. Run the command again.")
    return record


@contextmanager
def open_journal(folder: Path, header: Record) -> Iterator[Callable[[Record], int]]:
    """Open a journal for appending: keep the records of an interrupted command and replace the header.

    Args:
        folder: Subfolder of unfinished work, which is created with its mark file if missing.
        header: Description of the command, by which a later command decides whether it can use the records.

    Yields:
        A function that appends one record to the journal and returns the offset of the record in bytes.

    Raises:
        UsageError: ``folder`` exists, and shapecnn did not create it.
        OSError: The journal cannot be read or written.
    """
    claim(folder)
    path = folder / _NAME
    temporary = path.with_suffix(".tmp")
    with create(temporary) as file:
        file.write(_line(header))
        for _, record in itertools.islice(scan_journal(folder), 1, None):
            file.write(_line(record))
    temporary.replace(path)
    with path.open("ab", buffering=0) as journal:

        def append(record: Record) -> int:
            place = journal.tell()
            journal.write(_line(record))
            return place

        yield append


def _parse(line: bytes) -> Record | None:
    """Parse one line of a journal; return None if the line does not match the hash at its start."""
    digest, text = line[:_DIGEST], line[_DIGEST:]
    if digest != _digest(text):
        return None
    record = json.loads(text)
    return record if isinstance(record, dict) else None


def _line(record: Record) -> bytes:
    line = json.dumps(record).encode() + b"\n"
    return _digest(line) + line


def _digest(line: bytes) -> bytes:
    return f"{sha256(line)} ".encode()
