"""What an unfinished run has done so far: a header that says what the run is, then one JSON line for each thing done.

Lines are flushed as they are written, so that a killed process loses none; a last line cut short is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shapecnn.storage import write_atomic

Record = dict[str, Any]

_NAME = "journal.jsonl"


def read_journal(folder: Path) -> tuple[Record | None, list[Record]]:
    """The header and the records of the unfinished run in ``folder``; (None, []) where there is none."""
    path = folder / _NAME
    if not path.exists():
        return None, []
    records = []
    for line in path.read_bytes().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:  # cut short by a kill
            break
    return (records[0], records[1:]) if records else (None, [])


@contextmanager
def open_journal(folder: Path, header: Record) -> Iterator[Callable[[Record], None]]:
    """A function that notes one record, behind those of earlier runs with the same header."""
    folder.mkdir(parents=True, exist_ok=True)
    _, earlier = read_journal(folder)
    path = folder / _NAME
    write_atomic(path, b"".join(map(_line, [header, *earlier])))
    with path.open("ab", buffering=0) as file:

        def note(record: Record) -> None:
            file.write(_line(record))

        yield note


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"
