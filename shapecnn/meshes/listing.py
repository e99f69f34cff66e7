"""List the files below a folder; each file is listed once, even if symbolic links form loops."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shapecnn.errors import CollectionError
from shapecnn.storage.objects.store import list_objects
from shapecnn.storage.objects.url import Url


@dataclass(slots=True)
class FileListing:
    """Files below a folder, and the folders that were skipped: the result of :func:`find_files`.

    Attributes:
        files: Paths of the files relative to the folder, with ``/``.
        passed_over: Relative paths of the skipped folders: links to (or second mounts of) a folder that is already
            listed, or that contains the searched folder.
    """

    files: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def find_files(folder: Path, extensions: Set[str]) -> FileListing:
    """List the visible files below a folder that have one of the given extensions.

    Each folder is listed once, even if several links lead to it. A folder below ``folder`` is listed under its real
    path. A folder elsewhere, reached through links, is listed under the path with the fewest links; among paths with
    equally many links, alphabetical order decides. Links to ``folder`` or to one of its parent folders are not
    followed. Links to files are listed as files.

    Args:
        folder: The folder to search.
        extensions: Extensions of the files to list, in lower case with the dot.

    Returns:
        The files and the skipped folders.

    Raises:
        CollectionError: A folder cannot be listed.
    """
    listing = FileListing()
    entered: set[tuple[int, int]] = set()
    for parent in Path(os.path.realpath(folder)).parents:
        entered.add(_identity(parent))
    waiting = deque([""])  # links to folders; each pass lists all real folders before the next link
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
                elif os.path.splitext(name)[1].lower() in extensions:
                    listing.files.append(prefix + name)
        waiting.extend(sorted(links))
    listing.passed_over.sort()
    return listing


def find_objects(folder: Url, extensions: Set[str]) -> list[str]:
    """List the visible objects below a URL that have one of the given extensions.

    Args:
        folder: URL of a folder in an object store.
        extensions: Extensions of the objects to list, in lower case with the dot.

    Returns:
        Paths of the objects relative to ``folder``.

    Raises:
        CollectionError: The URL is that of a zip.
        ObjectStoreError: The object store cannot be reached, or refuses.
    """
    if folder.suffix.lower() == ".zip":
        raise CollectionError(f"{folder} is a zip in an object store, but zips are read from a local disk: copy it.")
    return [name for name, _ in list_objects(folder) if is_listed(PurePosixPath(name), extensions)]


def is_listed(path: PurePosixPath, extensions: Set[str]) -> bool:
    """Return whether a file of a zip or an object store is visible and has one of the given extensions.

    Args:
        path: Path of the file inside the zip or the folder.
        extensions: Extensions in lower case with the dot.
    """
    return path.suffix.lower() in extensions and not any(map(is_hidden, path.parts))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder name is hidden: it begins with a dot, or is macOS metadata (``__MACOSX``)."""
    return name.startswith(".") or name == "__MACOSX"


def _identity(folder: Path) -> tuple[int, int]:
    """Return the device number and inode of a folder, which identify the folder under any path."""
    try:
        status = folder.stat()
    except OSError as error:
        raise CollectionError(f"The folder {folder} cannot be listed: {error.strerror}.") from None
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[tuple[str, str]]:
    """Return the visible entries of a folder as pairs (name, kind), in reverse order of their names.

    The kind is ``folder``, ``link`` (to a folder) or ``file``. The caller pushes the folders onto a stack, and thus
    visits them in the order of their names.
    """
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
    except OSError:  # a link to itself or without permission: an error is reported when the file is read
        return "file"
