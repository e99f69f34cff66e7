"""Results that show themselves: as text, as a table or a page in a notebook, as a pandas frame."""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shapecnn.errors import MissingLibraryError, visible

Result = TypeVar("Result")

SHOWN = 20
"""Rows that a table shows; the others are counted below it."""

_renderers: dict[type, Callable[[Any], str]] = {}


class Displayed:
    """Base of results that show themselves; a result says what its rows are."""

    __slots__ = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return the result as rows of values by column; every row has the same columns."""
        raise NotImplementedError

    def to_frame(self) -> Any:
        """Return a pandas frame of the rows.

        Raises:
            MissingLibraryError: pandas is not installed.
        """
        rows = self.rows()
        return pandas().DataFrame(rows)

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the page of such results, or a table of the rows."""
        renderer = _renderers.get(type(self))
        return html_table(self.rows()) if renderer is None else renderer(self)


class ResultList(list[Result], Displayed):
    """List of results that prints as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the rows as a table of text."""
        return text_table(self.rows())


def show_with(kind: type, renderer: Callable[[Any], str]) -> None:
    """Have notebooks show results of a type by a function.

    Pages are made above the layer of the results, so results do not know them.

    Args:
        kind: Class of the results.
        renderer: Returns the HTML of one result.
    """
    _renderers[kind] = renderer


def framed(page: str, height: int = 560) -> str:
    """Return a whole HTML page as a frame, whose style changes nothing else in a notebook.

    Args:
        page: HTML of the page.
        height: Height of the frame in pixels.
    """
    source = html.escape(page, quote=True)
    return f'<iframe srcdoc="{source}" style="width: 100%; height: {height}px; border: 0"></iframe>'


def pandas() -> Any:
    """Return the module pandas.

    Raises:
        MissingLibraryError: It is not installed.
    """
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise MissingLibraryError("Frames need pandas, which is not installed: pip install pandas") from None


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a table of text, columns as wide as their widest cell.

    Args:
        rows: Values by column; all rows have the same columns.

    Example:
        >>> print(text_table([{"path": "chair.off", "score": 0.91234}, {"path": "a.off", "score": 1.0}]))
        path       score
        chair.off  0.9123
        a.off      1
    """
    if not rows:
        return "(nothing)"
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows[:SHOWN])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*lines, *([f"… and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else [])])


def html_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as an HTML table; every value is text, whatever characters it holds.

    Args:
        rows: Values by column; all rows have the same columns.
    """
    if not rows:
        return "<p>(nothing)</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows[:SHOWN]
    )
    more = f"<p>… and {len(rows) - SHOWN} more</p>" if len(rows) > SHOWN else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else visible(str(value))
