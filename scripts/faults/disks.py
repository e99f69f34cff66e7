"""Full and read-only disks: a small tmpfs, which needs root."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from rows import Impossible, Row
from running import Command, require
from subjects import Subject, Workshop, comparable, contents

_PAGE = 4096


def rows(shop: Workshop, kills: int) -> Iterator[Row]:
    """Yield two rows for each command: full disk and read-only disk."""
    tries = max(1, kills // 100)
    for subject in shop.subjects.values():
        yield Row(
            "disk full",
            "OUT on a tmpfs with so few bytes left that what is new does not fit, drawn evenly; then room is made",
            subject.name,
            "one sentence, earlier work intact; goes on to the same bytes",
            [partial(_full, subject)] * tries,
        )
    for subject in shop.subjects.values():
        yield Row(
            "read-only output",
            "the command is killed at a change of a file, OUT remounted read-only, and the command run; then remounted",
            subject.name,
            "one sentence, nothing touched; goes on to the same bytes",
            [partial(_read_only, subject)] * tries,
        )


def _full(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    with _disk(folder / "disk") as disk:
        out = disk / "out"
        source = subject.begin(out)
        former = contents(source) if source else {}
        new = [data for name, data in subject.whole.items() if former.get(name) != data]
        room = int(0.9 * random.random() * sum(-(-len(data) // _PAGE) * _PAGE for data in new))
        ballast = disk / "ballast"
        with ballast.open("wb") as file:
            space = os.statvfs(disk)
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_bsize - room)
        sentence = Command(subject.words(out), out, folder / "scratch").wait().sentence(1, 2)
        require(
            "No space left" in sentence or "are free" in sentence, f"the message does not name the disk: {sentence}"
        )
        subject.require_intact(out, source)
        ballast.unlink()
        subject.go_on(out, folder / "scratch")
    return "told"


def _read_only(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    with _disk(folder / "disk") as disk:
        out = disk / "out"
        subject.begin(out)
        at = int(random.integers(1, subject.changes + 1))
        Command(subject.words(out), out, folder / "scratch", at=at, number=signal.SIGKILL).wait()
        _mount("-o", "remount,ro", str(disk))
        before = {path: comparable(path) for path in out.rglob("*") if path.is_file()}
        sentence = Command([*subject.words(out), *subject.again], out, folder / "scratch").wait().sentence(1)
        require("Read-only" in sentence and str(out) in sentence, f"the message does not name the output: {sentence}")
        require(before == {path: comparable(path) for path in out.rglob("*") if path.is_file()}, "files changed")
        _mount("-o", "remount,rw", str(disk))
        subject.go_on(out, folder / "scratch")
    return "told"


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """Mount a tmpfs of 64 MB while the body runs."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*words: str) -> None:
    process = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if process.returncode:
        raise Impossible(f"nothing can be mounted here: {process.stderr.strip()}")
