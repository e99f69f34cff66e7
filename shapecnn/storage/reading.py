"""Read and hash stored files safely: regular files only, of limited size, and JSON with finite numbers only."""

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

# Largest number of digits of an integer in JSON. Above 4,300, Python raises an error that only programmers understand.
_MOST_DIGITS = 1000


TOO_MANY_OPEN = errno.EMFILE, errno.ENFILE
"""Errors of the system that say nothing about the file that could not be opened."""

_CHUNK = 64 << 20  # bytes of a mapped file that are hashed at a time, a multiple of every page size

LARGEST = 8 << 30  # largest size in bytes of a file that is read into memory


def sha256(data: bytes | mmap.mmap | memoryview) -> str:
    """Compute the SHA-256 hash of bytes or of a mapped file, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_map(content: bytes | mmap.mmap) -> str:
    """Compute the SHA-256 hash of a large mapped file, whose pages then take no memory until they are read again.

    The pages could be taken back by the system anyway, but until then they count as memory of the process: 1.6 GB for
    an index of 1,000,000 shapes.

    Args:
        content: Content of a file from :func:`map_stored`.

    Returns:
        The hash as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with memoryview(content) as whole:
        for start in range(0, len(whole), _CHUNK):
            digest.update(whole[start : start + _CHUNK])
            release(content, start)
    return digest.hexdigest()


def release(content: bytes | mmap.mmap, start: int = 0) -> None:
    """Give up the memory of the pages of a mapped file; they are read again when they are needed.

    Args:
        content: Content of a file from :func:`map_stored`.
        start: Place of the first byte whose page is given up, a multiple of every page size.
    """
    if isinstance(content, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED, start)


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 hash of a file of any size without loading the whole file into memory.

    Args:
        path: A regular file.

    Returns:
        The hash as 64 hexadecimal digits.

    Raises:
        OSError: The path is not a regular file, or cannot be read.
    """
    with open_stored(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_stored(path: Path) -> BufferedReader:
    """Open a regular file for reading; refuse links, pipes and devices.

    Args:
        path: The file.

    Returns:
        The open file, in binary mode.

    Raises:
        OSError: The file cannot be opened; or the path is a link, a pipe or a device. Reading a pipe or a device might
            never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise OSError(errno.ELOOP, "the path is a link", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "the path is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def describe_non_file(path: Path, one: str, several: str) -> str:
    """Return the message for a path that is not a regular file: missing, a folder, or a special file.

    Args:
        path: The path that the user passed, which is not a regular file.
        one: Singular noun phrase for the expected kind of file, such as ``a mesh file``.
        several: Plural noun phrase for the expected kind of file, such as ``the mesh files``.

    Returns:
        The reason and the remedy. The caller puts the path and a colon in front.
    """
    if not path.exists():
        return "there is no such file"
    return f"it is a folder: pass {several} in it" if path.is_dir() else f"it is not a regular file: pass {one}"


@contextlib.contextmanager
def name_os_errors(path: Path) -> Iterator[None]:
    """Add a path to each OSError that the ``with`` block raises without a path, such as "disk full".

    Args:
        path: The file or folder that the block works on.

    Yields:
        None.

    Raises:
        OSError: The block raised it; its ``filename`` is set.
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
        The content of the file.

    Raises:
        OSError: The path is not a regular file, or the file is larger than :data:`LARGEST` or cannot be read.
    """
    with open_stored(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise OSError(errno.EFBIG, f"the file is larger than the limit of {LARGEST / 1e9:.0f} GB")
        return file.read()


def map_stored(path: Path) -> bytes | mmap.mmap:
    """Memory-map a regular file of any size, read-only.

    The mapped content stays the same if another file replaces the file at this path. The mapped content changes if
    somebody writes to the mapped file itself.

    Args:
        path: The file.

    Returns:
        The mapped content; empty bytes for an empty file.

    Raises:
        OSError: The path is not a regular file, or cannot be mapped.
    """
    with open_stored(path) as file:
        if not os.fstat(file.fileno()).st_size:
            return b""  # the system cannot map an empty file
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def allow_open_files(count: int) -> None:
    """Raise the limit of open files of this process to a number, or as far as the system permits.

    Args:
        count: Number of files that will be open at a time. A file stays open as long as it is mapped.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def read_json(path: Path) -> Any:
    """Read a JSON value from a file; refuse NaN and infinite numbers.

    Args:
        path: A regular file.

    Returns:
        The JSON value as dicts, lists, strings, finite numbers, booleans and None.

    Raises:
        StoredDataError: The file cannot be read or is not valid JSON.
    """
    try:
        return parse_json(read_stored(path))
    except (OSError, ValueError) as error:
        raise StoredDataError(
            f"{path} cannot be read ({error}). Restore the file from a copy, or make it again."
        ) from None


def parse_json(data: bytes) -> Any:
    """Parse JSON text; refuse NaN, infinite numbers and integers of more than 1,000 digits.

    Args:
        data: JSON in UTF-8, UTF-16 or UTF-32.

    Returns:
        The JSON value as dicts, lists, strings, finite numbers, booleans and None.

    Raises:
        ValueError: The data is not JSON, is nested too deeply, or has a number that is not finite or an integer of more
            than 1,000 digits.
    """
    try:
        return json.loads(data, parse_constant=_finite, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise ValueError("the JSON value is nested too deeply") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text):,} digits, more than the limit of {_MOST_DIGITS:,}")
    return int(text)


def json_bytes(value: Any) -> bytes:
    r"""Encode a value as indented JSON with a final newline; equal values give identical bytes.

    JSON cannot hold bytes that are not UTF-8. Such a byte, in a file name, is written as an escape such as ``\xe9``.

    Args:
        value: Nested dicts, lists, strings, numbers, booleans and None.

    Returns:
        The JSON text in UTF-8.

    Raises:
        ValueError: A number is NaN or infinite. JSON cannot represent these.
    """
    return (json.dumps(encodable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
