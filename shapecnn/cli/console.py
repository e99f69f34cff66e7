"""What every command says and where: data on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

SCHEMA_VERSION = 1

Progress = Callable[[int, int | None], None]
"""Called with what is done and what there is to do in all (None: not known yet)."""


def say(message: str) -> None:
    """A message for the person, on stderr."""
    click.echo(message, err=True)


def emit(value: object, as_json: bool, text: str | None = None) -> None:
    """The answer on stdout: one JSON value, or ``text`` for people."""
    if as_json:
        click.echo(json.dumps(value, allow_nan=False))  # in ASCII, which every locale can print
    elif text is not None:
        click.echo(text)


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
