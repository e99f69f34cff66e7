"""kill -9 at any moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from processes import Command, require
from rows import Row, Try
from subjects import PUBLISHING, Subject, Workshop, remove

_KINDS = ("clock", "change", "parent", "publication", "clock")
_HOW = (
    "SIGKILL: two in five to all processes at a moment drawn evenly from the run's duration; one to the parent alone, "
    "likewise, whose workers have to end too; one to all at a change of a file in OUT, drawn evenly, a file that is "
    "being written empty; one to all at a change of the publication. These, and half of the others, begin where a "
    "former run on less ended"
)


def rows(shop: Workshop, count: int) -> Iterator[Row]:
    """A row for each command, of ``count`` kills."""
    for subject in shop.subjects.values():
        kinds = [_KINDS[k % len(_KINDS)] for k in range(count)]
        tries: list[Try] = []
        for number, kind in enumerate(kinds):
            low, width = kinds[:number].count(kind) / kinds.count(kind), 1 / kinds.count(kind)
            tries.append(partial(_kill, subject, kind, low, width))
        yield Row("kill -9", _HOW, subject.name, "goes on; the same bytes as undisturbed, nothing made anew", tries)


def _kill(subject: Subject, kind: str, low: float, width: float, random: np.random.Generator, folder: Path) -> str:
    """Kill the command in this part of its run; returns at what it was: start, work or publication.

    In a run that ended before, the moment is drawn anew from the time until then.
    """
    out, share = folder / "out", low + width * random.random()
    earlier = kind == "publication" or bool(random.integers(2))  # only there old and new could be mixed
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
    require(not left, f"beside OUT there is left: {', '.join(left)}")
    return _met(ended.log.read_text().splitlines())


def _met(changes: list[str]) -> str:
    """At what a command was when it had made these changes."""
    if any(f" {PUBLISHING}" in line for line in changes):
        return "publication"
    return "work" if any("/.lock" not in line for line in changes) else "start"
