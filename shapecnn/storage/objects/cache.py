"""Keep files from object stores on the local disk, named by their SHA-256; the files used last are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from shapecnn.errors import ObjectStoreError
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.reading import sha256

LIMIT = 20 << 30
"""Largest size of all kept files in bytes; at most half of what the disk has free for them."""

_LEFT = 0.8  # share of the limit that stays when files are removed, so that they are not counted for each new one


def fetched_folder() -> Path:
    """Return the folder of the kept files."""
    return cache_folder("objects") / "files"


def kept_file(digest: str) -> Path:
    """Return the path of a file in the cache, which may be missing.

    Args:
        digest: SHA-256 (hex) of the file.
    """
    return fetched_folder() / digest[:2] / digest


def absent_file() -> Path:
    """Return a path at which there is never a file, in place of a file that a folder at a URL does not have."""
    return fetched_folder() / "absent"


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


def keep(digest: str, content: bytes) -> bool:
    """Write a file into the cache, for which :func:`make_room` made room, unless it is not the file of this name.

    Args:
        digest: SHA-256 (hex) that the content must have.
        content: Content of the file.

    Returns:
        Whether the content has this hash.

    Raises:
        OSError: The file cannot be written.
    """
    if sha256(content) != digest:
        return False
    write_atomic(kept_file(digest), content)
    return True


def make_room(size: int) -> None:
    """Make room for files before they are written: remove those that were not used for longest if need be.

    All processes share one count of what was written, so together they keep to the limit.

    Args:
        size: Number of bytes that will be written.

    Raises:
        ObjectStoreError: The disk has not enough room.
    """
    folder = fetched_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _counting(folder):
        count = folder.with_name("count")
        held = _read_count(count)
        if held is None or held + size > allowed(held):
            held = _remove_old(size)
        write_atomic(count, str(held + size).encode())
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ObjectStoreError(
            f"{folder} needs {size / 1e9:.1f} GB for what is fetched, but its disk has {free / 1e9:.1f} GB free. Make "
            f"room there, or set XDG_CACHE_HOME to a folder on a larger disk."
        )


@contextlib.contextmanager
def _counting(folder: Path) -> Iterator[None]:
    with folder.with_name("count.lock").open("ab") as lock:
        with contextlib.suppress(ImportError, OSError):  # without locks the count is less exact
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        yield


def _read_count(count: Path) -> int | None:
    """Return how many bytes were written since the files were last counted, with those that were there; None: unknown.

    It may be too high, because a file may be written twice, or not at all.
    """
    try:
        return int(count.read_bytes())
    except (OSError, ValueError):
        return None


def _remove_old(size: int) -> int:
    """Count the files, and if ``size`` more bytes are too many, remove old ones; return how many bytes are left."""
    files = []
    for folder, _, names in os.walk(fetched_folder()):
        for name in names:
            with contextlib.suppress(OSError):  # another process has removed it
                status = os.stat(os.path.join(folder, name))
                files.append((status.st_mtime_ns, status.st_size, os.path.join(folder, name)))
    held = sum(each for _, each, _ in files)
    limit = allowed(held)
    if held + size > limit:
        for _, freed, path in sorted(files):
            if held + size <= _LEFT * limit:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            held -= freed
    return held


def allowed(held: int = 0) -> int:
    """Return how many bytes may be kept. A single file may be larger.

    Args:
        held: Number of bytes that are kept now.
    """
    place = next(parent for parent in fetched_folder().parents if parent.exists())
    return min(LIMIT, (shutil.disk_usage(place).free + held) // 2)
