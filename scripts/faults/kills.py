"""SIGKILL at random moments of a command."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rows import Row, Try
from running import Command, require
from subjects import PUBLISHING, Subject, Workshop, remove

_KINDS = ("clock", "change", "parent", "publication", "clock")
_HOW = (
    "SIGKILL: two in five to all processes at a moment drawn evenly from the run's duration; one to the parent alone, "
    "likewise, whose workers have to end too; one to all at a change of a file in OUT, drawn evenly, a file that is "
    "being written empty; one to all at a change of the publication. These, and half of the others, begin where a "
    "former run on less ended"
)


def rows(shop: Workshop, count: int) -> Iterator[Row]:
    """Yield a row of ``count`` kills for each command."""
    for subject in shop.subjects.values():
        kinds = [_KINDS[k % len(_KINDS)] for k in range(count)]
        tries: list[Try] = []
        for number, kind in enumerate(kinds):
            low, width = kinds[:number].count(kind) / kinds.count(kind), 1 / kinds.count(kind)
            tries.append(partial(_kill, subject, kind, low, width))
        yield Row("kill -9", _HOW, subject.name, "goes on; the same bytes as undisturbed, nothing made anew", tries)


def _kill(subject: Subject, kind: str, low: float, width: float, random: np.random.Generator, folder: Path) -> str:
    """Kill the command in the part of its run from ``low`` to ``low + width``, as fractions, then let it finish.

    If the run ends before the kill, an earlier moment is drawn. Returns the phase of the kill: start, work or
    publication.
    """
    out, share = folder / "out", low + width * random.random()
    earlier = kind == "publication" or bool(random.integers(2))  # only a publication over old files could mix both
    while True:
        remove(out)
        source = subject.begin(out, earlier=earlier)
        changes = {"change": subject.changes, "publication": subject.publishing}.get(kind)
        command = Command(
            subject.words(out),
            out,
            folder / "scratch",
            since=PUBLISHING if kind == "publication" else "",
            at=1 + int(share * changes) if changes else 0,
            number=signal.SIGKILL,
        )
        if not changes:
            time.sleep(share * subject.seconds)
            command.send(signal.SIGKILL, group=kind == "clock")
        ended = command.wait()
        if ended.status == -signal.SIGKILL:
            break
        share *= random.random()
    subject.require_intact(out, source)
    subject.go_on(out, folder / "scratch")
    left = sorted(path.name for path in folder.iterdir() if path.name not in ("out", "scratch"))
    require(not left, f"files are left beside OUT: {', '.join(left)}")
    return _met(ended.log.read_text().splitlines())


def _met(changes: list[str]) -> str:
    """Return the phase of a command after these changes: start, work or publication."""
    if any(f" {PUBLISHING}" in line for line in changes):
        return "publication"
    return "work" if any("/.lock" not in line for line in changes) else "start"
