"""Files that are written whole: a reader sees the new content or the old one, never a part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from shapecnn.storage.reading import sha256


def create(path: Path) -> BinaryIO:
    """Create a file and open it for writing.

    A file or link at the path is removed first, so nothing is written through a link.

    Args:
        path: The file to create. Its folder exists.

    Returns:
        The open file, in binary mode.

    Raises:
        OSError: The file cannot be created.
    """
    path.unlink(missing_ok=True)
    return path.open("xb")


def write_atomic(path: Path, data: bytes, scratch: Path | None = None, mode: int | None = None) -> None:
    """Write a file so that it holds either all of the new content or its former content.

    Args:
        path: The file to write. Missing parent folders are made.
        data: The new content.
        scratch: Folder for the temporary file, on the same file system; None for the folder of ``path``. The temporary
            file stays there if the process is killed.
        mode: Permissions of the file, such as 0o644; None for those of a new file.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f".{os.getpid()}-{sha256(os.fsencode(path))[:16]}.tmp"
    try:
        with create(temporary) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
