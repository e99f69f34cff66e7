"""Search for files below a folder that terminates and lists each file once, whatever links there are."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shapecnn.errors import CollectionError


@dataclass(slots=True)
class FileListing:
    """Result of :func:`find_files`.

    Attributes:
        files: Paths relative to the folder, with ``/``.
        passed_over: Links to folders, and folders mounted twice, that were not entered: they lead to a folder that is
            listed already, or to one above.
    """

    files: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def find_files(folder: Path, extensions: Set[str]) -> FileListing:
    """List the visible files below a folder that have one of some extensions.

    Each folder is entered once, however many links lead to it: under its own path if it lies below ``folder``, else
    under the first link in order of path, with links behind fewer other links first. Links to ``folder`` or to a
    folder above it are not followed. Links to files count as files.

    Args:
        folder: Where the search starts.
        extensions: In lower case, with the dot.

    Raises:
        CollectionError: A folder cannot be listed.
    """
    listing = FileListing()
    entered: set[tuple[int, int]] = set()
    for parent in Path(os.path.realpath(folder)).parents:
        entered.add(_identity(parent))
    waiting = deque([""])  # folders behind links: all real folders come first
    while waiting:
        links: list[str] = []
        pending = [waiting.popleft()]
        while pending:
            prefix = pending.pop()
            identity = _identity(folder / prefix)
            if identity in entered:
                listing.passed_over.append(prefix.rstrip("/"))
                continue
            entered.add(identity)
            for name, kind in _entries(folder / prefix):
                if kind == "folder":
                    pending.append(f"{prefix}{name}/")
                elif kind == "link":
                    links.append(f"{prefix}{name}/")
                elif PurePosixPath(name).suffix.lower() in extensions:
                    listing.files.append(prefix + name)
        waiting.extend(sorted(links))
    listing.passed_over.sort()
    return listing


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of that name is skipped: a hidden one, or metadata of macOS in a zip."""
    return name.startswith(".") or name == "__MACOSX"


def _identity(folder: Path) -> tuple[int, int]:
    """Return the device and inode of a folder."""
    try:
        status = folder.stat()
    except OSError as error:
        raise CollectionError(f"The folder {folder} cannot be listed: {error.strerror}.") from None
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[tuple[str, str]]:
    """Return (name, kind) of the visible entries: folder, link (to a folder) or file; reversed, for use as a stack."""
    try:
        with os.scandir(folder) as entries:
            visible = [(entry.name, _kind(entry)) for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise CollectionError(f"The folder {folder} cannot be listed: {error.strerror}.") from None
    return sorted(visible, reverse=True)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if not entry.is_dir():
            return "file"
        return "link" if entry.is_symlink() else "folder"
    except OSError:  # a link to itself or to a forbidden place: reading the file reports it
        return "file"
