"""Single files that the user names, such as an HTML page: whether one may be written, and how.

A page ends with a comment that has the hash of everything before it. A page that matches its hash is replaced; any
other file belongs to somebody else and needs ``--overwrite``. For files of other kinds the caller passes the test. A
pipe or a device, such as ``/dev/stdout``, is written to and never replaced.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.reading import name_os_errors, read_stored, sha256

PATIENCE = 10.0  # seconds to wait for the reader of a pipe, which may be about to start
_SIGNED = re.compile(rb"<!-- written by shapecnn, ([0-9a-f]{64}) -->\n\Z")
_STREAMS = ("/dev/", "/proc/self/fd/")  # links here lead to open streams, which may be written to


def is_page(content: bytes) -> bool:
    """Tell whether a file is a page that has not changed since :func:`write_page` wrote it.

    Args:
        content: The content of the file.

    Returns:
        True if the file ends with the hash of everything before.
    """
    signature = _SIGNED.search(content[-200:])
    return signature is not None and sha256(content[: -len(signature[0])]) == signature[1].decode()


def require_file(path: Path, overwrite: bool = False, is_own: Callable[[bytes], bool] = is_page) -> None:
    """Require that a path may be written: it is absent, a file as shapecnn wrote it, a pipe or a device.

    Args:
        path: The path that the user passed.
        overwrite: Accept any regular file; a link is still refused.
        is_own: Tells from the content of a file whether it is as shapecnn wrote it.

    Raises:
        UsageError: The path is a link, a folder, or a file that shapecnn did not write or that has changed.
    """
    if is_stream(path) or not os.path.lexists(path):
        return
    if path.is_symlink():
        raise UsageError(f"{path} is a link, and shapecnn does not write through links. Name the file itself.")
    if not path.is_file():
        raise UsageError(f"{path} is not a file. Name another.")
    if not overwrite and not _holds_own(path, is_own):
        raise UsageError(
            f"{path} exists, and shapecnn did not write it or it has changed since. Name another file, or add "
            f"--overwrite to replace it."
        )


def write_page(path: Path, page: str, overwrite: bool = False) -> None:
    """Write an HTML page, signed with its hash.

    Args:
        path: A file, a pipe or a device. Call :func:`require_file` on it before any work.
        page: The HTML text.
        overwrite: Replace any regular file.

    Raises:
        UsageError: The path may not be written; see :func:`require_file`.
        OSError: The page cannot be written; the error names ``path``.
    """
    content = page.encode("utf-8", "backslashreplace")  # the name of a file may contain bytes that are not UTF-8
    write_file(path, content + f"<!-- written by shapecnn, {sha256(content)} -->\n".encode(), overwrite)


def write_file(path: Path, content: bytes, overwrite: bool = False) -> None:
    """Write content to a pipe or a device, or as a whole file that keeps the permissions of the one it replaces.

    Args:
        path: A file, a pipe or a device. Call :func:`require_file` on it before any work.
        content: The new content.
        overwrite: Replace any regular file. Without it, only a page that has not changed is replaced.

    Raises:
        UsageError: The path may not be written; see :func:`require_file`.
        OSError: The content cannot be written; the error names ``path``.
    """
    require_file(path, overwrite)
    with name_os_errors(path):
        if is_stream(path):
            with os.fdopen(_open_stream(path), "wb") as file:
                file.write(content)
        else:
            write_atomic(path, content, mode=stat.S_IMODE(path.stat().st_mode) if path.exists() else None)


def _open_stream(path: Path) -> int:
    """Open a pipe or a device for writing and return the descriptor; wait up to :data:`PATIENCE` for a reader."""
    status = path.stat()
    for standard in (1, 2):  # /dev/stdout may be a socket, which cannot be opened by name
        if stat.S_ISSOCK(status.st_mode) and os.path.samestat(status, os.fstat(standard)):
            return os.dup(standard)
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            stream = os.open(path, flags | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(status.st_mode):
                raise
            if time.monotonic() > deadline:
                error.strerror = "it is a pipe that nobody reads; start its reader first"
                raise
        time.sleep(0.1)
    os.set_blocking(stream, True)  # otherwise writing to a full pipe would fail
    return stream


def is_stream(path: Path) -> bool:
    """Tell whether a path is a pipe or a device, or leads to an open stream.

    Args:
        path: Any path.

    Returns:
        True for a pipe, a character device, and links such as ``/dev/stdout``, whatever they lead to.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    if stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
        return not path.is_symlink() or str(path).startswith(_STREAMS)
    return path.is_symlink() and str(path).startswith(_STREAMS)  # /dev/stdout leads to a file if redirected


def _holds_own(path: Path, is_own: Callable[[bytes], bool]) -> bool:
    try:
        return is_own(read_stored(path))
    except OSError:
        return False
