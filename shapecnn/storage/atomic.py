"""Atomic file writes: a reader sees the complete new content or the complete old content, never a mixture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from shapecnn.storage.reading import sha256


def create(path: Path) -> BinaryIO:
    """Create a new file and open it for writing; a file or link that exists at the path is removed first.

    Removing an existing link ensures that nothing is written through the link.

    Args:
        path: The file to create. The parent folder must exist.

    Returns:
        The open file, in binary mode.

    Raises:
        OSError: The file cannot be created.
    """
    path.unlink(missing_ok=True)
    return path.open("xb")


def write_atomic(path: Path, data: bytes, scratch: Path | None = None, mode: int | None = None) -> None:
    """Write a file atomically: after a crash, the file holds the complete new or the complete old content.

    Args:
        path: The file to write. Missing parent folders are created.
        data: The new content.
        scratch: Folder for the temporary file, on the same file system as ``path``; None for the parent folder of
            ``path``. If the process is killed, the temporary file stays in this folder.
        mode: Permissions of the file, such as 0o644; None for the default permissions of a new file.

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
