"""Collisions between the files of an output, found before any is written.

Two files collide if their names are the same to the file system, if one would lie where the other needs a folder, or if
one would lie where shapecnn keeps a file of its own.

Some file systems do not distinguish names that differ only in case (Windows, macOS) or in the encoding of accents
(macOS). Whether one does is tried with the names in question, in the folder where the output will be.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from shapecnn.errors import CollectionError, visible

_REASON = "the file system there does not distinguish names that differ only in case or in the encoding of accents"


class _Collision(NamedTuple):
    """Two relative paths that are the same on some file systems, and the message for the case that they are here."""

    one: str
    other: str
    sentence: str


def fold_name(name: str) -> str:
    """Map all names that some file system does not distinguish to the same text.

    Args:
        name: A file name or a relative path.

    Returns:
        The name without differences in case or in the encoding of accents.
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def require_no_collisions(owners: Mapping[str, str], kept: Collection[str], out: Path) -> None:
    """Require that no two files of an output collide.

    Args:
        owners: Id of the shape that each file belongs to, by the relative path of the file.
        kept: Names of shapecnn's own files and folders in the output.
        out: The output folder, which need not exist. Names are tried in a temporary folder inside it, which is removed.

    Raises:
        CollectionError: Two files collide; the message names the shapes of both.
    """
    with _NameTrials(out) as trials:
        for collision in _collisions(owners, kept):
            if collision.one == collision.other:
                raise CollectionError(f"{collision.sentence}.")
            if trials.same(collision.one, collision.other):
                raise CollectionError(f"{collision.sentence}, or choose an output elsewhere: {_REASON}.")


def _collisions(owners: Mapping[str, str], kept: Collection[str]) -> Iterator[_Collision]:
    """Yield all collisions that happen on this or on some other file system."""
    reserved = {fold_name(name): name for name in kept}
    files: dict[str, str] = {}  # by their folded names
    for name, shape_id in owners.items():
        first = name.partition("/")[0]
        if fold_name(first) in reserved:
            own = reserved[fold_name(first)]
            target = f"{visible(shape_id)} would be written to {visible(name)}"
            yield _Collision(first, own, f"{target}, where shapecnn keeps its own {own}: rename it")
        other = files.setdefault(fold_name(name), name)
        if other != name:
            both = f"{visible(owners[other])} and {visible(shape_id)}"
            yield _Collision(other, name, f"{both} would be written to one file, {visible(name)}: rename one of them")
    folders: set[str] = set()
    for name, shape_id in owners.items():
        for folder in map(str, PurePosixPath(name).parents):
            if folder in folders:
                break  # its parents have been checked with it
            folders.add(folder)
            file = files.get(fold_name(folder))
            if file is not None:
                both = f"{visible(owners[file])} would be written to the file {visible(file)}, and {visible(shape_id)}"
                yield _Collision(file, folder, f"{both} into a folder of that name: rename one of them")


class _NameTrials:
    """Tries whether the file system distinguishes two names, in temporary folders beside the future files."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folders: dict[Path, Path] = {}
        self._results: dict[tuple[Path, str, str], bool] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _NameTrials:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def same(self, one: str, other: str) -> bool:
        """Tell whether two relative paths lead to one file."""
        place = self._out
        for left, right in zip(one.split("/"), other.split("/"), strict=True):
            if left != right and not self._same_name(place, left, right):
                return False
            place /= left
        return True

    def _same_name(self, place: Path, left: str, right: str) -> bool:
        """Tell whether two names in a folder, or in its nearest existing parent, lead to one file."""
        while not os.path.isdir(place):
            place = place.parent
        key = place, left, right
        if key not in self._results:
            try:
                self._results[key] = self._try(place, left, right)
            except OSError:  # such names cannot be written there: writing the output will report it
                self._results[key] = False
        return self._results[key]

    def _try(self, place: Path, left: str, right: str) -> bool:
        """Create a file under one name and look for it under the other."""
        if place not in self._folders:
            folder = tempfile.TemporaryDirectory(prefix=".shapecnn-", dir=place, ignore_cleanup_errors=True)
            self._folders[place] = Path(self._stack.enter_context(folder))
        trial = self._folders[place] / left
        trial.touch()
        try:
            return os.path.lexists(self._folders[place] / right)
        finally:
            trial.unlink()
