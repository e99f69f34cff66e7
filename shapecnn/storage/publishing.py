"""Sets of files that are published together, so that a reader never sees a part of a set.

A set is published through a redo log: staged beside its destination, committed by one rename, then moved into place. A
crash leaves either the old set or the new one: readers look where :func:`published` says, and the next writer finishes
what was committed. ``SHA256SUMS`` is published with each set; :mod:`shapecnn.storage.sealed` checks files against it.

Only local folders are supported. Nothing is written through a link, and only regular files are read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from shapecnn.errors import BusyError, Caution, UsageError
from shapecnn.storage.checksums import SUMS, parse_sums, sums_bytes
from shapecnn.storage.reading import name_os_errors, read_stored, sha256, sha256_of
from shapecnn.storage.unfinished import (
    MARK,
    RESUME,
    STAGED,
    STAGING,
    WORK,
    claim,
    discard,
    is_claimed,
    recorded_hashes,
    require_claimed,
)

LOCK = ".lock"
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}

FileHashes = Mapping[str, set[str]]
"""SHA-256 of the files that shapecnn wrote, by relative path; several for a file whose rewriting was interrupted."""


def publish(folder: Path, files: Mapping[str, bytes | Path], beside: Mapping[str, str] | None = None) -> None:
    """Publish a set of files with their ``SHA256SUMS``: after a crash either all of them are new or all are old.

    Args:
        folder: The destination, which the caller holds (:func:`exclusive`). It is made if missing.
        files: Content by file name. A path stands for a file on the same file system, which is moved; it serves
            content that should not be held in memory.
        beside: SHA-256 by relative path of the other files that belong to the set: those already in ``folder``, and
            those given as a path.

    Raises:
        UsageError: An earlier publication cannot be finished; see :func:`recover`.
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recover(folder)
    staging = folder / STAGING
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
    """Finish a publication that was committed and remove one that was not.

    Args:
        folder: The destination, which the caller holds (:func:`exclusive`): another writer could be staging files.
        overwrite: Remove or replace somebody else's files instead of raising.

    Raises:
        UsageError: A folder with the name of unfinished work, or a file in the way of a committed one, is not
            shapecnn's; or a committed file is not a regular file, also with ``overwrite``.
    """
    staging, staged = folder / STAGING, folder / STAGED
    for work in (staging, staged):
        require_claimed(work, overwrite)
    discard(staging)
    if staged.is_dir():
        _require_movable(folder, overwrite)
        _move_in(folder)


def _require_movable(folder: Path, overwrite: bool) -> None:
    """Raise UsageError unless all committed files are regular, and each destination is absent or shapecnn's."""
    hashes = written_hashes(folder)
    for file in reversed(_committed(folder)):  # SHA256SUMS first: without the old one, no old file is recognized
        if not stat.S_ISREG(file.lstat().st_mode):
            raise UsageError(f"{file} is not a regular file, which shapecnn never puts there: do not trust {folder}.")
        place = folder / file.name
        if not overwrite and os.path.lexists(place) and digest_among(place, hashes.get(file.name, set())) is None:
            raise UsageError(
                f"{place} is in the way of a file of an interrupted run, and shapecnn did not write it or it has "
                f"changed since. Move it away, or add --overwrite to replace it."
            )


def _move_in(folder: Path) -> None:
    for file in _committed(folder):
        file.replace(folder / file.name)
    discard(folder / STAGED)


def _committed(folder: Path) -> list[Path]:
    """List the committed files, ``SHA256SUMS`` last: until it moves, the hashes of the replaced files are on disk."""
    files = (file for file in (folder / STAGED).iterdir() if file.name != MARK)
    return sorted(files, key=lambda file: (file.name == SUMS, file.name))


def written_hashes(folder: Path) -> FileHashes:
    """Collect the hashes of all files that shapecnn wrote into a folder, published or not.

    Args:
        folder: Any path.

    Returns:
        SHA-256 by relative path, ``SHA256SUMS`` included; empty for a folder without valid hashes.
    """
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for place in {folder / SUMS, published(folder, SUMS)}:  # two between the commit of a publication and its moves
        with contextlib.suppress(OSError, ValueError):
            content = read_stored(place)
            for name, digest in parse_sums(content).items():
                hashes[name].add(digest)
            hashes[SUMS].add(sha256(content))
    for work in (WORK, RESUME):
        if is_claimed(folder / work):
            for name, digest in recorded_hashes(folder / work):
                hashes[name].add(digest)
    return hashes


def digest_among(path: Path, digests: set[str]) -> str | None:
    """Compute the SHA-256 of a file and look it up.

    Args:
        path: Any path.
        digests: SHA-256 hashes, 64 hexadecimal digits each.

    Returns:
        The hash of the file if it is one of ``digests``. None otherwise, and for what is not a readable regular file.
    """
    try:
        digest = sha256_of(path) if digests else None
    except OSError:
        return None
    return digest if digest in digests else None


def published(folder: Path, name: str) -> Path:
    """Locate the current version of a published file, without writing.

    Args:
        folder: The output folder.
        name: Path of the file relative to it.

    Returns:
        The path in ``folder``, or in its committed set while this has not been moved into place. It need not exist.
    """
    staged = folder / STAGED / name
    return staged if os.path.exists(staged) else folder / name  # os.path: False also for a name that is too long


@contextlib.contextmanager
def exclusive(folder: Path, overwrite: bool = False) -> Iterator[None]:
    """Hold a folder for writing, and finish what an interrupted writer committed there (:func:`recover`).

    A process that dies leaves no lock behind. Where the file system has no locks, a warning says so and the work goes
    on without one.

    Args:
        folder: The output folder, which is made if missing.
        overwrite: Remove or replace somebody else's files that are in the way of unfinished work.

    Yields:
        Nothing, while the lock is held.

    Raises:
        BusyError: Another process holds the folder.
        UsageError: The lock is a link, or unfinished work there is not shapecnn's; see :func:`recover`.
        OSError: The folder or the lock cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / LOCK).is_symlink():
        raise UsageError(f"{folder / LOCK} is a link, which shapecnn never makes: do not trust {folder}.")
    require_claimed(folder / WORK, overwrite)
    lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False)
    try:
        with name_os_errors(folder / LOCK):
            lock.acquire()
    except Timeout:
        raise BusyError(f"Another shapecnn is writing {folder}. Wait for it, or choose another output.") from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        warnings.warn(
            f"{folder} is on a file system without locks ({error.strerror}), so two commands could write there at the "
            f"same time: run one at a time.",
            Caution,
            stacklevel=3,
        )
    try:
        with name_os_errors(folder):
            recover(folder, overwrite)
            yield
    finally:
        lock.release()  # the lock file stays: if it were removed, two writers could lock two files of the same name
