"""Reading of stored files: only regular files of bounded size, their hashes, and JSON with finite numbers."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import mmap
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from shapecnn.errors import StoredDataError, encodable

_MOST_DIGITS = 1000  # of an integer in JSON; Python refuses more than 4,300 with a message for programmers


LARGEST = 8 << 30  # bytes of a file that is read into memory


def sha256(data: bytes | mmap.mmap) -> str:
    """Compute the SHA-256 of data.

    Args:
        data: The content of a file.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(data).hexdigest()


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file of any size.

    Args:
        path: A regular file.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: The path is not a regular file, or cannot be read.
    """
    with open_stored(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_stored(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Args:
        path: The file.

    Returns:
        The open file, in binary mode.

    Raises:
        OSError: The file cannot be opened; or the path is a link, or a pipe or device, which might never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def describe_non_file(path: Path, one: str, several: str) -> str:
    """Describe why a path cannot be read as a file, and what to name instead.

    Args:
        path: The path that the user passed, which is not a file.
        one: What is needed, such as ``a mesh file``.
        several: The same in the plural, such as ``the mesh files``.

    Returns:
        The reason, to follow the path and a colon in a message.
    """
    if not path.exists():
        return "there is no such file"
    return f"it is a folder: name {several} in it" if path.is_dir() else f"it is not a file: name {one}"


@contextlib.contextmanager
def name_os_errors(path: Path) -> Iterator[None]:
    """Add a path to each OSError that names no file, such as that of a write to a full disk.

    Args:
        path: The file or folder that the code works on.

    Yields:
        Nothing, around that code.

    Raises:
        OSError: The code raised it; its ``filename`` is set.
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def read_stored(path: Path) -> bytes:
    """Read a regular file into memory.

    Args:
        path: The file, of at most :data:`LARGEST` bytes.

    Returns:
        Its content.

    Raises:
        OSError: The path is not a regular file, the file is larger, or it cannot be read.
    """
    with open_stored(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise OSError(errno.EFBIG, f"it has more than {LARGEST / 1e9:.0f} GB")
        return file.read()


def map_stored(path: Path) -> bytes | mmap.mmap:
    """Map a regular file of any size: the system loads pages when they are used and may drop them from memory.

    The map keeps its content if another file takes the path; it changes if this file is written to.

    Args:
        path: The file.

    Returns:
        The content, read-only.

    Raises:
        OSError: The path is not a regular file, or cannot be mapped.
    """
    with open_stored(path) as file:
        if not os.fstat(file.fileno()).st_size:
            return b""  # an empty file cannot be mapped
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def read_json(path: Path) -> Any:
    """Read a JSON value from a file.

    Args:
        path: A regular file.

    Returns:
        The value; all its numbers are finite.

    Raises:
        StoredDataError: The file is damaged or cannot be read.
    """
    try:
        return parse_json(read_stored(path))
    except (OSError, ValueError) as error:
        raise StoredDataError(f"{path} cannot be read ({error}). Put it back from a copy, or make it again.") from None


def parse_json(data: bytes) -> Any:
    """Parse a JSON value.

    Args:
        data: JSON in UTF-8, UTF-16 or UTF-32.

    Returns:
        The value; all its numbers are finite.

    Raises:
        ValueError: The data is not JSON, is nested too deeply, or has a number that is not finite or an integer of more
            than 1,000 digits.
    """
    try:
        return json.loads(data, parse_constant=_finite, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text):,} digits")
    return int(text)


def json_bytes(value: Any) -> bytes:
    r"""Write a value as indented JSON with a final newline; the same value gives the same bytes.

    A byte of a file name that is not UTF-8 is written as ``\xe9``, because JSON cannot hold it.

    Args:
        value: Dicts, lists, strings, numbers, booleans, and None for what is undefined.

    Returns:
        UTF-8 text.

    Raises:
        ValueError: A number is NaN or infinite, which JSON does not have.
    """
    return (json.dumps(encodable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
