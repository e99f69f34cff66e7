"""Show the progress of a command on stderr: a bar on a terminal, else (as in a log file) a line every 30 seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import is_quiet, note
from shapecnn.errors import visible
from shapecnn.workers.launch import is_first_process
from shapecnn.workers.progress import Progress, listen

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

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

    def waiting(self) -> str:
        """Return rate and time left or, for a stage that counts nothing, how long it has run: ``12 s so far``."""
        seconds = time.monotonic() - self.started
        return self.pace() if self.counts() or seconds < 1 else f"{duration(seconds)} so far"


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


class _Screen:
    """Bars of the running stages at a terminal, that of an inner stage below that of the outer one.

    All bars are one display of rich, because two displays would overwrite each other.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None  # only while a stage runs

    @contextmanager
    def stage(self, name: str, unit: str) -> Iterator[Progress]:
        """Show a stage of the command during a ``with`` block; yield the function that updates the item counts."""
        stage = _Stage(name, unit)
        bars = self._bars = self._bars or _bars()
        task = bars.add_task(visible(name), total=None, stage=stage)

        def update(done: int, total: int | None) -> None:
            stage.update(done, total)
            bars.update(task, completed=done, total=total or None)

        try:
            yield update
        finally:
            if len(bars.tasks) > 1:
                bars.remove_task(task)
            else:
                bars.stop()
                self._bars = None


def _bars() -> Bars:
    """Return a started display of bars, which disappears when it is stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Numbers(ProgressColumn):
        def render(self, task: Task) -> Text:
            stage: _Stage = task.fields["stage"]
            return Text("  ".join(filter(None, [stage.counts(), stage.waiting()])))

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),  # pulses until the total is known
        Numbers(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # data for a file or a pipe must not turn to stderr
    )
    bars.start()
    return bars


_heartbeat: _Heartbeat | None = None  # of the running command; None if stderr is a terminal
_screen = _Screen()


@contextmanager
def heartbeat() -> Iterator[None]:
    """Show the progress of each stage of a command while the ``with`` block runs, unless --quiet is set.

    At a terminal, a stage is a bar; elsewhere, a line tells of it every ``INTERVAL`` seconds.
    """
    global _heartbeat
    if not _is_terminal():
        _heartbeat = _Heartbeat(click.get_current_context())
    if is_first_process():
        listen(progress_bar)
    try:
        yield
    finally:
        listen()
        if _heartbeat is not None:
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
    if _heartbeat is not None:
        with _heartbeat.stage(task, unit) as update:
            yield update
    elif _is_terminal() and not is_quiet():
        with _screen.stage(task, unit) as update:
            yield update
    else:
        yield _Stage(task, unit).update


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
