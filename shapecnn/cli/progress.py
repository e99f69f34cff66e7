"""Show the progress of a command on stderr: a bar on a terminal, else (as in a log file) a line every 30 seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from shapecnn.cli.console import is_quiet, note
from shapecnn.workers.progress import Progress, listen

INTERVAL = 30.0
"""Seconds between two progress lines."""


@dataclass(slots=True)
class _Stage:
    """One stage of a command and its progress, such as drawing the meshes of a collection.

    Attributes:
        name: Name of the stage, such as "Drawing".
        unit: Plural noun of the counted units, such as "meshes"; ``bytes`` are shown as MB.
        done: Number of finished units.
        total: Number of all units; None if it is not known yet.
        first: Number of units that an earlier run had finished, equal to ``done`` at the first update; None before the
            first update.
        started: Time of the first update, in seconds of the monotonic clock.
    """

    name: str
    unit: str
    done: int = 0
    total: int | None = None
    first: int | None = None
    started: float = field(default_factory=time.monotonic)

    def update(self, done: int, total: int | None) -> None:
        if self.first is None:
            self.first, self.started = done, time.monotonic()
        self.done, self.total = done, total

    def counts(self) -> str:
        """Return the count as text, such as ``120 of 800 shapes``; empty before the first update."""
        if self.first is None or (not self.done and not self.total):
            return ""
        if self.unit == "bytes":
            total = f" of {self.total / 1e6:,.1f}" if self.total else ""
            return f"{self.done / 1e6:,.1f}{total} MB"
        return f"{self.done:,} of {self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"

    def pace(self) -> str:
        """Return rate and time left, such as ``4.1 shapes a second, 3 min left``; empty before the first unit."""
        seconds = time.monotonic() - self.started
        fresh = self.done - (self.first or 0)
        if fresh <= 0 or seconds <= 0:
            return ""
        rate = fresh / seconds
        if self.unit == "bytes":
            text = f"{rate / 1e6:,.1f} MB a second"
        else:
            text = f"{rate:,.1f} {self.unit} a second" if rate >= 1 else f"{60 * rate:,.1f} {self.unit} a minute"
        if self.total and self.total > self.done:
            text += f", {duration((self.total - self.done) / rate)} left"
        return text


class _Heartbeat:
    """Background thread that prints a progress line about the current stage every ``INTERVAL`` seconds."""

    def __init__(self, context: click.Context) -> None:
        self._context = context
        self._started = time.monotonic()
        self._stages: list[_Stage] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def push(self, stage: _Stage) -> None:
        self._stages.append(stage)

    def pop(self) -> None:
        self._stages.pop()

    @contextmanager
    def stage(self, name: str, unit: str) -> Iterator[Progress]:
        """Report a stage of the command during a ``with`` block; yield the function that updates the item counts."""
        stage = _Stage(name, unit)
        self.push(stage)
        try:
            yield stage.update
        finally:
            self.pop()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._end.wait(INTERVAL):
            with self._context.scope(cleanup=False):  # a new thread has no click context and would ignore --quiet
                note(self._line())

    def _line(self) -> str:
        so_far = f"{duration(time.monotonic() - self._started)} so far"
        if not self._stages:
            return f"Working, {so_far}"
        stage = self._stages[-1]
        counts = stage.counts()
        return ", ".join(filter(None, [f"{stage.name}: {counts}" if counts else stage.name, stage.pace(), so_far]))


_heartbeat: _Heartbeat | None = None  # of the running command; None if stderr is a terminal


@contextmanager
def heartbeat() -> Iterator[None]:
    """Print progress lines while the ``with`` block runs, unless stderr is a terminal or --quiet is set."""
    global _heartbeat
    if _is_terminal():
        yield
        return
    _heartbeat = _Heartbeat(click.get_current_context())
    listen(_heartbeat.stage)
    try:
        yield
    finally:
        listen()
        _heartbeat.stop()
        _heartbeat = None


@contextmanager
def progress_bar(task: str, unit: str = "shapes") -> Iterator[Progress]:
    """Show progress (count, rate, time left) while the ``with`` block runs: a bar on a terminal, lines elsewhere.

    Args:
        task: Name of the stage, such as "Drawing".
        unit: Plural noun of the counted units, such as "meshes"; ``bytes`` are shown as MB.

    Yields:
        Function to call with the number of finished units and the number of all units (None if it is not known yet).
    """
    stage = _Stage(task, unit)
    if is_quiet() or (_heartbeat is None and not _is_terminal()):
        yield stage.update
    elif _heartbeat is None:
        yield from _terminal_bar(stage)
    else:
        with _heartbeat.stage(task, unit) as update:
            yield update


def _terminal_bar(stage: _Stage) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),  # pulses until the total is known
        TextColumn("{task.fields[counts]}", markup=False),
        TextColumn("{task.fields[pace]}", markup=False),
    ]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(stage.name, total=None, counts=stage.counts(), pace="")

        def update(done: int, total: int | None) -> None:
            stage.update(done, total)
            bar.update(task, completed=done, total=total or None, counts=stage.counts(), pace=stage.pace())

        yield update


def duration(seconds: float) -> str:
    """Format a duration in seconds: ``40 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
