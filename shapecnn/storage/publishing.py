"""Writing so that a reader never sees half of anything, and reading archives that may be hostile.

Local folders today. A set of files that belong together is published through a redo log: staged beside its
destination, committed by one rename, then moved into place. A crash leaves the old set or the new one: readers
look where :func:`published` says, and the next writer finishes what was committed. Their hashes are published with
them, for :mod:`shapecnn.storage.sealed` to read them against.

Folders with unfinished work carry a mark (:func:`claim`), so that nobody else's are taken for ours and removed. Nothing
is written through a link, and nothing but regular files is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from filelock import FileLock, Timeout

from shapecnn.errors import BusyError, Caution, UsageError
from shapecnn.storage.checksums import SUMS, parse_lines, parse_sums, sum_line, sums_bytes
from shapecnn.storage.reading import named, read_stored, sha256, sha256_of

WORK = ".partial"  # unfinished work inside an output folder; gone when the work is done
RESUME = "resume"  # the same of an unfinished training; only ``train --resume`` opens it
STAGED = ".publish"  # a committed set of files that still has to move into place
_STAGING = ".publish.tmp"
LOCK = ".lock"
WORKS = (WORK, RESUME, STAGED, _STAGING)  # the folders of unfinished work

MARK = ".shapecnn"  # the file that tells that a folder of unfinished work is ours
_MARKED = b"# Unfinished work of shapecnn, removed when it is done. Below: what it has put beside this folder.\n"
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


Written = Mapping[str, set[str]]
"""SHA-256 of what was written by relative path; several where a process ended before it had written the last."""


def create(path: Path) -> BinaryIO:
    """A new file, to be written, in the place of one that is there, never through a link."""
    path.unlink(missing_ok=True)
    return path.open("xb")


def write_atomic(path: Path, data: bytes, scratch: Path | None = None, mode: int | None = None) -> None:
    """Write ``data`` so that ``path`` holds all of it or what it held before.

    ``scratch`` is a folder on the same file system for the temporary file (default: beside ``path``), which stays there
    if the process is killed.  mode: the permissions of the file (default: those of a new one).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f".{os.getpid()}-{sha256(os.fsencode(path))[:16]}.tmp"
    try:
        with create(temporary) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
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
    claim(staging)
    sums = {**(beside or {}), **{name: sha256(data) for name, data in files.items() if isinstance(data, bytes)}}
    for name, data in {**files, SUMS: sums_bytes(sums)}.items():
        if isinstance(data, Path):
            data.replace(staging / name)
        else:
            (staging / name).write_bytes(data)
        with (staging / name).open("rb+") as file:
            os.fsync(file.fileno())
    staging.rename(folder / STAGED)  # the commit
    _move_in(folder)


def recover(folder: Path, overwrite: bool = False) -> None:
    """Finish a publication that was committed, throw away one that was not.

    For writers that hold ``folder`` (:func:`exclusive`): another one may be staging right now. Raises UsageError for
    a folder of such a name that is not ours, and for somebody's file where one belongs that was committed; with
    ``overwrite`` these are removed.
    """
    staging, staged = folder / _STAGING, folder / STAGED
    for work in (staging, staged):
        require_claimed(work, overwrite)
    discard(staging)
    if staged.is_dir():
        _require_movable(folder, overwrite)
        _move_in(folder)


def _require_movable(folder: Path, overwrite: bool) -> None:
    """Raise UsageError unless all that was committed is files, and what they replace is absent or ours."""
    known = written(folder)
    for file in reversed(_committed(folder)):  # without the hashes that were there nothing is known
        if not stat.S_ISREG(file.lstat().st_mode):
            raise UsageError(f"{file} is not a file, and shapecnn puts nothing else there: do not trust {folder}.")
        place = folder / file.name
        if not overwrite and os.path.lexists(place) and digest_among(place, known.get(file.name, set())) is None:
            raise UsageError(
                f"{place} is there, where a run that was stopped is to put its own, and shapecnn did not write it, or "
                f"it has changed since. Move it away, or add --overwrite to replace it."
            )


def _move_in(folder: Path) -> None:
    for file in _committed(folder):
        file.replace(folder / file.name)
    discard(folder / STAGED)


def _committed(folder: Path) -> list[Path]:
    """The hashes come last: until then those of the files that are replaced are known."""
    files = (file for file in (folder / STAGED).iterdir() if file.name != MARK)
    return sorted(files, key=lambda file: (file.name == SUMS, file.name))


