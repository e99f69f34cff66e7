"""Write CSV files whose text a spreadsheet program never evaluates as a formula, and recognize such files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from shapecnn.errors import visible


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Format rows as CSV text that is safe to open in a spreadsheet program.

    File names and labels in cells are not trusted. A cell that a spreadsheet program would evaluate as a formula gets
    an apostrophe in front, as OWASP recommends. Line ends and control characters become escapes such as ``\x1b``.

    Args:
        rows: The rows, each a sequence of strings or numbers; None for an empty cell.

    Returns:
        The CSV text, with ``\n`` at the end of each line.

    Example:
        >>> csv_text([["name", "score"], ["=1+1", -0.5]])
        "name,score\n'=1+1,-0.5\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def is_csv_text(content: bytes, headings: Sequence[str], last: str) -> bool:
    """Tell whether shapecnn wrote a CSV file, using :func:`csv_text`, and nobody edited it afterwards.

    CSV files cannot hold a signature. Instead, the function compares the exact form: a file that was edited by hand or
    saved by a spreadsheet program has other headings, line ends or quotes, or rows of another length.

    Args:
        content: The content of the file.
        headings: Expected cells of the first row.
        last: Expected text in the last cell of every row below the headings.

    Returns:
        True if the first row is ``headings``, no other row has empty cells, every other row ends with ``last``, and the
        text is formatted exactly as :func:`csv_text` formats it.
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
