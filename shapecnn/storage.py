"""Writing so that a reader never sees half of anything, and reading archives that may be hostile.

Local folders today. A set of files that belong together is published through a redo log: staged beside its
destination, committed by one rename, then moved into place. A crash leaves the old set or the new one: readers
look where :func:`published` says, and the next writer finishes what was committed. Their hashes are published with
them, for :mod:`shapecnn.sealed` to read them against.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import mmap
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from filelock import FileLock, Timeout

from shapecnn.checksums import SUMS, sums_bytes
from shapecnn.errors import ArchiveError, BusyError, StoredDataError, UsageError, quoted

WORK = ".partial"  # unfinished work inside an output folder; gone when the work is done
_STAGED = ".publish"  # a committed set of files that still has to move into place
_STAGING = ".publish.tmp"
_LOCK = ".lock"

MAX_RATIO = 200  # unpacked bytes for each byte of a zip; meshes as text have about 5
MAX_UNPACKED = 64 << 30  # bytes; ModelNet40 has 10 GB
MAX_MEMBERS = 1_000_000

LARGEST = 8 << 30  # bytes of a file that is read whole


def sha256(data: bytes | mmap.mmap) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(path: Path) -> str:
    """That of a file, however large.  Raises OSError, also for what is no file and might never end."""
    _file_size(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write ``data`` so that ``path`` holds all of it or what it held before.

    ``scratch`` is a folder on the same file system for the temporary file (default: beside ``path``), which stays there
    if the process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f".{os.getpid()}-{sha256(os.fsencode(path))[:16]}.tmp"
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # never through a link that somebody has put there
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(folder: Path, files: Mapping[str, bytes | Path], beside: Mapping[str, str] | None = None) -> None:
    """Put ``files`` (name → content) into ``folder`` as one: after a crash all of them are new or all are old.

    A path is a file on the same file system, which is moved: for contents that memory should not have to hold.

    ``SHA256SUMS`` goes with them, of these and of ``beside``: by relative path, the SHA-256 of files that belong to
    them and are there already, or are given as a path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recover(folder)
    staging = folder / _STAGING
    staging.mkdir()
    sums = {**(beside or {}), **{name: sha256(data) for name, data in files.items() if isinstance(data, bytes)}}
    for name, data in {**files, SUMS: sums_bytes(sums)}.items():
        if isinstance(data, Path):
            data.replace(staging / name)
        else:
            (staging / name).write_bytes(data)
        with (staging / name).open("rb+") as file:
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


def read_stored(path: Path) -> bytes:
    """The content of a file; OSError also for what is no file, which might never end, and for more than
    ``LARGEST``."""
    if _file_size(path) > LARGEST:
        raise OSError(errno.EFBIG, f"it has more than {LARGEST / 1e9:.0f} GB")
    return path.read_bytes()


def map_stored(path: Path) -> bytes | mmap.mmap:
    """The content of a file of any size, to be looked at and not held: what is looked at comes from the disk and memory
    may forget it. It stays what it is when ``path`` becomes another file, and changes with what is written into this
    one. OSError also for what is no file."""
    if not _file_size(path):
        return b""  # which cannot be mapped
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _file_size(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    return status.st_size


def read_json(path: Path) -> Any:
    """The JSON value in ``path``; StoredDataError if it is damaged."""
    try:
        return parse_json(read_stored(path))
    except (OSError, ValueError) as error:
        raise StoredDataError(f"{path} cannot be read ({error}). Make it again.") from None


def parse_json(data: bytes) -> Any:
    """The JSON value in ``data``, all of whose numbers are finite.  Raises ValueError."""
    try:
        return json.loads(data, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value


def json_bytes(value: Any) -> bytes:
    """``value`` as readable JSON with a final newline; the same value gives the same bytes.

    NaN and infinity are no JSON: ValueError. What is undefined is null.
    """
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


HOLDS = {
    "settings.json": "artefacts",
    "model.json": "a run",
    "index.json": "an index",
    "evaluation.json": "a report",
    "audit.json": "an audit",
    "comparison.json": "a comparison",
}
"""The file that tells what a folder holds."""


def require_room_for(own: str, folder: Path) -> None:
    """Raise UsageError if ``folder`` holds what another command made than the one whose file is called ``own``."""
    for name, what in HOLDS.items():
        if name != own and (folder / name).exists():
            raise UsageError(f"{folder} holds {what}, which this would be mixed with. Choose a folder of its own.")


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for writing: a second writer gets a BusyError, a dead one leaves no lock behind, and what it had
    committed is finished (:func:`recover`).

    Raises UsageError if what is kept there while it is written is a link: somebody else's files would be changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_LOCK, WORK, _STAGED, _STAGING):
        if (folder / name).is_symlink():
            raise UsageError(f"{folder / name} is a link, which shapecnn never makes: do not trust {folder}.")
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"Another shapecnn is writing {folder}. Wait for it, or choose another output.") from None
    try:
        recover(folder)
        yield
    finally:
        lock.release()  # the file stays: if it were removed, two writers could lock two files of one name


def check_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of a zip; ArchiveError if any name would leave the folder it is unpacked into or is a link, or if they
    would take more than ``MAX_RATIO`` times the size of the zip, ``MAX_UNPACKED`` or ``MAX_MEMBERS``.

    No more of a file is ever unpacked than its header announces, so that these are limits to what comes out.
    """
    members = archive.infolist()
    for member in members:
        name = member.filename
        path = PureWindowsPath(name)  # knows the separators and drives of every system
        if path.anchor or ".." in path.parts:
            raise ArchiveError(
                f"{archive.filename} holds {quoted(name)}, a path that leads out of it. Do not trust this file."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(
                f"{archive.filename} holds the link {quoted(name)}. Pack the files themselves, not links to them."
            )
    if len(members) > MAX_MEMBERS:
        raise ArchiveError(f"{archive.filename} holds {len(members):,} files, more than {MAX_MEMBERS:,}: split it.")
    assert archive.fp is not None  # it is open
    total = sum(member.file_size for member in members)
    limit = min(MAX_RATIO * archive.fp.seek(0, os.SEEK_END), MAX_UNPACKED)
    if total > limit:
        raise ArchiveError(
            f"{archive.filename} would unpack to {total / 1e6:,.1f} MB, which is no size for a collection"
            f" (here the limit is {limit / 1e6:,.1f} MB). Do not trust this file."
        )
    return [member for member in members if member.filename and not member.is_dir()]
