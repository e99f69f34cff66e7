"""Rows as CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from shapecnn.errors import visible


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file.

    Text comes from file names and labels, which anybody may have chosen. What a spreadsheet would take for a formula
    gets an apostrophe in front, as OWASP advises; line ends and control characters are written as ``\\\\x1b``.

    Args:
        rows: Text, numbers, and None for an empty cell.

    Returns:
        Lines that end in ``\\\\n``.

    Example:
        >>> csv_text([["name", "score"], ["=1+1", -0.5]])
        "name,score\\n'=1+1,-0.5\\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def is_csv_text(content: bytes, headings: Sequence[str], last: str) -> bool:
    """Whether a file is what :func:`csv_text` makes of rows of text below these headings, no cell empty, each of which
    ends in ``last``.

    A CSV has no place for a signature. But one that a person made, saved by a spreadsheet or wrote notes into has
    another form to the byte: other headings, line ends, quotes, or a row with more cells or fewer.
    """
    try:
        text = content.decode()
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return False
    full = all(len(row) == len(headings) and all(row) and row[-1] == last for row in rows[1:])
    return full and rows[:1] == [[*headings]] and csv_text(rows) == text


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
