"""Read labels and splits of shapes from the names of the folders of a collection.

There are two layouts: ``class/x.off`` (or ``class/split/x.off``), and ``split/class/x.off``. A folder around these
layouts, which contains all meshes, is an outer folder and is removed from the paths. Folders that fit both
layouts raise an error that names both layouts: a network trained with the wrong layout would learn to tell training
shapes from test shapes. The user may override the layout. The ids of shapes, which are the paths without outer folders,
do not depend on the layout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from shapecnn.errors import CollectionError, quoted

SPLITS = ("train", "val", "test")
_SPELLINGS = {
    **{name: name for name in SPLITS},
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
}
"""Accepted names of a split folder, in lower case, and the split that each name means."""

_SHOWN = 3  # number of folders that a message names

Labels = Literal["auto", "folder", "none"]
"""How labels and splits are read from folders.

auto: the layout of the folders decides.  folder: the first folder is the label, and a second folder named ``train``,
``val`` or ``test`` is the split, whatever the layout.  none: labels and splits are None."""

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelledPath:
    """Path of a mesh inside a collection, with the label and split that its folders name.

    Attributes:
        path: Path of the mesh, without those folders around all meshes that :func:`label_paths` leaves out.
        label: Name of the class; None if the file is not in a folder.
        split: train, val or test; None if no folder names a split.
    """

    path: PurePosixPath
    label: str | None
    split: str | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """One interpretation of the folders of a collection: which levels are outer folders, labels and splits.

    Attributes:
        wrappers: Number of outer folders to remove.
        split_first: True if the layout is ``split/class``, False if it is ``class/split`` or ``class``.
        note: A sentence for the user if the interpretation is not obvious, else None.
        doubt: Descriptions of two interpretations if both fit the folders, else None.
    """

    wrappers: int
    split_first: bool
    note: str | None = None
    doubt: tuple[str, str] | None = None


def label_paths(names: Sequence[str], where: str, labels: Labels = "auto") -> tuple[list[LabelledPath], list[str]]:
    """Read the label and split of each mesh from its folders.

    Args:
        names: Relative paths of all meshes, with ``/``.
        where: Name of the collection, for messages.
        labels: auto, folder or none; see :data:`Labels`.

    Returns:
        The labelled paths, in the order of ``names``, and a list of notes for the user, one sentence each, about how
        the folders were read.

    Raises:
        CollectionError: The folders can be read in two ways, and ``labels`` is auto.
    """
    paths = [PurePosixPath(name) for name in names]
    reading = _read([path.parts[:-1] for path in paths], where)
    stripped = [PurePosixPath(*path.parts[reading.wrappers :]) for path in paths] if reading.wrappers else paths
    if labels == "none":
        return [LabelledPath(path, None, None) for path in stripped], []
    if labels == "folder":
        if reading.wrappers and all(len(path.parts) == 1 for path in stripped):  # the only folder is the label
            outer = paths[0].parts[reading.wrappers - 1]
            return [LabelledPath(path, outer, None) for path in stripped], []
        return [label_by_folder(path) for path in stripped], []
    if reading.doubt is not None:
        raise _ambiguous(where, *reading.doubt)
    notes = [reading.note] if reading.note else []
    if reading.split_first:
        return [LabelledPath(path, path.parts[1], _SPELLINGS[path.parts[0].lower()]) for path in stripped], notes
    labelled = [label_by_folder(path) for path in stripped]
    misspelt = sorted({each.path.parts[1] for each in labelled if each.split is None and _is_misspelt(each.path)})
    if misspelt:
        one = ", ".join(map(quoted, misspelt))
        subject = f"the folder {one} is" if len(misspelt) == 1 else f"the folders {one} are"
        notes.append(f"{where}: {subject} not read as a split. Splits must be called {', '.join(SPLITS)}.")
    plain = _plain_folders(labelled)
    if plain:
        some = ", ".join(quoted("/".join(each)) for each in sorted(plain)[:_SHOWN])
        more = f" and {len(plain) - _SHOWN} more" if len(plain) > _SHOWN else ""
        notes.append(
            f"{where}: these folders are not read as splits, because other folders are beside them: {some}{more}. "
            f"To read them as splits, add --labels folder."
        )
    return [replace(each, split=None) if each.path.parts[:2] in plain else each for each in labelled], notes


def split_by_name(name: str) -> str | None:
    """Return the split (train, val or test) for a name such as ``Training``, in any case; None for other names."""
    return _SPELLINGS.get(name.lower())


def label_by_folder(path: PurePosixPath) -> LabelledPath:
    """Read the label and split of a path ``class/…`` or ``class/split/…``; deeper folders are ignored."""
    folders = path.parts[:-1]
    split = folders[1] if len(folders) > 1 and folders[1] in SPLITS else None
    return LabelledPath(path, folders[0] if folders else None, split)


def _plain_folders(labelled: Sequence[LabelledPath]) -> set[Parts]:
    """Return the folders that are named like a split but are not a split, as pairs (class, folder).

    A folder ``train``, ``val`` or ``test`` is not a split if its class has no second folder with one of these names,
    but has folders with other names.
    """
    inside: defaultdict[str, set[str]] = defaultdict(set)
    for each in labelled:
        if len(each.path.parts) > 2:
            inside[each.path.parts[0]].add(each.path.parts[1])
    splits = {name: names.intersection(SPLITS) for name, names in inside.items()}
    return {(name, *names) for name, names in splits.items() if len(names) == 1 and inside[name] > names}


def _read(folders: Sequence[Parts], where: str) -> _Reading:
    """Find out which folder levels are labels and splits; if two answers fit, ``doubt`` of the result has both."""
    if not folders:
        return _Reading(0, split_first=False)
    for wrappers in (0, 1):
        if wrappers > _common(folders):
            break
        below = [parts[wrappers:] for parts in folders]
        if _all_splits(below, 0):
            return _read_splits(below, wrappers, where)
        if _common(below) and _all_splits([parts[1:] for parts in below], 0):
            outer = below[0][0]
            inside = [parts[2:3] for parts in below]
            if not any(inside):
                break  # class/train/x.off: one class and its splits
            if not all(inside) or not _are_classes([parts[1:] for parts in below]):
                one_class = f"one class called {quoted(outer)} with its splits"
                classes = f"a folder {quoted(outer)} around splits, with the classes inside them"
                return _Reading(wrappers, split_first=False, doubt=(one_class, classes))
            return _read_splits([parts[1:] for parts in below], wrappers + 1, where)
        if wrappers and _common(below) and _all_class_split([parts[1:] for parts in below]):
            return _Reading(2, False, f"{where}: the two folders around the classes were removed from the ids.")
    plain = _plain_wrappers(folders)
    below = [parts[plain:] for parts in folders]
    first = {parts[0] for parts in below if parts}
    splits = sorted(name for name in first if name.lower() in _SPELLINGS)
    doubt = None
    if len(splits) > 1 and not _all_class_split(below):
        both = " and ".join(map(quoted, splits[:3]))
        doubt = f"{both} are classes", f"{both} are splits"
    return _Reading(plain, split_first=False, doubt=doubt)


def _read_splits(below: Sequence[Parts], wrappers: int, where: str) -> _Reading:
    """Interpret folders as ``split/class/…``; set ``doubt`` if the second folder is missing or also names a split."""
    splits = ", ".join(sorted({parts[0] for parts in below}))
    second = sorted({parts[1] for parts in below if len(parts) > 1})
    if not second and len({parts[0] for parts in below}) == 1:
        return _Reading(
            wrappers + 1, split_first=False
        )  # a single folder contains all meshes: its name does not matter
    if not all(len(parts) > 1 for parts in below) or any(name.lower() in _SPELLINGS for name in second):
        return _Reading(wrappers, split_first=False, doubt=(f"{splits} are classes", f"{splits} are splits"))
    classes = (
        f"{len(second)} classes such as {quoted(second[0])}" if len(second) > 1 else f"the class {quoted(second[0])}"
    )
    outer = f"the splits {splits}, inside them" if ", " in splits else f"the split {splits}, inside it"
    return _Reading(wrappers, True, f"{where}: read as split/class: {outer} {classes}.")


def _ambiguous(where: str, one: str, other: str) -> CollectionError:
    return CollectionError(
        f"The folders of {where} can be read in two ways: {one}, or {other}. Arrange them as class/split/name, list the"
        f" meshes in a CSV with the header path,label,split, or add --labels folder (the first folder is the class) or"
        f" --labels none."
    )


def _common(folders: Sequence[Parts]) -> int:
    """Return the number of folders that contain all meshes, counted up to 1."""
    return int(bool(folders) and all(folders) and len({parts[0] for parts in folders}) == 1)


def _plain_wrappers(folders: Sequence[Parts]) -> int:
    """Return the number of folders, 0 or 1, around the class folders; a single folder of splits is a class folder."""
    return 0 if _all_class_split(folders) else _common(folders)


def _all_splits(folders: Sequence[Parts], level: int) -> bool:
    return all(len(parts) > level and parts[level].lower() in _SPELLINGS for parts in folders)


def _all_class_split(folders: Sequence[Parts]) -> bool:
    return all(len(parts) > 1 and parts[1] in SPLITS for parts in folders)


def _are_classes(folders: Sequence[Parts]) -> bool:
    """Return whether the folders inside splits look like classes: any has several meshes, or occurs in two splits."""
    return len({parts[1] for parts in folders}) < len(folders)


def _is_misspelt(path: PurePosixPath) -> bool:
    """Return whether the second folder of a path is a misspelt split, such as ``Train`` or ``testing``."""
    below = path.parts[1:-1]
    return bool(below) and below[0] not in SPLITS and below[0].lower() in _SPELLINGS
