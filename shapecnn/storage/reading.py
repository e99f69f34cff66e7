"""What is stored, read: regular files alone, of bounded size; their hashes, and JSON that is checked."""

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

_MOST_DIGITS = 1000  # of an integer in JSON: Python itself refuses 4,300, in words of its own


LARGEST = 8 << 30  # bytes of a file that is read whole


def sha256(data: bytes | mmap.mmap) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(path: Path) -> str:
    """That of a file, however large.  Raises OSError as :func:`open_stored` does."""
    with open_stored(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_stored(path: Path) -> BufferedReader:
    """A regular file, to be read.  Raises OSError, also for a link, and for what might never end: a pipe, a device."""
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


def why_no_file(path: Path, one: str, several: str) -> str:
    """Say why a path that a person gave is no file, and what to give instead, such as ``a mesh file``."""
    if not path.exists():
        return "there is no such file"
    return f"it is a folder: name {several} in it" if path.is_dir() else f"it is not a file: name {one}"


@contextlib.contextmanager
def named(place: Path) -> Iterator[None]:
    """Let an OSError that names no file, such as that of writing to a full disk, name ``place``."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(place)
        raise


def read_stored(path: Path) -> bytes:
    """The content of a regular file; OSError as :func:`open_stored`, and for more than ``LARGEST``."""
    with open_stored(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise OSError(errno.EFBIG, f"it has more than {LARGEST / 1e9:.0f} GB")
        return file.read()


def map_stored(path: Path) -> bytes | mmap.mmap:
    """The content of a file of any size, to be looked at and not held: what is looked at comes from the disk and memory
    may forget it. It stays what it is when ``path`` becomes another file, and changes with what is written into this
    one. OSError as :func:`open_stored`.
    """
    with open_stored(path) as file:
        if not os.fstat(file.fileno()).st_size:
            return b""  # which cannot be mapped
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def read_json(path: Path) -> Any:
    """The JSON value in ``path``; StoredDataError if it is damaged."""
    try:
        return parse_json(read_stored(path))
    except (OSError, ValueError) as error:
        raise StoredDataError(f"{path} cannot be read ({error}). Put it back from a copy, or make it again.") from None


def parse_json(data: bytes) -> Any:
    """The JSON value in ``data``, all of whose numbers are finite.  Raises ValueError."""
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
    """``value`` as readable JSON with a final newline; the same value gives the same bytes.

    NaN and infinity are no JSON: ValueError. What is undefined is null. A byte of a file name that is not UTF-8 is
    written as ``\\xe9``: JSON has no other way to hold it.
    """
    return (json.dumps(encodable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
