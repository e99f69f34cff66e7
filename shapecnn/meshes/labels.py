"""What the folders of a collection mean: which of them name a label, and which a split.

Two forms are known. ``class/x.off``, with ``class/split/x.off`` where there are splits; and ``split/class/x.off``.
Folders around either are taken off. Where folders fit both forms they are refused, with both readings named: whoever
trains on the wrong one learns to tell the training shapes from the test shapes. A person may say what folders mean; the
paths without the folders around everything, which are the ids of shapes, are the same then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

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

_SHOWN = 3  # folders named in one message

Labels = Literal["auto", "folder", "none"]
"""What a person says of the folders.  auto: as they look.  folder: the first one names the label, and ``train``,
``val`` or ``test`` below it the split, whatever else is there.  none: they mean nothing."""

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """A path inside a collection, without the folders around everything, and what its folders mean."""

    path: PurePosixPath
    label: str | None
    split: str | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """wrappers: how many folders around everything are taken off.  split_first: whether splits stand above labels.
    doubt: the two ways in which the folders can be read, if they can."""

    wrappers: int
    split_first: bool
    note: str | None = None
    doubt: tuple[str, str] | None = None


def describe(names: Sequence[str], where: str, labels: Labels = "auto") -> tuple[list[Described], list[str]]:
    """What the folders of each relative path mean, and what a person should know of how they were read.

    Args:
        names: Relative paths of all meshes, with ``/``.
        where: The collection, for messages.
        labels: What a person says of the folders.

    Returns:
        The paths, in the order of ``names``, and sentences.

    Raises:
        CollectionError: Two readings fit, and ``labels`` does not say which is meant.
    """
    paths = [PurePosixPath(name) for name in names]
    reading = _read([path.parts[:-1] for path in paths], where)
    stripped = [PurePosixPath(*path.parts[reading.wrappers :]) for path in paths]
    if labels == "none":
        return [Described(path, None, None) for path in stripped], []
    if labels == "folder":
        if reading.wrappers and all(len(path.parts) == 1 for path in stripped):  # the one folder there is
            around = paths[0].parts[reading.wrappers - 1]
            return [Described(path, around, None) for path in stripped], []
        return [by_folder(path) for path in stripped], []
    if reading.doubt is not None:
        raise _ambiguous(where, *reading.doubt)
    told = [reading.note] if reading.note else []
    if reading.split_first:
        return [Described(path, path.parts[1], _SPELLED[path.parts[0].lower()]) for path in stripped], told
    described = [by_folder(path) for path in stripped]
    misspelt = sorted({d.path.parts[1] for d in described if d.split is None and _is_misspelt(d.path.parts[1:-1])})
    if misspelt:
        one = ", ".join(map(quoted, misspelt))
        taken = f"the folder {one} is" if len(misspelt) == 1 else f"the folders {one} are"
        told.append(f"{where}: {taken} not taken for splits, which are called {', '.join(SPLITS)}.")
    plain = _plain_folders(described)
    if plain:
        some = ", ".join(quoted("/".join(each)) for each in sorted(plain)[:_SHOWN])
        more = f" and {len(plain) - _SHOWN} more" if len(plain) > _SHOWN else ""
        told.append(
            f"{where}: {some}{more}: taken for a folder like those beside it, not for a split; --labels folder takes "
            f"it for one."
        )
    return [Described(d.path, d.label, None if d.path.parts[:2] in plain else d.split) for d in described], told


def split_called(name: str) -> str | None:
    """The split that a column, or a folder around classes, spells so; None for any other name."""
    return _SPELLED.get(name.lower())


def by_folder(path: PurePosixPath) -> Described:
    """What ``class/name``, ``class/split/name`` and what lies deeper means."""
    folders = path.parts[:-1]
    split = folders[1] if len(folders) > 1 and folders[1] in SPLITS else None
    return Described(path, folders[0] if folders else None, split)


def _plain_folders(described: Sequence[Described]) -> set[Parts]:
    """Class and name of those folders that are called like a split, and are none: each is the only one so called of a
    class that has other folders as well, as in a mess of folders one called ``test``."""
    inside: defaultdict[str, set[str]] = defaultdict(set)
    for each in described:
        if len(each.path.parts) > 2:
            inside[each.path.parts[0]].add(each.path.parts[1])
    splits = {name: names.intersection(SPLITS) for name, names in inside.items()}
    return {(name, *called) for name, called in splits.items() if len(called) == 1 and inside[name] > called}


def _read(folders: Sequence[Parts], where: str) -> _Reading:
    """The one reading that fits, or the doubt between two."""
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
                one_class = f"one class called {quoted(around)} with its splits"
                classes = f"a folder {quoted(around)} around splits, with the classes inside them"
                return _Reading(wrappers, split_first=False, doubt=(one_class, classes))
            return _read_splits([parts[1:] for parts in below], wrappers + 1, where)
        if wrappers and _common(below) and _all_class_split([parts[1:] for parts in below]):
            return _Reading(2, False, f"{where}: the two folders around the classes were taken off.")
    plain = _plain_wrappers(folders)
    below = [parts[plain:] for parts in folders]
    first = {parts[0] for parts in below if parts}
    called = sorted(name for name in first if name.lower() in _SPELLED)
    doubt = None
    if len(called) > 1 and not _all_class_split(below):
        both = " and ".join(map(quoted, called[:3]))
        doubt = f"{both} are classes", f"{both} are splits"
    return _Reading(plain, split_first=False, doubt=doubt)


def _read_splits(below: Sequence[Parts], wrappers: int, where: str) -> _Reading:
    """``split/class/…``, unless the second level is of splits as well or is not there."""
    called = ", ".join(sorted({parts[0] for parts in below}))
    second = sorted({parts[1] for parts in below if len(parts) > 1})
    if not second and len({parts[0] for parts in below}) == 1:
        return _Reading(wrappers + 1, split_first=False)  # one folder around meshes, whatever it is called
    if not all(len(parts) > 1 for parts in below) or any(name.lower() in _SPELLED for name in second):
        return _Reading(wrappers, split_first=False, doubt=(f"{called} are classes", f"{called} are splits"))
    classes = (
        f"{len(second)} classes such as {quoted(second[0])}" if len(second) > 1 else f"the class {quoted(second[0])}"
    )
    found = f"the splits {called}, inside them" if ", " in called else f"the split {called}, inside it"
    return _Reading(wrappers, True, f"{where}: read as split/class: {found} {classes}.")


def _ambiguous(where: str, one: str, other: str) -> CollectionError:
    return CollectionError(
        f"The folders of {where} can be read in two ways: {one}, or {other}. Arrange them as class/split/name, list the"
        f" meshes in a CSV with the header path,label,split, or say --labels folder (the first folder is the class) or"
        f" --labels none."
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
