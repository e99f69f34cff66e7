"""Workers that die or hang, and a second run of the same command."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rows import Row
from running import Command, require
from subjects import LOCKED, Subject, Workshop, contents, remove

_TIMEOUT = "5"  # seconds: meshes here take milliseconds, even on a machine with other things to do
_DEATHS = {
    "a worker is killed": (signal.SIGKILL, "SIGKILL, as by the system when memory is short,", "died (Killed)"),
    "a worker segfaults": (signal.SIGSEGV, "SIGSEGV", "died (Segmentation fault)"),
    "a worker hangs": (signal.SIGSTOP, f"SIGSTOP, with --timeout {_TIMEOUT},", f"took longer than {_TIMEOUT} s"),
}


def rows(shop: Workshop, kills: int) -> Iterator[Row]:
    """Yield a row for each kind of death in each command with workers, and one for each command run twice."""
    tries = max(1, kills // 100)
    for fault, (number, how, words) in _DEATHS.items():
        for name in ("render", "voxelize", "data import", "index"):
            yield Row(
                fault,
                f"{how} to one of two workers, some time after they start",
                name,
                "costs one mesh, which is named with the reason; the next run makes it, to the same bytes",
                [partial(_death, shop.subjects[name], number, words)] * tries,
            )
    for subject in shop.subjects.values():
        yield Row(
            "a second run on one output",
            "the first is stopped (SIGSTOP) as soon as it holds the lock, and goes on when the second has ended",
            subject.name,
            "the second is refused in one sentence; the first ends with the same bytes",
            [partial(_second, subject)] * tries,
        )


def _death(subject: Subject, number: signal.Signals, reason: str, random: np.random.Generator, folder: Path) -> str:
    out, wait = folder / "out", 0.5 * random.random()
    while True:
        remove(out)
        command = Command([*subject.words(out), "--timeout", _TIMEOUT], out, folder / "scratch")
        command.until(partial(_working, command), "there were two workers")
        time.sleep(wait)
        if workers := command.workers():
            os.kill(int(random.choice(workers)), number)
        ended = command.wait()
        answer = ended.answer(0, 1)
        if answer["failed"]:
            break
        wait /= 2  # the command had finished before
    require(
        ended.status == 1 and answer["failed"] == 1,
        f"{answer['failed']} meshes failed, and it ended with {ended.status}",
    )
    failure = answer["failures"][0]
    require(
        reason in failure["error"] and failure["path"] in ended.stderr,
        f"the message does not name the mesh or the reason: {failure}",
    )
    files = contents(out)
    artefacts = [name for name in subject.whole if name.endswith((".png", ".binvox"))]
    lost = [name for name in artefacts if files.get(name) != subject.whole[name]]
    require(len(lost) < 2, f"these artefacts are lost: {lost}")  # none if the worker died after writing its artefact
    subject.go_on(out, folder / "scratch")
    return "named"


def _working(command: Command) -> bool:
    return len(command.workers()) == 2


def _second(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    out, scratch = folder / "out", folder / "scratch"
    subject.begin(out, earlier=bool(random.integers(2)))
    first = Command(subject.words(out), out, scratch, since=LOCKED, at=2, number=signal.SIGSTOP)

    def rival() -> None:
        sentence = Command([*subject.words(out), *subject.again], out, scratch).wait().sentence(1)
        require(f"Another shapecnn process is writing to {out}" in sentence, f"not refused as busy: {sentence}")

    first.while_stopped(rival).answer()
    subject.require_whole(out)
    return "refused"
