"""Tables in the results of commands: drawn by rich on a terminal, else as aligned columns for other programs."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from shapecnn.errors import visible
from shapecnn.shared.results import aligned


def table(
    rows: Sequence[Sequence[str]], header: Sequence[str] = (), numbers: Sequence[int] = (), indent: int = 0
) -> list[str]:
    """Return the lines of a table.

    On a terminal, rich breaks long cells to its width and draws a line below the header. Elsewhere, each row is one
    line without the header, which programs can read.

    Args:
        rows: Cells of each row; all rows have as many.
        header: Titles of the columns; empty for a table without titles.
        numbers: Positions of the columns with numbers, which are aligned to the right.
        indent: Number of spaces before each line.

    Example:
        >>> table([["mug", "3"], ["chair", "12"]], ["class", "shapes"], numbers=[1])
        ['mug     3', 'chair  12']
    """
    cells = [[visible(cell) for cell in row] for row in rows]
    if not cells:
        return []
    if is_drawn():
        return _drawn(cells, header, numbers, indent)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [(" " * indent + "  ".join(_padded(row, widths, numbers))).rstrip() for row in cells]


def titled(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table of figures, whose titles are also printed where no terminal is.

    Args:
        rows: Titles of the columns, then the cells of each row. The first column names what was measured.
    """
    header, *others = rows
    return table(others, header, range(1, len(header))) if is_drawn() else aligned(rows)


def wrapped(lines: Iterable[str]) -> list[str]:
    """Return lines of text; at a terminal, those wider than it are broken between words.

    Args:
        lines: Lines of text or of tables.
    """
    if not is_drawn():
        return [*lines]
    width = shutil.get_terminal_size().columns
    return [part for line in lines for part in (_broken(line, width) if len(line) > width else [line])]


def _broken(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def is_drawn() -> bool:
    """Return whether tables are drawn for people, because stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def _padded(row: Sequence[str], widths: Sequence[int], numbers: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if place in numbers else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _drawn(rows: Sequence[Sequence[str]], header: Sequence[str], numbers: Sequence[int], indent: int) -> list[str]:
    """Return the lines of a table without colours, because `emit` escapes control characters."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=box.SIMPLE_HEAD if header else None,
        show_header=bool(header),
        show_edge=False,
        pad_edge=False,
        collapse_padding=bool(header),
    )
    for place in range(len(rows[0])):
        title = visible(header[place]) if header else ""
        drawn.add_column(Text(title), justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=Console().width - indent, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(drawn)
    return [" " * indent + line.rstrip() for line in capture.get().splitlines() if line.strip()]


def size(count: int) -> str:
    """Return a number of bytes as text, such as ``1.5 MB``.

    Example:
        >>> size(950), size(1_500_000)
        ('950 bytes', '1.5 MB')
    """
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count} byte{'' if count == 1 else 's'}"
