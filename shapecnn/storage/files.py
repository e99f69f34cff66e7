"""Write single files, such as an HTML page, to a path of the user, but not over files that shapecnn did not write.

Each HTML page and each picture ends with a comment that holds the hash of the bytes before it; programs that show
pictures ignore what follows the end of a picture. A file that still matches its hash is replaced; any other file is
replaced only with ``--overwrite``. For files without such a comment, the caller passes the function that recognizes a
file of shapecnn. A pipe or a device, such as ``/dev/stdout``, is written to and never replaced.
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

PATIENCE = 10.0  # seconds to wait for another process to open a pipe for reading
_SIGNED = re.compile(rb"<!-- written by shapecnn, ([0-9a-f]{64}) -->\n\Z")
_STREAMS = ("/dev/", "/proc/self/fd/")  # links in these folders lead to open streams, so writing through them is safe


def is_page(content: bytes) -> bool:
    """Tell whether :func:`write_page` or :func:`write_signed` wrote a file, and nobody edited it afterwards.

    Args:
        content: The content of the file.

    Returns:
        True if the file ends with the signature comment and the hash in the comment matches the rest of the file.
    """
    signature = _SIGNED.search(content[-200:])
    return signature is not None and sha256(content[: -len(signature[0])]) == signature[1].decode()


def require_file(path: Path, overwrite: bool = False, is_own: Callable[[bytes], bool] = is_page) -> None:
    """Raise UsageError unless a path can be written without destroying a file that shapecnn did not write.

    A path can be written if it does not exist, if it is an unedited file that shapecnn wrote, or if it is a pipe or a
    device.

    Args:
        path: The path that the user passed.
        overwrite: Accept any regular file. A link is still refused.
        is_own: Function that takes the content of a file and returns True if shapecnn wrote the file and nobody edited
            it afterwards.

    Raises:
        UsageError: The path is a link, a folder, or a file that shapecnn did not write or that was edited afterwards.
    """
    if is_stream(path) or not os.path.lexists(path):
        return
    if path.is_symlink():
        raise UsageError(f"{path} is a link, and shapecnn does not write through links. Pass the path of the file.")
    if not path.is_file():
        raise UsageError(f"{path} is a folder or a special file, not a regular file. Choose another path.")
    if not overwrite and not _holds_own(path, is_own):
        raise UsageError(
            f"{path} exists, but shapecnn did not write the file, or the file has changed since. Choose another path, "
            f"or add --overwrite to replace the file."
        )


def write_page(path: Path, page: str, overwrite: bool = False) -> None:
    """Write an HTML page that ends with a comment holding the hash of the page.

    Args:
        path: A file, a pipe or a device. Call :func:`require_file` with this path before long computations.
        page: The HTML text.
        overwrite: Replace any regular file.

    Raises:
        UsageError: The path cannot be written safely; see :func:`require_file`.
        OSError: The page cannot be written; the error names ``path``.
    """
    content = page.encode("utf-8", "backslashreplace")  # file names in the page may contain bytes that are not UTF-8
    write_signed(path, content, overwrite)


def write_signed(path: Path, content: bytes, overwrite: bool = False) -> None:
    """Write bytes, such as a picture, that end with a comment holding the hash of the bytes before it.

    Args:
        path: A file, a pipe or a device. Call :func:`require_file` with this path before long computations.
        content: The bytes, in a format whose readers ignore what follows its end: HTML, PNG, JPEG, GIF or WebP.
        overwrite: Replace any regular file.

    Raises:
        UsageError: The path cannot be written safely; see :func:`require_file`.
        OSError: The file cannot be written; the error names ``path``.
    """
    write_file(path, content + f"<!-- written by shapecnn, {sha256(content)} -->\n".encode(), overwrite)


def write_file(path: Path, content: bytes, overwrite: bool = False, is_own: Callable[[bytes], bool] = is_page) -> None:
    """Write bytes to a regular file (atomically), a pipe or a device.

    If a regular file is replaced, the new file gets the permissions of the old file.

    Args:
        path: A file, a pipe or a device. Call :func:`require_file` with this path before long computations.
        content: The bytes to write.
        overwrite: Replace any regular file. If False, only an unedited file that shapecnn wrote is replaced.
        is_own: Function that recognizes such a file by its content; see :func:`require_file`.

    Raises:
        UsageError: The path cannot be written safely; see :func:`require_file`.
        OSError: The content cannot be written; the error names ``path``.
    """
    require_file(path, overwrite, is_own)
    with name_os_errors(path):
        if is_stream(path):
            with os.fdopen(_open_stream(path), "wb") as file:
                file.write(content)
        else:
            write_atomic(path, content, mode=stat.S_IMODE(path.stat().st_mode) if path.exists() else None)


def _open_stream(path: Path) -> int:
    """Open a pipe or a device for writing and return the file descriptor.

    If no process reads from the pipe yet, the function waits up to :data:`PATIENCE` seconds.
    """
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
                error.strerror = "no process reads from this pipe; start the reading program first"
                raise
        time.sleep(0.1)
    os.set_blocking(stream, True)  # in non-blocking mode, writing to a full pipe would fail
    return stream


def is_stream(path: Path) -> bool:
    """Tell whether a path is a pipe, a character device, or a link to an open stream such as ``/dev/stdout``.

    Args:
        path: Any path.

    Returns:
        True for a pipe, a character device, and a link to an open stream, even if the stream is redirected to a file.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    if stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
        return not path.is_symlink() or str(path).startswith(_STREAMS)
    return path.is_symlink() and str(path).startswith(_STREAMS)  # a redirected /dev/stdout is a link to a file


def _holds_own(path: Path, is_own: Callable[[bytes], bool]) -> bool:
    try:
        return is_own(read_stored(path))
    except OSError:
        return False
