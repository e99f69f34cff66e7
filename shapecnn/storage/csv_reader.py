"""Read CSV files in the encodings and with the separators that common spreadsheet programs write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.storage.objects.store import read_object
from shapecnn.storage.objects.url import Url

_SEPARATORS = ",;\t"
_LARGEST = 1 << 30  # bytes of a CSV in an object store


def read_csv(
    path: Path, columns: Mapping[str, tuple[str, ...]], error: type[UsageError] = UsageError
) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Read some columns of a CSV file with a header.

    The order of the columns and the case of their names do not matter. Commas, semicolons or tabs separate the columns.
    The text is UTF-8, UTF-16 with a byte-order mark, or else Windows-1252.

    Args:
        path: The CSV file.
        columns: Names that each column to read may have in the header, by its key in the result.
        error: Class of the raised errors.

    Returns:
        For each row below the header, its line number from 1 and the text of its cells by column key; empty rows are
        left out, and missing cells are empty. And notes for the user, such as a guess of the encoding: a list of
        sentences.

    Raises:
        UsageError: The file cannot be read, is not text, or lacks a column; of the class ``error``.
    """
    text, notes = _text(path, error)
    try:
        return list(_rows(path, text, columns, error)), notes
    except csv.Error as problem:
        raise error(f"{path} cannot be read as a CSV: {problem}.") from None


def _text(path: Path, error: type[UsageError]) -> tuple[str, list[str]]:
    """Return the decoded text of a CSV file, and notes for the user on its encoding (a list of sentences)."""
    try:
        # a file that the user names may be a symbolic link
        data = read_object(path, _LARGEST) if isinstance(path, Url) else path.read_bytes()
    except ValueError:
        raise error(f"{path} is larger than {_LARGEST / 1e9:.0f} GB. Split it.") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror or problem}.") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    damaged = error(f"{path} cannot be read as a CSV: save it in UTF-8.")
    if encoding != "utf-16" and 4 * data.count(b"\0") > len(data):  # UTF-16 without a byte-order mark, or not text
        raise damaged
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError:
        if encoding == "utf-16":
            raise damaged from None
    # Excel writes Windows-1252 in western countries. Five byte values are undefined and replaced.
    return data.decode("cp1252", "replace"), [f"{path} is not in UTF-8: its text is read as Windows-1252 (Latin-1)."]


def _rows(
    path: Path, text: str, columns: Mapping[str, tuple[str, ...]], error: type[UsageError]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells of each row of a CSV; the cells are a dictionary by column key."""
    hint, _, rest = text.partition("\n")
    skipped = 0
    if hint.strip().lower().startswith("sep=") and len(hint.strip()) <= len("sep=;"):  # for Excel
        text, skipped = rest, 1
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)  # a comma if the line has no separator
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    places = _places(path, next(filter(None, rows), []), columns, error)  # the header, after blank lines
    for row in rows:
        if row:
            cells = {column: row[place].strip() if place < len(row) else "" for column, place in places.items()}
            yield rows.line_num + skipped, cells


def _places(
    path: Path, header: list[str], columns: Mapping[str, tuple[str, ...]], error: type[UsageError]
) -> dict[str, int]:
    """Find the column number of each column key in the header of a CSV."""
    names = [name.strip().lower() for name in header]
    places = {
        column: names.index(name)
        for column, possible in columns.items()
        for name in reversed(possible)
        if name in names
    }
    if places.keys() != columns.keys():
        missing = ", ".join(sorted(columns.keys() - places.keys()))
        raise error(f"{path} lacks the header {','.join(columns)}: no column is called {missing}.")
    return places
