"""Base classes of results, which display as a text table, as HTML in a notebook, or as a pandas data frame."""

from __future__ import annotations

import copy
import html
import importlib
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self, SupportsIndex, TypeVar, overload

from shapecnn.errors import MissingLibraryError, visible

Result = TypeVar("Result")

SHOWN = 20
"""Largest number of rows that a displayed table shows. A line below the table counts the remaining rows."""

_renderers: dict[type, Callable[[Any], str]] = {}


class Displayed:
    """Base class of results that display as a table in a notebook. Subclasses define the rows."""

    __slots__ = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return the result as table rows: dicts that map column names to values, all with the same columns."""
        raise NotImplementedError

    def to_frame(self) -> Any:
        """Return the rows as a pandas data frame.

        Raises:
            MissingLibraryError: pandas is not installed.
        """
        rows = self.rows()
        return pandas().DataFrame(rows)

    def _repr_html_(self) -> str:
        """Return HTML for a notebook, from the renderer that :func:`show_with` set, or else a table of the rows."""
        renderer = _renderers.get(type(self))
        return html_table(self.rows()) if renderer is None else renderer(self)


class ResultList(list[Result], Displayed):
    """List of results that prints as a table. Slicing returns a list of the same class.

    Attributes:
        per_item: Names of the attributes that are lists with one member for each result.
    """

    __slots__ = ()
    per_item: ClassVar[tuple[str, ...]] = ()

    @overload
    def __getitem__(self, index: SupportsIndex) -> Result: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Result | Self:
        """Return one result, or a list of the same class with the results of a slice."""
        if not isinstance(index, slice):
            return super().__getitem__(index)
        part = copy.copy(self)
        part[:] = super().__getitem__(index)
        for name in self.per_item:
            setattr(part, name, getattr(self, name)[index])
        return part

    def __repr__(self) -> str:
        """Return the rows as a text table."""
        return text_table(self.rows())


def show_with(kind: type, renderer: Callable[[Any], str]) -> None:
    """Set the function that renders results of one class as HTML in notebooks.

    The renderers are in packages that import the result classes, so the result classes cannot import the renderers.

    Args:
        kind: Class of the results.
        renderer: Function that takes one result and returns its HTML.
    """
    _renderers[kind] = renderer


def framed(page: str, height: int = 560) -> str:
    """Wrap a complete HTML page in an iframe, so that its style does not affect the rest of a notebook.

    Args:
        page: HTML of the page.
        height: Height of the iframe in pixels.

    Returns:
        HTML of the iframe.
    """
    source = html.escape(page, quote=True)
    return f'<iframe srcdoc="{source}" style="width: 100%; height: {height}px; border: 0"></iframe>'


def pandas() -> Any:
    """Import pandas and return the module.

    Raises:
        MissingLibraryError: pandas is not installed.
    """
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise MissingLibraryError("Data frames need pandas, which is not installed: pip install pandas") from None


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format rows as a text table, with each column as wide as its widest cell.

    Args:
        rows: Dicts that map column names to values; all have the same columns.

    Returns:
        The table, with at most :data:`SHOWN` rows and a line that counts the remaining rows.

    Example:
        >>> print(text_table([{"path": "chair.off", "score": 0.91234}, {"path": "a.off", "score": 1.0}]))
        path       score
        chair.off  0.9123
        a.off      1
    """
    if not rows:
        return "(nothing)"
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows[:SHOWN])]
    return "\n".join([*aligned(cells), *([f"… and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else [])])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a text table, with each column as wide as its widest cell.

    Args:
        rows: Cells of each row; all rows have as many.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def html_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format rows as an HTML table, with all special characters escaped.

    Args:
        rows: Dicts that map column names to values; all have the same columns.

    Returns:
        HTML of the table, with at most :data:`SHOWN` rows and a line that counts the remaining rows.
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
    number = isinstance(value, Real) and not isinstance(value, Integral)  # also true of numpy's float32
    return f"{value:.4g}" if number else visible(str(value))
