"""One file that a person names, such as a page: whether it may be written, and how.

A page ends in a comment with the hash of all before it. One that is as it was written is replaced without a question;
anything else is somebody's. Where a file of another kind is written, whoever writes it says how it is known again. A
pipe or a device, ``/dev/stdout`` among them, is written into and stays what it is.
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
from shapecnn.storage.publishing import write_atomic
from shapecnn.storage.reading import named, read_stored, sha256

PATIENCE = 10.0  # seconds that a pipe may be without its reader, which may be just about to start
_SIGNED = re.compile(rb"<!-- written by shapecnn, ([0-9a-f]{64}) -->\n\Z")
_STREAMS = ("/dev/", "/proc/self/fd/")  # where links lead to what is open, and may be written into


def is_page(content: bytes) -> bool:
    """Whether a file is a page as :func:`write_page` wrote it."""
    found = _SIGNED.search(content[-200:])
    return found is not None and sha256(content[: -len(found[0])]) == found[1].decode()


def require_file(path: Path, overwrite: bool = False, is_own: Callable[[bytes], bool] = is_page) -> None:
    """Raise UsageError unless ``path`` is absent, a file as shapecnn wrote it, a pipe or a device.

    Args:
        path: What a person named.
        overwrite: Whether it may be any file; a link it may not be.
        is_own: Whether the content of a file is as shapecnn wrote it.
    """
    if is_stream(path) or not os.path.lexists(path):
        return
    if path.is_symlink():
        raise UsageError(f"{path} is a link, and nothing is written through one. Name the file itself, or another one.")
    if not path.is_file():
        raise UsageError(f"{path} is not a file. Name another one.")
    if not overwrite and not _holds_own(path, is_own):
        raise UsageError(
            f"{path} is there, and not as shapecnn wrote it. Name another file, or add --overwrite to replace it."
        )


def write_page(path: Path, page: str, overwrite: bool = False) -> None:
    """Write a page of HTML.  Raises UsageError as :func:`require_file` does, which is to be asked before any work."""
    content = page.encode("utf-8", "backslashreplace")  # a name may hold a byte that is no UTF-8
    write_file(path, content + f"<!-- written by shapecnn, {sha256(content)} -->\n".encode(), overwrite)


def write_file(path: Path, content: bytes, overwrite: bool = False) -> None:
    """Write ``content`` into a pipe or a device, or else as a whole file, which keeps the permissions it had.

    Raises UsageError as :func:`require_file` does.
    """
    require_file(path, overwrite)
    with named(path):
        if is_stream(path):
            with os.fdopen(_open_stream(path), "wb") as file:
                file.write(content)
        else:
            write_atomic(path, content, mode=stat.S_IMODE(path.stat().st_mode) if path.exists() else None)


def _open_stream(path: Path) -> int:
    """A descriptor to write into a pipe or a device; a pipe is given :data:`PATIENCE` for its reader to come."""
    kind = path.stat()
    for standard in (1, 2):  # /dev/stdout may be a socket, which cannot be opened by its name
        if stat.S_ISSOCK(kind.st_mode) and os.path.samestat(kind, os.fstat(standard)):
            return os.dup(standard)
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC
    until = time.monotonic() + PATIENCE
    while True:
        try:
            stream = os.open(path, flags | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(kind.st_mode):
                raise
            if time.monotonic() > until:
                error.strerror = "it is a pipe that nobody reads; start its reader first"
                raise
        time.sleep(0.1)
    os.set_blocking(stream, True)  # or a full pipe would be an error
    return stream


def is_stream(path: Path) -> bool:
    """Whether ``path`` is a pipe or a device, or leads to a stream that is open, such as ``/dev/stdout``."""
    try:
        status = path.stat()
    except OSError:
        return False
    if stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
        return not path.is_symlink() or str(path).startswith(_STREAMS)
    return path.is_symlink() and str(path).startswith(_STREAMS)  # /dev/stdout leads to the file that it was sent to


def _holds_own(path: Path, is_own: Callable[[bytes], bool]) -> bool:
    try:
        return is_own(read_stored(path))
    except OSError:
        return False
