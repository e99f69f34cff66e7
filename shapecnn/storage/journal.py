"""The journal of an unfinished run: a header that describes the run, then one JSON line for each finished item.

Lines are flushed as they are written, so that a killed process loses none. Each line begins with its hash. The first
line that was cut short or has changed ends the journal, and the items from there on are done again.
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
_DIGEST = 65  # characters: a SHA-256 and a blank


def read_journal(folder: Path) -> tuple[Record | None, list[Record]]:
    """Read the journal of an unfinished run.

    Args:
        folder: The folder of unfinished work.

    Returns:
        The header and the records in the order in which they were written; (None, []) if there is no journal.

    Raises:
        OSError: The journal cannot be read.
    """
    records = [record for _, record in scan_journal(folder)]
    return (records[0], records[1:]) if records else (None, [])


def scan_journal(folder: Path) -> Iterator[tuple[int, Record]]:
    """Yield the header and the records of an unfinished run, with only one in memory at a time.

    Args:
        folder: The folder of unfinished work.

    Yields:
        The place of each record, for :func:`read_record`, and the record. Nothing if there is no journal.

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
    """Read one record of a journal.

    Args:
        folder: The folder of unfinished work.
        place: Its place in bytes, from :func:`scan_journal` or :func:`open_journal`.

    Returns:
        The record.

    Raises:
        StoredDataError: The record has changed since its place was determined.
        OSError: The journal cannot be read.
    """
    with open_stored(folder / _NAME) as file:
        file.seek(place)
        record = _parse(file.readline())
    if record is None:
        raise StoredDataError(f"{folder / _NAME} has changed while it was read. Run the command once more.")
    return record


@contextmanager
def open_journal(folder: Path, header: Record) -> Iterator[Callable[[Record], int]]:
    """Open a journal for writing; the records of earlier runs stay, the header is replaced.

    Args:
        folder: The folder of unfinished work, which is made and marked if missing.
        header: What the run is.

    Yields:
        A function that appends one record and returns its place in bytes.

    Raises:
        UsageError: ``folder`` exists, and shapecnn did not make it.
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
    """Return the record in a line; None if the line does not match its hash."""
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