def claim(folder: Path) -> None:
    """Make a folder for unfinished work, with the mark by which it is known as ours, unless it is there and marked.

    Raises UsageError if it is there and not ours.
    """
    require_claimed(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not _marks(folder):
        with create(folder / MARK) as file:
            file.write(_MARKED)


def require_claimed(folder: Path, overwrite: bool = False) -> None:
    """Raise UsageError unless a folder of unfinished work is absent or ours; with ``overwrite`` it is removed."""
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link, which shapecnn never makes: do not trust {folder.parent}.")
    if not folder.exists() or is_claimed(folder):
        return
    if not overwrite:
        raise UsageError(
            f"{folder} is not what this version of shapecnn writes there. Move it away, or add --overwrite to "
            f"replace it."
        )
    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def is_claimed(folder: Path) -> bool:
    """Whether a folder of unfinished work is ours: it is empty, marked, or holds the hashes of what is published."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names or _marks(folder):
        return True
    try:
        if names == {MARK}:
            return _MARKED.startswith(read_stored(folder / MARK))  # the process ended while it was written
        return bool(parse_sums(read_stored(folder / SUMS)))
    except (OSError, ValueError):
        return False


def _marks(folder: Path) -> bytes:
    """The mark of a folder with what is noted there; empty if it has none."""
    try:
        content = read_stored(folder / MARK)
    except OSError:
        return b""
    return content if content.startswith(_MARKED) else b""


def discard(folder: Path) -> None:
    """Remove a folder of unfinished work that is ours; its mark goes last, so that what is left of it stays ours."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def write_noted(path: Path, name: str, data: bytes, work: Path) -> None:
    """Write the file ``path``, called ``name`` in its output folder, as :func:`write_atomic` does, with the folder
    ``work`` as scratch; that it is ours is noted there before.
    """
    note_written(work, name, sha256(data))
    write_atomic(path, data, work)


def note_written(work: Path, name: str, digest: str) -> None:
    """Note in the folder ``work`` that the file of this name and SHA-256 beside it is ours."""
    descriptor = os.open(work / MARK, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.write(descriptor, sum_line(name, digest).encode())
    finally:
        os.close(descriptor)


def noted(work: Path) -> list[tuple[str, str]]:
    """Name and SHA-256 of what was written beside the folder ``work``; where one was killed, perhaps not the last."""
    return parse_lines(_marks(work).removeprefix(_MARKED))


def written(folder: Path) -> Written:
    """What shapecnn wrote into ``folder``; nothing if that is not its own."""
    known: defaultdict[str, set[str]] = defaultdict(set)
    for place in {folder / SUMS, published(folder, SUMS)}:  # two between the commit and the moves of a publication
        with contextlib.suppress(OSError, ValueError):
            content = read_stored(place)
            for name, digest in parse_sums(content).items():
                known[name].add(digest)
            known[SUMS].add(sha256(content))
    for work in (WORK, RESUME):
        if is_claimed(folder / work):
            for name, digest in noted(folder / work):
                known[name].add(digest)
    return known


def digest_among(path: Path, digests: set[str]) -> str | None:
    """The SHA-256 of a file if it is one of these; None for any other file, and for a link, a folder and a pipe."""
    try:
        digest = sha256_of(path) if digests else None
    except OSError:
        return None
    return digest if digest in digests else None


def published(folder: Path, name: str) -> Path:
    """Where the current version of a published file is, also between its commit and its move, without writing."""
    staged = folder / STAGED / name
    return staged if os.path.exists(staged) else folder / name  # False for a name too long, too


Kind = Literal["artefacts", "run", "index", "report", "audit", "comparison"]

HOLDS: dict[str, Kind] = {
    "settings.json": "artefacts",
    "model.json": "run",
    "index.json": "index",
    "evaluation.json": "report",
    "audit.json": "audit",
    "comparison.json": "comparison",
}
"""The file that tells what kind of thing a folder holds."""


def is_told(path: Path) -> bool:
    """Whether a file of :data:`HOLDS` is there, be it damaged; a folder is a class that somebody called so."""
    return path.exists() and not path.is_dir()


@contextlib.contextmanager
def exclusive(folder: Path, overwrite: bool = False) -> Iterator[None]:
    """Hold ``folder`` for writing: a second writer gets a BusyError, a dead one leaves no lock behind, and what it had
    committed is finished (:func:`recover`). Where the file system has no locks this is said, and nothing is locked.

    Raises UsageError if what is kept there while it is written is a link, or is not ours; see :func:`require_claimed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / LOCK).is_symlink():
        raise UsageError(f"{folder / LOCK} is a link, which shapecnn never makes: do not trust {folder}.")
    require_claimed(folder / WORK, overwrite)
    lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False)
    try:
        with named(folder / LOCK):
            lock.acquire()
    except Timeout:
        raise BusyError(f"Another shapecnn is writing {folder}. Wait for it, or choose another output.") from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        warnings.warn(
            f"{folder} is on a file system without locks ({error.strerror}), so nothing keeps two commands from "
            f"writing there at once: run one at a time.",
            Caution,
            stacklevel=3,
        )
    try:
        with named(folder):
            recover(folder, overwrite)
            yield
    finally:
        lock.release()  # the file stays: if it were removed, two writers could lock two files of one name
