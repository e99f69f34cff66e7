"""Writing so that a reader never sees half of anything, and reading archives that may be hostile.

Local folders today. A set of files that belong together is published through a redo log: staged beside its
destination, committed by one rename, then moved into place. A crash leaves the old set or the new one: readers
look where :func:`published` says, and the next writer finishes what was committed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from filelock import FileLock, Timeout

from shapecnn.errors import ArchiveError, BusyError, StoredDataError, UsageError

WORK = ".partial"  # unfinished work inside an output folder; gone when the work is done
_STAGED = ".publish"  # a committed set of files that still has to move into place
_STAGING = ".publish.tmp"


def sha256(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write ``data`` so that ``path`` holds all of it or what it held before.

    ``scratch`` is a folder on the same file system for the temporary file (default: beside ``path``).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f".{os.getpid()}-{sha256(os.fsencode(path))[:16]}.tmp"
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put ``files`` (name → content) into ``folder`` as one: after a crash all of them are new or all are old."""
    folder.mkdir(parents=True, exist_ok=True)
    recover(folder)
    staging = folder / _STAGING
    staging.mkdir()
    for name, data in files.items():
        with (staging / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    staging.rename(folder / _STAGED)  # the commit
    recover(folder)


def recover(folder: Path) -> None:
    """Finish a publication that was committed, throw away one that was not.

    For writers that hold ``folder`` (:func:`exclusive`): another one may be staging right now.
    """
    shutil.rmtree(folder / _STAGING, ignore_errors=True)
    staged = folder / _STAGED
    if staged.is_dir():
        for file in sorted(staged.iterdir()):
            file.replace(folder / file.name)
        staged.rmdir()


def published(folder: Path, name: str) -> Path:
    """Where the current version of a published file is, also between its commit and its move, without writing."""
    staged = folder / _STAGED / name
    return staged if staged.exists() else folder / name


def read_json(path: Path) -> Any:
    """The JSON value in ``path``; StoredDataError if it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoredDataError(f"{path} cannot be read ({error}). Make it again.") from None


def json_bytes(value: Any) -> bytes:
    """``value`` as readable JSON with a final newline; the same value gives the same bytes.

    NaN and infinity are no JSON: ValueError. What is undefined is null.
    """
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def table_bytes(row: type, rows: Sequence[Any]) -> bytes:
    """Instances of the dataclass ``row``, of floats and of strings or None, as a Parquet file with a column for each
    field; the same rows give the same bytes.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([
        (field.name, pyarrow.float64() if field.type in ("float", float) else pyarrow.string())
        for field in dataclasses.fields(row)
    ])  # fmt: skip
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dataclasses.asdict(r) for r in rows], schema), buffer)
    return buffer.getvalue()


_HOLDS = {
    "settings.json": "artefacts",
    "model.json": "a run",
    "index.json": "an index",
    "evaluation.json": "a report",
    "audit.json": "an audit",
}


def require_room_for(own: str, folder: Path) -> None:
    """Raise UsageError if ``folder`` holds what another command made than the one whose file is called ``own``."""
    for name, what in _HOLDS.items():
        if name != own and (folder / name).exists():
            raise UsageError(f"{folder} holds {what}, which this would be mixed with. Choose a folder of its own.")


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for writing: a second writer gets a BusyError, a dead one leaves no lock behind."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"Another shapecnn is writing {folder}. Wait for it, or choose another output.") from None
    try:
        yield
    finally:
        lock.release()  # the file stays: if it were removed, two writers could lock two files of one name


def check_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of a zip, or an ArchiveError if any name would leave the folder it is unpacked into, or is a link."""
    files = []
    for member in archive.infolist():
        name = member.filename
        path = PureWindowsPath(name)  # knows the separators and drives of every system
        if path.anchor or ".." in path.parts:
            raise ArchiveError(
                f"{archive.filename} holds {name!r}, a path that leads out of it. Do not trust this file."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(
                f"{archive.filename} holds the link {name!r}. Pack the files themselves, not links to them."
            )
        if not member.is_dir():
            files.append(member)
    return files
