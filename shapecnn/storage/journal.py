"""What an unfinished run has done so far: a header that says what the run is, then one JSON line for each thing done.

Lines are flushed as they are written, so that a killed process loses none. Each stands behind its hash: one that was
cut short or has changed ends the journal, and what would follow is done anew.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shapecnn.errors import StoredDataError
from shapecnn.storage.publishing import claim, create
from shapecnn.storage.reading import open_stored, sha256

Record = dict[str, Any]

_NAME = "journal.jsonl"
_DIGEST = 65  # characters: a SHA-256 and a blank


def read_journal(folder: Path) -> tuple[Record | None, list[Record]]:
    """The header and the records of the unfinished run in ``folder``; (None, []) where there is none."""
    records = [record for _, record in scan_journal(folder)]
    return (records[0], records[1:]) if records else (None, [])


def scan_journal(folder: Path) -> Iterator[tuple[int, Record]]:
    """Header and records of the unfinished run in ``folder``, one in memory at a time, each with its place."""
    path = folder / _NAME
    if not path.exists():
        return
    with open_stored(path) as file:
        place = 0
        for line in file:
            record = _record(line)
            if record is None:
                return
            yield place, record
            place += len(line)


def read_record(folder: Path, place: int) -> Record:
    """The record at that place of the journal in ``folder``.  Raises StoredDataError if it has changed since."""
    with open_stored(folder / _NAME) as file:
        file.seek(place)
        record = _record(file.readline())
    if record is None:
        raise StoredDataError(f"{folder / _NAME} has changed while it was read. Run the command once more.")
    return record


@contextmanager
def open_journal(folder: Path, header: Record) -> Iterator[Callable[[Record], int]]:
    """A function that notes one record, behind those of earlier runs with the same header, and returns its place.

    Raises UsageError if ``folder`` is there and not ours.
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

        def note(record: Record) -> int:
            place = journal.tell()
            journal.write(_line(record))
            return place

        yield note


def _record(line: bytes) -> Record | None:
    """What a line holds; None if it is not as it was written."""
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
