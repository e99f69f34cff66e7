"""What the folders of a collection mean: which of them name a label, and which a split.

Two forms are known. ``class/x.off``, with ``class/split/x.off`` where there are splits; and ``split/class/x.off``.
Folders around either are taken off. Where folders fit both forms they are refused, with both readings named: whoever
trains on the wrong one learns to tell the training shapes from the test shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from shapecnn.errors import CollectionError, quoted

SPLITS = ("train", "val", "test")
_SPELLED = {
    **{name: name for name in SPLITS},
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
}
"""How a folder around classes may spell the split, in any case."""

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """A path inside a collection, without the folders around everything, and what its folders mean."""

    path: PurePosixPath
    label: str | None
    split: str | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """wrappers: how many folders around everything are taken off.  split_first: whether splits stand above labels."""

    wrappers: int
    split_first: bool
    note: str | None = None


def describe(names: Sequence[str], where: str) -> tuple[list[Described], list[str]]:
    """What the folders of each relative path mean, and what a person should know of how they were read.

    Args:
        names: Relative paths of all meshes, with ``/``.
        where: The collection, for messages.

    Raises:
        CollectionError: Two readings fit.
    """
    paths = [PurePosixPath(name) for name in names]
    folders = [path.parts[:-1] for path in paths]
    reading = _read(folders, where)
    stripped = [PurePosixPath(*path.parts[reading.wrappers :]) for path in paths]
    told = [reading.note] if reading.note else []
    if reading.split_first:
        return [Described(path, path.parts[1], _SPELLED[path.parts[0].lower()]) for path in stripped], told
    described = []
    for path in stripped:
        parts = path.parts[:-1]
        split = parts[1] if len(parts) > 1 and parts[1] in SPLITS else None
        described.append(Described(path, parts[0] if parts else None, split))
    misspelt = sorted({d.path.parts[1] for d in described if d.split is None and _is_misspelt(d.path.parts[1:-1])})
    if misspelt:
        one = ", ".join(map(quoted, misspelt))
        told.append(f"{where}: the folders {one} are not taken for splits, which are called {', '.join(SPLITS)}.")
    return described, told


def _read(folders: Sequence[Parts], where: str) -> _Reading:
    """The one reading that fits.  Raises CollectionError if two do."""
    if not folders:
        return _Reading(0, split_first=False)
    for wrappers in (0, 1):
        if wrappers > _common(folders):
            break
        below = [parts[wrappers:] for parts in folders]
        if _all_splits(below, 0):
            return _read_splits(below, wrappers, where)
        if _common(below) and _all_splits([parts[1:] for parts in below], 0):
            around = below[0][0]
            inside = [parts[2:3] for parts in below]
            if not any(inside):
                break  # class/train/x.off: one class and its splits
            if not all(inside) or not _are_classes([parts[1:] for parts in below]):
                raise _ambiguous(
                    where,
                    f"one class called {quoted(around)} with its splits",
                    f"a folder {quoted(around)} around splits, with the classes inside them",
                )
            return _read_splits([parts[1:] for parts in below], wrappers + 1, where)
        if wrappers and _common(below) and _all_class_split([parts[1:] for parts in below]):
            return _Reading(2, False, f"{where}: the two folders around the classes were taken off.")
    plain = _plain_wrappers(folders)
    below = [parts[plain:] for parts in folders]
    first = {parts[0] for parts in below if parts}
    called = sorted(name for name in first if name.lower() in _SPELLED)
    if len(called) > 1 and not _all_class_split(below):
        both = " and ".join(map(quoted, called[:3]))
        raise _ambiguous(where, f"{both} are classes", f"{both} are splits")
    return _Reading(plain, split_first=False)


def _read_splits(below: Sequence[Parts], wrappers: int, where: str) -> _Reading:
    """``split/class/…``, unless the second level is of splits as well or is not there."""
    called = ", ".join(sorted({parts[0] for parts in below}))
    second = sorted({parts[1] for parts in below if len(parts) > 1})
    if not second and len({parts[0] for parts in below}) == 1:
        return _Reading(wrappers + 1, split_first=False)  # one folder around meshes, whatever it is called
    if not all(len(parts) > 1 for parts in below) or any(name.lower() in _SPELLED for name in second):
        raise _ambiguous(where, f"{called} are classes", f"{called} are splits")
    classes = (
        f"{len(second)} classes such as {quoted(second[0])}" if len(second) > 1 else f"the class {quoted(second[0])}"
    )
    return _Reading(wrappers, True, f"{where}: read as split/class: the splits {called}, inside them {classes}.")


def _ambiguous(where: str, one: str, other: str) -> CollectionError:
    return CollectionError(
        f"The folders of {where} can be read in two ways: {one}, or {other}. Arrange them as"
        f" class/split/name, or list the meshes in a CSV with the header path,label,split."
    )


def _common(folders: Sequence[Parts]) -> int:
    """1 if a single folder is around everything, else 0."""
    return int(bool(folders) and all(folders) and len({parts[0] for parts in folders}) == 1)


def _plain_wrappers(folders: Sequence[Parts]) -> int:
    """How many folders are taken off ``class/…``: a lone one, unless its own are all splits, since then it is a
    class."""
    return 0 if _all_class_split(folders) else _common(folders)


def _all_splits(folders: Sequence[Parts], level: int) -> bool:
    return all(len(parts) > level and parts[level].lower() in _SPELLED for parts in folders)


def _all_class_split(folders: Sequence[Parts]) -> bool:
    return all(len(parts) > 1 and parts[1] in SPLITS for parts in folders)


def _are_classes(folders: Sequence[Parts]) -> bool:
    """Whether the folders below ``split/`` hold several meshes or are in several splits: a shape's own are not."""
    return len({parts[1] for parts in folders}) < len(folders)


def _is_misspelt(parts: Parts) -> bool:
    return bool(parts) and parts[0] not in SPLITS and parts[0].lower() in _SPELLED
