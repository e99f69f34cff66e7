"""Folders of unfinished work inside an output folder, and the mark by which shapecnn recognizes its own.

The mark is a file in the folder. It also records the hashes of the files that the unfinished work has written beside
the folder, so that these are recognized as shapecnn's before they are published. A folder of such a name without the
mark belongs to somebody else and is never removed unless the user passes ``--overwrite``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.storage.atomic import create, write_atomic
from shapecnn.storage.checksums import SUMS, parse_lines, parse_sums, sum_line
from shapecnn.storage.reading import read_stored, sha256

WORK = ".partial"  # unfinished work of any command; removed when the work is finished
RESUME = "resume"  # unfinished work of a training; only ``train --resume`` opens it
STAGED = ".publish"  # a committed set of files that still has to be moved into place
STAGING = ".publish.tmp"  # a set of files before its commit
WORKS = (WORK, RESUME, STAGED, STAGING)

MARK = ".shapecnn"
"""Name of the file that marks a folder of unfinished work as shapecnn's."""

_MARKED = b"# Unfinished work of shapecnn, removed when it is done. Below: what it has put beside this folder.\n"


def claim(folder: Path) -> None:
    """Make a folder for unfinished work and mark it; a folder that is already marked stays as it is.

    Args:
        folder: One of :data:`WORKS` in an output folder.

    Raises:
        UsageError: The folder exists, and shapecnn did not make it.
    """
    require_claimed(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not _read_mark(folder):
        with create(folder / MARK) as file:
            file.write(_MARKED)


def require_claimed(folder: Path, overwrite: bool = False) -> None:
    """Require that a folder of unfinished work is absent or was made by shapecnn.

    Args:
        folder: One of :data:`WORKS` in an output folder.
        overwrite: Remove somebody else's folder or file instead of raising.

    Raises:
        UsageError: The folder is a link, also with ``overwrite``; or shapecnn did not make it.
    """
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link, which shapecnn never makes: do not trust {folder.parent}.")
    if not folder.exists() or is_claimed(folder):
        return
    if not overwrite:
        raise UsageError(
            f"{folder} was not written by this version of shapecnn. Move it away, or add --overwrite to replace it."
        )
    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def is_claimed(folder: Path) -> bool:
    """Tell whether shapecnn made a folder of unfinished work.

    Args:
        folder: Any path.

    Returns:
        True for a folder, not a link, that is empty, marked, or holds the hashes of published files.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names or _read_mark(folder):
        return True
    try:
        if names == {MARK}:
            return _MARKED.startswith(read_stored(folder / MARK))  # the process ended while it wrote the mark
        return bool(parse_sums(read_stored(folder / SUMS)))
    except (OSError, ValueError):
        return False


def _read_mark(folder: Path) -> bytes:
    """Read the mark of a folder with the hashes recorded in it; empty if the folder has no mark."""
    try:
        content = read_stored(folder / MARK)
    except OSError:
        return b""
    return content if content.startswith(_MARKED) else b""


def discard(folder: Path) -> None:
    """Remove a folder of unfinished work that shapecnn made, if it exists.

    The mark goes last: if the process is killed, the rest is still recognized as shapecnn's.

    Args:
        folder: A folder for which :func:`is_claimed` holds.

    Raises:
        OSError: Something in it cannot be removed.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def write_recorded(path: Path, name: str, data: bytes, work: Path) -> None:
    """Record the hash of a file in a folder of unfinished work, then write the file.

    Args:
        path: The file to write, as by :func:`shapecnn.storage.atomic.write_atomic`.
        name: Its path relative to the output folder.
        data: Its content.
        work: The folder of unfinished work, made by :func:`claim`; it also receives the temporary file.

    Raises:
        OSError: The record or the file cannot be written.
    """
    record_hash(work, name, sha256(data))
    write_atomic(path, data, work)


def record_hash(work: Path, name: str, digest: str) -> None:
    """Record the hash of a file in a folder of unfinished work, by which the file is recognized as shapecnn's.

    Args:
        work: The folder of unfinished work, made by :func:`claim`.
        name: Path of the file relative to the output folder.
        digest: Its SHA-256, 64 hexadecimal digits.

    Raises:
        OSError: The mark is missing, is a link, or cannot be written.
    """
    descriptor = os.open(work / MARK, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.write(descriptor, sum_line(name, digest).encode())
    finally:
        os.close(descriptor)


def recorded_hashes(work: Path) -> list[tuple[str, str]]:
    """Return the hashes that a folder of unfinished work records.

    Args:
        work: The folder of unfinished work.

    Returns:
        Relative path and SHA-256 of each recorded file, in the order of recording. If the process was killed, its last
        file may never have been written.
    """
    return parse_lines(_read_mark(work).removeprefix(_MARKED))
