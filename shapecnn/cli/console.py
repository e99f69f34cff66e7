"""What every command says and where: data on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from shapecnn.errors import visible

SCHEMA_VERSION = 1
_HALVES = re.compile("[\ud800-\udfff]")

Progress = Callable[[int, int | None], None]
"""Called with what is done and what there is to do in all (None: not known yet)."""


def say(message: str) -> None:
    """A message for the person, on stderr."""
    click.echo(_harmless(message), err=True)


def emit(value: object, as_json: bool, text: str | None = None) -> None:
    """The answer on stdout: one JSON value, or ``text`` for people."""
    if as_json:
        click.echo(json.dumps(_whole(value), allow_nan=False))  # in ASCII, which every locale can print
    elif text is not None:
        click.echo(_harmless(text))


def _whole(value: Any) -> Any:
    """``value`` with what is half a character, a byte of a file name that is no UTF-8, written as ``\\xe9``.

    JSON cannot hold it: what Python would write most other readers refuse.
    """
    if isinstance(value, str):
        return _HALVES.sub(lambda half: f"\\x{ord(half[0]) & 0xFF:02x}", value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list | tuple) else value


def _harmless(text: str) -> str:
    """What a terminal would obey, as a file name may hold it, made visible."""
    return "\n".join(map(visible, text.split("\n")))


@contextmanager
def progress_bar(description: str, unit: str = "shapes") -> Iterator[Progress]:
    """A bar with time left on stderr; silent when stderr is no terminal. ``unit="bytes"`` shows sizes."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    counters: list[ProgressColumn]
    if unit == "bytes":
        counters = [DownloadColumn(), TransferSpeedColumn()]
    else:
        counters = [MofNCompleteColumn(), TextColumn(unit)]
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        *counters,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
