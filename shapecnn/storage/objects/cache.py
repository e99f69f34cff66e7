"""Keep files from object stores on the local disk, named by their SHA-256; the files used last are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.caches import cache_folder

LIMIT = 20 << 30
"""Largest size of all kept files in bytes; at most half of what the disk has free for them."""

_CHECKS = 50  # number of times that the size is checked while as many bytes are written as may be kept

_written = 0  # bytes that this process has written since the size was checked


def fetched_folder() -> Path:
    """Return the folder of the kept files."""
    return cache_folder("objects") / "files"


def kept_file(digest: str) -> Path:
    """Return the path of a file in the cache, which may be missing.

    Args:
        digest: SHA-256 (hex) of the file.
    """
    return fetched_folder() / digest[:2] / digest


def touch(path: Path) -> bool:
    """Mark a file of the cache as used now, so that others are removed before it.

    Args:
        path: Path from :func:`kept_file`.

    Returns:
        Whether the file is there.
    """
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def keep(digest: str, content: bytes) -> None:
    """Write a file into the cache, and remove the files that were not used for longest if it has become too large.

    Args:
        digest: SHA-256 (hex) of the content.
        content: Content of the file.

    Raises:
        OSError: The file cannot be written.
    """
    write_atomic(kept_file(digest), content)
    make_room(len(content))


def make_room(size: int) -> None:
    """Remove the files that were not used for longest, if the cache has become too large.

    Args:
        size: Number of bytes that were written since the last call.
    """
    global _written
    _written += size
    if _written * _CHECKS < LIMIT:
        return
    _written = 0
    files = []
    for folder, _, names in os.walk(fetched_folder()):
        for name in names:
            with contextlib.suppress(OSError):  # another process has removed it
                status = os.stat(os.path.join(folder, name))
                files.append((status.st_mtime_ns, status.st_size, os.path.join(folder, name)))
    total = sum(size for _, size, _ in files)
    limit = allowed(total)
    for _, size, path in sorted(files):
        if total <= limit:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size


def allowed(held: int = 0) -> int:
    """Return how many bytes may be kept.

    Args:
        held: Number of bytes that are kept now.
    """
    place = next(parent for parent in fetched_folder().parents if parent.exists())
    return min(LIMIT, (shutil.disk_usage(place).free + held) // 2)
