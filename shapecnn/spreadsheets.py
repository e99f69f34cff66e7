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


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
