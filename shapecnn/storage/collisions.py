"""Detect output files that would overwrite each other, before any file is written.

Two output files collide if the file system treats their names as equal, or if the path of one file is a folder in the
path of the other. An output file also collides with a file that shapecnn itself writes, such as ``SHA256SUMS``.

Some file systems do not distinguish names that differ only in case (Windows, macOS) or in the encoding of accents
(macOS). This module tests the file system by creating temporary files with the names in question in the output folder.
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

_REASON = (
    "the file system of the output folder does not distinguish names that differ only in case or in the encoding of "
    "accents"
)


class _Collision(NamedTuple):
    """Two relative paths that some file systems treat as equal.

    Attributes:
        one: The first path.
        other: The second path.
        sentence: Error message, used if the file system of the output treats the paths as equal.
    """

    one: str
    other: str
    sentence: str


def fold_name(name: str) -> str:
    """Normalize the case and the accents of a file name, so that names that some file systems confuse become equal.

    Args:
        name: A file name or a relative path.

    Returns:
        The case-folded name with decomposed accents (Unicode NFD).
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def require_no_collisions(owners: Mapping[str, str], kept: Collection[str], out: Path) -> None:
    """Raise CollectionError if two output files would overwrite each other.

    Args:
        owners: Relative path of each output file, mapped to the id of the shape that the file belongs to.
        kept: Names of the files and folders that shapecnn itself writes into the output folder.
        out: The output folder, which may be missing. Temporary files are created in it, or in its nearest existing
            parent, and removed.

    Raises:
        CollectionError: Two output files collide. The message names both shapes.
    """
    with _NameTrials(out) as trials:
        for collision in _collisions(owners, kept):
            if collision.one == collision.other:
                raise CollectionError(f"{collision.sentence}.")
            if trials.same(collision.one, collision.other):
                raise CollectionError(
                    f"{collision.sentence}, or choose an output folder on another file system: {_REASON}."
                )


def _collisions(owners: Mapping[str, str], kept: Collection[str]) -> Iterator[_Collision]:
    """Yield all pairs of output paths that would collide on at least one kind of file system."""
    reserved = {fold_name(name): name for name in kept}
    files: dict[str, str] = {}  # folded path: path
    for name, shape_id in owners.items():
        first = name.partition("/")[0]
        if fold_name(first) in reserved:
            own = reserved[fold_name(first)]
            target = f"{visible(shape_id)} would be written to {visible(name)}"
            yield _Collision(first, own, f"{target}, where shapecnn writes its own {own}: rename the input")
        other = files.setdefault(fold_name(name), name)
        if other != name:
            both = f"{visible(owners[other])} and {visible(shape_id)}"
            yield _Collision(other, name, f"{both} would both be written to the file {visible(name)}: rename one")
    folders: set[str] = set()
    for name, shape_id in owners.items():
        for folder in map(str, PurePosixPath(name).parents):
            if folder in folders:
                break  # the parents of this folder have been checked, too
            folders.add(folder)
            file = files.get(fold_name(folder))
            if file is not None:
                both = f"{visible(owners[file])} would be written to the file {visible(file)}, and {visible(shape_id)}"
                yield _Collision(file, folder, f"{both} into a folder of the same name: rename one")


class _NameTrials:
    """Tests whether the file system treats two file names as equal, by creating files in temporary folders."""

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
        """Tell whether the file system treats two relative paths as the same file."""
        place = self._out
        for left, right in zip(one.split("/"), other.split("/"), strict=True):
            if left != right and not self._same_name(place, left, right):
                return False
            place /= left
        return True

    def _same_name(self, place: Path, left: str, right: str) -> bool:
        """Tell whether the file system treats two names as equal in a folder, or in its nearest existing parent."""
        while not os.path.isdir(place):
            place = place.parent
        key = place, left, right
        if key not in self._results:
            try:
                self._results[key] = self._try(place, left, right)
            except OSError:  # invalid names: writing the output will report the error
                self._results[key] = False
        return self._results[key]

    def _try(self, place: Path, left: str, right: str) -> bool:
        """Create a temporary file named ``left`` and return whether it can also be found by the name ``right``."""
        if place not in self._folders:
            folder = tempfile.TemporaryDirectory(prefix=".shapecnn-", dir=place, ignore_cleanup_errors=True)
            self._folders[place] = Path(self._stack.enter_context(folder))
        trial = self._folders[place] / left
        trial.touch()
        try:
            return os.path.lexists(self._folders[place] / right)
        finally:
            trial.unlink()
