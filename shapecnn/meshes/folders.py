"""The files below a folder, whatever its links do."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shapecnn.errors import CollectionError


@dataclass(slots=True)
class Found:
    """files: their paths relative to the folder, with ``/``.  passed_over: links to folders, and folders mounted twice,
    that were not entered since they lead to where the walk has been or from where it came."""

    files: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def find_files(folder: Path, extensions: Set[str]) -> Found:
    """The visible files below ``folder`` with one of these ``extensions`` (lower case).

    Each folder is entered once, however many links lead to it: under its own path if it lies below ``folder``, else
    under the first link in order of path, those that lie less deep behind links first. Links that lead to ``folder``
    or up from it are not followed. Links to files are files.

    Raises CollectionError if a folder cannot be listed.
    """
    found = Found()
    entered: set[tuple[int, int]] = set()
    for parent in Path(os.path.realpath(folder)).parents:
        entered.add(_identity(parent))
    waiting = deque([""])  # folders behind links; all real folders come before them
    while waiting:
        links: list[str] = []
        pending = [waiting.popleft()]
        while pending:
            prefix = pending.pop()
            identity = _identity(folder / prefix)
            if identity in entered:
                found.passed_over.append(prefix.rstrip("/"))
                continue
            entered.add(identity)
            for name, kind in _entries(folder / prefix):
                if kind == "folder":
                    pending.append(f"{prefix}{name}/")
                elif kind == "link":
                    links.append(f"{prefix}{name}/")
                elif PurePosixPath(name).suffix.lower() in extensions:
                    found.files.append(prefix + name)
        waiting.extend(sorted(links))
    found.passed_over.sort()
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's meshes."""
    return name.startswith(".") or name == "__MACOSX"


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise CollectionError(f"The folder {folder} cannot be listed: {error.strerror}.") from None
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[tuple[str, str]]:
    """(name, "folder", "link" to a folder, or "file") of what is visible, the last name first: a stack turns it."""
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
    except OSError:  # a link to itself, or to where nobody may look: whoever reads it is told
        return "file"
