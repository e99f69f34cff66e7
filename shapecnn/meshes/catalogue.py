"""Read a CSV that lists the shapes of a collection: their paths, labels and splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from shapecnn.errors import CollectionError, quoted
from shapecnn.meshes.labels import SPLITS, split_by_name
from shapecnn.meshes.listing import is_hidden
from shapecnn.storage.csv_reader import read_csv
from shapecnn.storage.objects.url import Url

_COLUMNS = {"path": ("path", "object_path"), "label": ("label", "class"), "split": ("split",)}
"""Accepted column names of each field: the name in shapecnn, then the name in the metadata of ModelNet."""

_SAMPLE = 50  # number of rows whose files are searched on disk, to find the folder that the paths are relative to


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One row of a CSV that lists shapes.

    Attributes:
        name: Path of the mesh file relative to ``folder``, with ``/`` between folders.
        label: Name of the class; None if the cell is empty.
        split: train, val or test; None if the cell is empty.
        folder: Folder that the paths of the CSV are relative to.
    """

    name: str
    label: str | None
    split: str | None
    folder: Path


def read_catalogue(path: Path) -> tuple[list[CatalogueRow], list[str]]:
    """Read a CSV with the header ``path,label,split`` (or ModelNet's ``object_id,class,split,object_path``).

    :func:`shapecnn.storage.csv_reader.read_csv` describes the format. Paths are relative to the folder of the CSV. If
    none of the first 50 files exists there, the paths are relative to the one subfolder, at most two levels down, that
    has some of these files. A backslash separates folders, unless a file on disk has it in its name.

    Args:
        path: The CSV file.

    Returns:
        The rows in file order, and notes for the user, such as a guess of the encoding: a list of sentences.

    Raises:
        CollectionError: The file cannot be read, lacks a column, or has an invalid row. The message names the line.
    """
    rows, notes = read_csv(path, _COLUMNS, CollectionError)
    entries = [_entry(path, line, row) for line, row in rows]
    base = _base([name for name, _, _ in entries], path.parent)
    if base != path.parent:
        notes.append(f"{path}: the paths in this CSV are read as relative to {base}, where the files are.")
    return [CatalogueRow(_with_slashes(name, base), label, split, base) for name, label, split in entries], notes


def _entry(path: Path, line: int, row: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    """Check one row of a CSV; return its path, label (or None) and split (train, val, test or None)."""
    name, split = row["path"], row["split"] or None
    windows = PureWindowsPath(name) if "\\" in name else None
    parts = windows.parts if windows else [part for part in name.split("/") if part != "."]
    if not name or name.startswith("/") or ".." in parts or (windows and windows.anchor):
        raise CollectionError(f"{path}, line {line}: {quoted(name)} is not a path inside the folder of the CSV.")
    if any(map(is_hidden, parts)):  # the output folder has hidden files of its own
        hidden = "is hidden (a name that begins with a dot); rename it"
        raise CollectionError(f"{path}, line {line}: {quoted(name)} {hidden}.")
    standard = split_by_name(split) if split else None
    if split and standard is None:
        raise CollectionError(f"{path}, line {line}: the split {quoted(split)} is not one of {', '.join(SPLITS)}.")
    return name, row["label"] or None, standard


def _base(names: list[str], parent: Path) -> Path:
    """Return the folder that the paths of a CSV are relative to: the folder of the CSV, or one of its subfolders."""
    sample = names[:_SAMPLE]
    if isinstance(parent, Url) or any(_exists(parent, name) for name in sample):
        return parent
    folders = [parent]
    for _ in range(2):  # ModelNet40/ or, after unpacking, ModelNet40/ModelNet40/
        try:
            folders = sorted(sub for above in folders for sub in above.iterdir() if _is_open_folder(sub))
        except OSError:
            return parent
        matches = [folder for folder in folders if any(_exists(folder, name) for name in sample)]
        if len(matches) > 1:
            both = " and ".join(map(str, matches[:2]))
            raise CollectionError(
                f"The paths of a CSV in {parent} fit two folders, {both}: move the CSV into one of these folders."
            )
        if matches:
            return matches[0]
    return parent


def _is_open_folder(path: Path) -> bool:
    return not is_hidden(path.name) and path.is_dir()


def _exists(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file() or ("\\" in name and (folder / name.replace("\\", "/")).is_file())
    except (OSError, ValueError):  # no file can have this name
        return False


def _with_slashes(name: str, base: Path) -> str:
    """Replace the backslashes in a path by ``/``, unless a file below ``base`` has a name with these backslashes."""
    if "\\" not in name:
        return name
    try:
        is_literal = (base / name).is_file()
    except (OSError, ValueError):
        is_literal = False
    return name if is_literal else name.replace("\\", "/")
