"""Files of an output that cannot lie beside each other: a file where another needs a folder or where shapecnn keeps one
of its own, and two whose names are one to the file system.

Some file systems take names for the same that differ only in case (Windows, macOS) or in how accents are encoded
(macOS). Whether one does is tried, where the output will be, with the very names in question.
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

_REASON = "the file system there takes names for the same that differ only in case or in how accents are encoded"


class _Collision(NamedTuple):
    """Two names that are the same but for what some file systems do not tell apart, and what to say if these are."""

    one: str
    other: str
    sentence: str


def folded(name: str) -> str:
    """The same text for all names that some file system may take for one."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def require_apart(owners: Mapping[str, str], kept: Collection[str], out: Path) -> None:
    """Raise CollectionError, which names both, if two files would be one, or one lie where a folder has to be.

    Args:
        owners: For each file that will be written, by its relative path, the id of the shape it is of.
        kept: The names of files and folders of shapecnn's own in the output.
        out: The output, which need not be there. Nothing is left in it.
    """
    with _Tries(out) as tries:
        for collision in _collisions(owners, kept):
            if collision.one == collision.other:
                raise CollectionError(f"{collision.sentence}.")
            if tries.same(collision.one, collision.other):
                raise CollectionError(f"{collision.sentence}, or choose an output elsewhere: {_REASON}.")


def _collisions(owners: Mapping[str, str], kept: Collection[str]) -> Iterator[_Collision]:
    """What cannot be beside each other, on this or on some other file system."""
    own = {folded(name): name for name in kept}
    files: dict[str, str] = {}  # by their folded names
    for name, shape_id in owners.items():
        first = name.partition("/")[0]
        if folded(first) in own:
            mine = own[folded(first)]
            told = f"{visible(shape_id)} would be written to {visible(name)}, where shapecnn keeps its own {mine}"
            yield _Collision(first, mine, f"{told}: rename it")
        other = files.setdefault(folded(name), name)
        if other != name:
            both = f"{visible(owners[other])} and {visible(shape_id)}"
            yield _Collision(other, name, f"{both} would be written to one file, {visible(name)}: rename one of them")
    folders: set[str] = set()
    for name, shape_id in owners.items():
        for folder in map(str, PurePosixPath(name).parents):
            if folder in folders:
                break  # and those around it
            folders.add(folder)
            file = files.get(folded(folder))
            if file is not None:
                told = f"{visible(owners[file])} would be written to the file {visible(file)}, and {visible(shape_id)}"
                yield _Collision(file, folder, f"{told} into a folder of that name: rename one of them")


class _Tries:
    """Tries names where they would be written: in folders made for that, and removed in the end."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folders: dict[Path, Path] = {}
        self._known: dict[tuple[Path, str, str], bool] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Tries:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def same(self, one: str, other: str) -> bool:
        """Whether two relative paths are one to the file system."""
        place = self._out
        for left, right in zip(one.split("/"), other.split("/"), strict=True):
            if left != right and not self._one(place, left, right):
                return False
            place /= left
        return True

    def _one(self, place: Path, left: str, right: str) -> bool:
        while not os.path.isdir(place):
            place = place.parent
        key = place, left, right
        if key not in self._known:
            try:
                self._known[key] = self._tried(place, left, right)
            except OSError:  # nothing can be written there, under such names: whoever does so will be told
                self._known[key] = False
        return self._known[key]

    def _tried(self, place: Path, left: str, right: str) -> bool:
        if place not in self._folders:
            made = tempfile.TemporaryDirectory(prefix=".shapecnn-", dir=place, ignore_cleanup_errors=True)
            self._folders[place] = Path(self._stack.enter_context(made))
        trial = self._folders[place] / left
        trial.touch()
        try:
            return os.path.lexists(self._folders[place] / right)
        finally:
            trial.unlink()
