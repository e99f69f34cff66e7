"""Create and remove the subfolders of an output folder that hold unfinished work, each identified by a mark file.

The mark file shows that shapecnn created the subfolder. It also lists the hashes of the files that the unfinished
command has already written into the output folder, so that the next command recognizes these files as shapecnn's. A
subfolder without a mark file is removed only if the user passes ``--overwrite``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.storage.atomic import create, write_atomic
from shapecnn.storage.checksums import SUMS, parse_lines, parse_sums, sum_line
from shapecnn.storage.reading import read_stored, sha256

WORK = ".partial"  # subfolder with the unfinished work of any command; removed when the command finishes
RESUME = "resume"  # subfolder with the state of an unfinished training; only ``train --resume`` opens it
STAGED = ".publish"  # subfolder of committed files that still have to be moved into the output folder
STAGING = ".publish.tmp"  # subfolder of files that are not committed yet
WORKS = (WORK, RESUME, STAGED, STAGING)

RESUME_REMEDY = "Restore the file from a copy, or start a new training in another folder."
"""Sentence that ends the error message for a damaged file in the subfolder of an unfinished training."""

MARK = ".shapecnn"
"""Name of the mark file, which shows that shapecnn created a subfolder of unfinished work."""

_MARKED = b"# Unfinished work of shapecnn, removed when it is done. Below: what it has put beside this folder.\n"


def claim(folder: Path) -> None:
    """Create a subfolder for unfinished work and its mark file; an existing mark file stays unchanged.

    Args:
        folder: Path of the subfolder. Its name is one of :data:`WORKS`.

    Raises:
        UsageError: The subfolder exists, and shapecnn did not create it.
    """
    require_claimed(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not _read_mark(folder):
        with create(folder / MARK) as file:
            file.write(_MARKED)


def require_claimed(folder: Path, overwrite: bool = False) -> None:
    """Raise UsageError if a subfolder for unfinished work exists that shapecnn did not create.

    Args:
        folder: Path of the subfolder. Its name is one of :data:`WORKS`.
        overwrite: Remove a folder or file that shapecnn did not create, instead of raising UsageError.

    Raises:
        UsageError: shapecnn did not create the subfolder, or the path is a link (refused even with ``overwrite``).
    """
    if folder.is_symlink():
        raise UsageError(
            f"{folder} is a link that shapecnn did not create: do not trust {folder.parent}, choose another folder."
        )
    if not folder.exists() or is_claimed(folder):
        return
    if not overwrite:
        raise UsageError(
            f"{folder} was not written by this version of shapecnn. Move it away, or add --overwrite to replace it."
        )
    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def is_claimed(folder: Path) -> bool:
    """Tell whether shapecnn may remove a folder: the folder is empty, or shapecnn created it for unfinished work.

    Args:
        folder: Any path.

    Returns:
        True if the folder is empty, or if it contains a mark file or a ``SHA256SUMS`` that shapecnn wrote. False for
        any other folder, for a file, and for a symbolic link.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names or _read_mark(folder):
        return True
    try:
        if names == {MARK}:  # an incomplete mark file, if the process died while writing it
            return _MARKED.startswith(read_stored(folder / MARK))
        return bool(parse_sums(read_stored(folder / SUMS)))
    except (OSError, ValueError):
        return False


def _read_mark(folder: Path) -> bytes:
    """Read the mark file of a folder, with the hashes listed in it; return empty bytes without a mark file."""
    try:
        content = read_stored(folder / MARK)
    except OSError:
        return b""
    return content if content.startswith(_MARKED) else b""


def discard(folder: Path) -> None:
    """Remove a subfolder of unfinished work that shapecnn created, if it exists.

    The mark file is removed last. If the process is killed, the next command still recognizes the remaining files as
    shapecnn's.

    Args:
        folder: A folder for which :func:`is_claimed` returns True, or a path that does not exist.

    Raises:
        OSError: A file or folder inside cannot be removed.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def write_recorded(path: Path, name: str, data: bytes, work: Path) -> None:
    """Write an output file atomically, after adding its hash to the mark file of the unfinished work.

    Args:
        path: The file to write.
        name: Path of the file relative to the output folder.
        data: Content of the file.
        work: Subfolder of unfinished work, created by :func:`claim`. It also holds the temporary file.

    Raises:
        OSError: The mark file or the output file cannot be written.
    """
    record_hash(work, name, sha256(data))
    write_atomic(path, data, work)


def move_recorded(source: Path, path: Path, name: str, digest: str, work: Path) -> None:
    """Move a complete file to its place in the output folder, after adding its hash to the mark file.

    Args:
        source: The file to move, on the file system of the output folder.
        path: Its place. Missing parent folders are created, and an existing file is replaced.
        name: Path of the file relative to the output folder.
        digest: SHA-256 hash of the file, 64 hexadecimal digits.
        work: Subfolder of unfinished work, created by :func:`claim`.

    Raises:
        OSError: The mark file cannot be written, or the file cannot be moved.
    """
    record_hash(work, name, digest)
    try:
        source.replace(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        source.replace(path)


def record_hash(work: Path, name: str, digest: str) -> None:
    """Add the hash of an output file to the mark file of the unfinished work.

    The hash identifies the file as shapecnn's before ``SHA256SUMS`` lists it.

    Args:
        work: Subfolder of unfinished work, created by :func:`claim`.
        name: Path of the output file relative to the output folder.
        digest: SHA-256 hash of the output file, 64 hexadecimal digits.

    Raises:
        OSError: The mark file is missing, is a link, or cannot be written.
    """
    descriptor = os.open(work / MARK, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.write(descriptor, sum_line(name, digest).encode())
    finally:
        os.close(descriptor)


def recorded_hashes(work: Path) -> list[tuple[str, str]]:
    """Return the hashes of output files listed in the mark file of unfinished work.

    Args:
        work: Subfolder of unfinished work.

    Returns:
        A pair for each file, in the order of recording: path relative to the output folder, and SHA-256 hash (64
        hexadecimal digits). The last file is missing if the process was killed before it wrote the file.
    """
    return parse_lines(_read_mark(work).removeprefix(_MARKED))
