"""CSV files whose text a spreadsheet never evaluates as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from shapecnn.errors import visible


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Write rows as the text of a CSV file.

    The text in cells comes from file names and labels, which are not trusted. A cell that a spreadsheet would take for
    a formula gets an apostrophe in front, as OWASP advises; line ends and control characters become escapes such as
    ``\x1b``.

    Args:
        rows: Cells of text or numbers; None for an empty cell.

    Returns:
        The text, with ``\n`` at the end of each line.

    Example:
        >>> csv_text([["name", "score"], ["=1+1", -0.5]])
        "name,score\n'=1+1,-0.5\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def is_csv_text(content: bytes, headings: Sequence[str], last: str) -> bool:
    """Tell whether a file was written by :func:`csv_text` and has not been edited.

    CSV has no place for a signature. But a file that was made or edited by hand or saved by a spreadsheet differs in
    some byte: other headings, line ends or quotes, or a row with more or fewer cells.

    Args:
        content: The content of the file.
        headings: The cells of the first row.
        last: The text in the last cell of all other rows.

    Returns:
        True for these headings above rows of text without empty cells, in the exact form of :func:`csv_text`.
    """
    try:
        text = content.decode()
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return False
    complete = all(len(row) == len(headings) and all(row) and row[-1] == last for row in rows[1:])
    return complete and rows[:1] == [[*headings]] and csv_text(rows) == text


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
