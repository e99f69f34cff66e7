"""Publish a set of files into a folder atomically: readers see the complete old set or the complete new set.

Publishing has three steps, like a redo log: write the files into a staging subfolder, commit them by renaming the
subfolder, and move the files into place. If the process dies before the commit, the old set stays valid. After the
commit, readers find the new files by :func:`published`, and the next writer moves the remaining files into place. Each
set includes ``SHA256SUMS``, against which :mod:`shapecnn.storage.sealed` checks the files.

Only local folders are written here; :mod:`shapecnn.storage.outputs` publishes at URLs. Nothing is written through a
link, and only regular files are read.
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
from shapecnn.storage.objects.cache import absent_file
from shapecnn.storage.objects.snapshot import latest
from shapecnn.storage.objects.url import Url
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
"""Relative path of each file that shapecnn wrote, mapped to the possible SHA-256 hashes of the file.

A file has several possible hashes if shapecnn was interrupted while replacing it."""


def publish(folder: Path, files: Mapping[str, bytes | Path], beside: Mapping[str, str] | None = None) -> None:
    """Write files and their ``SHA256SUMS`` into a folder atomically: after a crash, all files are old or all are new.

    Args:
        folder: The destination, which is created if missing. The caller has locked it with :func:`exclusive`.
        files: Content of each file, by file name. For content too large for memory, pass the path of a file on the same
            file system; it is moved into ``folder``.
        beside: SHA-256 hash (hex) of each file whose content is not given in ``files``, by relative path, for
            ``SHA256SUMS``: of files that are already in ``folder``, and of files given as a path in ``files``.

    Raises:
        UsageError: Files of an interrupted earlier call cannot be moved into place; see :func:`recover`.
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
    """Clean up after an interrupted :func:`publish`: move committed files into place and delete uncommitted ones.

    Args:
        folder: The destination of :func:`publish`. The caller has locked it with :func:`exclusive`, because another
            process could be staging files there.
        overwrite: Remove or replace files that shapecnn did not write, instead of raising UsageError.

    Raises:
        UsageError: shapecnn did not create the staging subfolder, or did not write a file that a committed file would
            replace. Also raised, even with ``overwrite``, if a committed file is not a regular file.
    """
    staging, staged = folder / STAGING, folder / STAGED
    for work in (staging, staged):
        require_claimed(work, overwrite)
    discard(staging)
    if staged.is_dir():
        _require_movable(folder, overwrite)
        _move_in(folder)


def _require_movable(folder: Path, overwrite: bool) -> None:
    """Raise UsageError unless all complete files of an interrupted command can be moved into ``folder``.

    They must be regular files and, without ``overwrite``, replace only unchanged files that shapecnn wrote.
    """
    hashes = written_hashes(folder)
    for file in reversed(_committed(folder)):  # SHA256SUMS first: the old SHA256SUMS identifies the old files
        if not stat.S_ISREG(file.lstat().st_mode):
            raise UsageError(
                f"{file} is not a regular file, although shapecnn writes only regular files: do not trust {folder}."
            )
        place = folder / file.name
        if not overwrite and os.path.lexists(place) and digest_among(place, hashes.get(file.name, set())) is None:
            raise UsageError(
                f"Resuming the interrupted run would overwrite {place}, which shapecnn did not write or which has "
                f"changed since. Move it away, or add --overwrite."
            )


def _move_in(folder: Path) -> None:
    for file in _committed(folder):
        file.replace(folder / file.name)
    discard(folder / STAGED)


def _committed(folder: Path) -> list[Path]:
    """Return the paths of the committed files in the order in which they are moved, ``SHA256SUMS`` last.

    Until the new ``SHA256SUMS`` moves into place, the old one still identifies the old files.
    """
    files = (file for file in (folder / STAGED).iterdir() if file.name != MARK)
    return sorted(files, key=lambda file: (file.name == SUMS, file.name))


def written_hashes(folder: Path) -> FileHashes:
    """Return the recorded hashes of all files that shapecnn wrote into a folder, including unfinished work.

    Args:
        folder: Any path.

    Returns:
        SHA-256 hashes of each file, by relative path; ``SHA256SUMS`` itself is included. A file has several hashes if
        shapecnn was interrupted while replacing it. Empty for a folder without recorded hashes.
    """
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for place in {folder / SUMS, published(folder, SUMS)}:  # the two differ after a commit, until SHA256SUMS is moved
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
    """Return the SHA-256 hash of a file if it is one of the given hashes, otherwise None.

    Args:
        path: Any path.
        digests: SHA-256 hashes, 64 hexadecimal digits each.

    Returns:
        The hash of the file (64 hexadecimal digits); None if it is not in ``digests`` or if the path is not a readable
        regular file.
    """
    try:
        digest = sha256_of(path) if digests else None
    except OSError:
        return None
    return digest if digest in digests else None


def published(folder: Path, name: str) -> Path:
    """Return the path of the current version of a published file, even if publishing was interrupted.

    Args:
        folder: The output folder, or the URL of one.
        name: Path of the file relative to ``folder``.

    Returns:
        The path in the subfolder of committed files if the file has not been moved into place yet, otherwise the path
        in ``folder``. The file may be missing. For a URL, the path of a local copy, which is fetched if need be.

    Raises:
        ObjectStoreError: The URL cannot be read.
    """
    if isinstance(folder, Url):
        snapshot = latest(folder)
        return absent_file() if snapshot is None else snapshot.path(name)
    staged = folder / STAGED / name
    return staged if os.path.exists(staged) else folder / name  # unlike Path.exists, no error for a too long name


@contextlib.contextmanager
def exclusive(folder: Path, overwrite: bool = False) -> Iterator[None]:
    """Lock a folder for writing by this process, and clean up after an interrupted writer (:func:`recover`).

    The system releases the lock if the process dies. If the file system does not support locks, the function warns and
    continues without a lock.

    Args:
        folder: The output folder, which is created if missing.
        overwrite: Remove or replace files that shapecnn did not write and that block the cleanup.

    Yields:
        None, while the folder is locked.

    Raises:
        BusyError: Another process has locked the folder.
        UsageError: The lock file is a link, or the cleanup would remove or replace files that shapecnn did not write;
            see :func:`recover`.
        OSError: The folder or the lock file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / LOCK).is_symlink():
        raise UsageError(f"{folder / LOCK} is a link, but shapecnn never creates links: do not trust {folder}.")
    require_claimed(folder / WORK, overwrite)
    lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False)
    try:
        with name_os_errors(folder / LOCK):
            lock.acquire()
    except Timeout:
        raise BusyError(
            f"Another shapecnn process is writing to {folder}. Wait for it, or choose another output."
        ) from None
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
        lock.release()  # keep the lock file: otherwise two processes could lock different files of this name
