"""A CSV that lists the shapes of a collection, as spreadsheets and other people's scripts write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from shapecnn.errors import CollectionError, quoted
from shapecnn.meshes.folders import is_hidden
from shapecnn.meshes.labels import SPLITS, split_called

_COLUMNS = {"path": ("path", "object_path"), "label": ("label", "class"), "split": ("split",)}
"""Our columns, and what they may be called: the second names are those of ModelNet's metadata."""

_SEPARATORS = ",;\t"
_LOOKED_AT = 50  # rows whose files are looked for, to learn from where paths are meant


@dataclass(frozen=True, slots=True)
class Listed:
    """One row.  name: the path as it is under ``folder``, with ``/``; label and split: None where the cell is empty."""

    name: str
    label: str | None
    split: str | None
    folder: Path


def read_catalogue(path: Path) -> tuple[list[Listed], list[str]]:
    """The rows of a CSV with a header ``path,label,split`` (or ModelNet's ``object_id,class,split,object_path``).

    Columns are told by their names, in any order and case, and are separated by commas, semicolons or tabs. The text
    is UTF-8, UTF-16 with a byte-order mark, or else taken for Windows-1252. Paths are relative to the folder of the
    CSV; where none of the first are there, to the one folder beside it that holds them. A backslash separates folders
    unless a file is called so.

    Returns:
        The rows, and what a person should know of how they were read.

    Raises:
        CollectionError: It cannot be read, lacks a column, or a row is wrong: which is named.
    """
    text, told = _text(path)
    try:
        rows = list(_rows(path, text))
    except csv.Error as error:
        raise CollectionError(f"{path} cannot be read as a CSV: {error}.") from None
    listed = [_listed(path, line, row) for line, row in rows]
    base = _base([name for name, _, _ in listed], path.parent)
    if base != path.parent:
        told.append(f"{path}: its paths are read as relative to {base}, where the files are.")
    return [Listed(_found(name, base), label, split, base) for name, label, split in listed], told


def _text(path: Path) -> tuple[str, list[str]]:
    try:
        data = path.read_bytes()  # a person's own file, which may be a link
    except OSError as error:
        raise CollectionError(f"{path} cannot be read: {error.strerror or error}.") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    damaged = CollectionError(f"{path} cannot be read as a CSV: save it in UTF-8.")
    if encoding != "utf-16" and 4 * data.count(b"\0") > len(data):  # UTF-16 without its mark, or no text at all
        raise damaged
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError:
        if encoding == "utf-16":
            raise damaged from None
    # As Excel writes where the system's language is a western one; its five unused bytes keep their value.
    return data.decode("cp1252", "replace"), [f"{path} is not in UTF-8: its text is read as Windows-1252 (Latin-1)."]


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The line and the cells of each row, by our columns."""
    hint, _, rest = text.partition("\n")
    skipped = 0
    if hint.strip().lower().startswith("sep=") and len(hint.strip()) <= len("sep=;"):  # a hint to Excel
        text, skipped = rest, 1
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)  # the first of them where none is there
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    places = _places(path, next(filter(None, rows), []))  # behind blank lines
    for row in rows:
        if row:
            cells = {column: row[place].strip() if place < len(row) else "" for column, place in places.items()}
            yield rows.line_num + skipped, cells


def _places(path: Path, header: list[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    places = {
        column: names.index(name)
        for column, possible in _COLUMNS.items()
        for name in reversed(possible)
        if name in names
    }
    if places.keys() != _COLUMNS.keys():
        missing = ", ".join(sorted(_COLUMNS.keys() - places.keys()))
        raise CollectionError(f"{path} lacks the header path,label,split: no column is called {missing}.")
    return places


def _listed(path: Path, line: int, row: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    name, split = row["path"], row["split"] or None
    windows = PureWindowsPath(name)
    parts = windows.parts if "\\" in name else PurePosixPath(name).parts
    if not name or name.startswith("/") or ".." in parts or ("\\" in name and windows.anchor):
        raise CollectionError(f"{path}, line {line}: {quoted(name)} is not a path inside the folder of the CSV.")
    if any(map(is_hidden, parts)):  # an artefact of that name would land among an output's own hidden files
        hidden = "is hidden (a name that begins with a dot); rename it"
        raise CollectionError(f"{path}, line {line}: {quoted(name)} {hidden}.")
    known = split_called(split) if split else None
    if split and known is None:
        raise CollectionError(f"{path}, line {line}: the split {quoted(split)} is none of {', '.join(SPLITS)}.")
    return name, row["label"] or None, known


def _base(names: list[str], beside: Path) -> Path:
    """The folder that the paths are relative to."""
    some = names[:_LOOKED_AT]
    if any(_exists(beside, name) for name in some):
        return beside
    folders = [beside]
    for _ in range(2):  # ModelNet40/ or, as it is unpacked, ModelNet40/ModelNet40/
        try:
            folders = sorted(sub for above in folders for sub in above.iterdir() if _is_open_folder(sub))
        except OSError:
            return beside
        holding = [folder for folder in folders if any(_exists(folder, name) for name in some)]
        if len(holding) > 1:
            both = " and ".join(map(str, holding[:2]))
            raise CollectionError(f"The paths of a CSV in {beside} fit {both}: put it into the one that is meant.")
        if holding:
            return holding[0]
    return beside


def _is_open_folder(path: Path) -> bool:
    return not is_hidden(path.name) and path.is_dir()


def _exists(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file() or ("\\" in name and (folder / name.replace("\\", "/")).is_file())
    except (OSError, ValueError):  # a name that no file can have
        return False


def _found(name: str, base: Path) -> str:
    if "\\" not in name:
        return name
    try:
        taken_literally = (base / name).is_file()
    except (OSError, ValueError):
        taken_literally = False
    return name if taken_literally else name.replace("\\", "/")
