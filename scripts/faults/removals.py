"""Files that are removed while a command runs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rows import Row
from running import Command, require
from subjects import LOCKED, Subject, Workshop, remove

from shapecnn.storage.unfinished import WORK


def rows(shop: Workshop, kills: int) -> Iterator[Row]:
    """Yield rows for removed inputs, removed artefacts and removed unfinished work."""
    tries = max(1, kills // 100)
    stopped = "when it is about to lock OUT, where it is stopped (SIGSTOP) meanwhile"
    for name in ("render", "voxelize", "data import", "index"):
        source = shop.made("voxelize") if name == "data import" else shop.meshes
        yield Row(
            "a mesh or grid is removed under the run",
            f"the last that was listed, {stopped}",
            name,
            "it fails by name, alone; put back, the next run makes it, to the same bytes",
            [partial(_source, shop.subjects[name], source)] * tries,
        )
    makers = {"train by gradients": "voxelize", "train in closed form": "render", "metric": "render", "eval": "render"}
    for name, maker in makers.items():
        yield Row(
            "an artefact is removed under the run",
            f"one that was listed, {stopped}; eval, which locks when all is read: before the run",
            name,
            "one sentence that names it; render or voxelize makes it alone anew; goes on to the same bytes",
            [partial(_artefact, shop, shop.subjects[name], shop.subjects[maker])] * tries,
        )
    for name in ("render", "voxelize", "data import", "index", "train by gradients", "train in closed form"):
        yield Row(
            "unfinished work is removed under the run",
            "the folder of it, at a change of a file in it (all processes are stopped meanwhile)",
            name,
            "one sentence, or none; with --overwrite, as nobody knows whose what is there is, to the same bytes",
            [partial(_work, shop.subjects[name])] * tries,
        )


def _held(subject: Subject, out: Path, scratch: Path) -> Command:
    """Start a command that stops before it locks OUT: its inputs are listed, but not yet read."""
    subject.begin(out)
    return Command(subject.words(out), out, scratch, since=LOCKED, at=1, number=signal.SIGSTOP)


def _source(subject: Subject, source: Path, _: np.random.Generator, folder: Path) -> str:
    copy, out, scratch = folder / "source", folder / "out", folder / "scratch"
    shutil.copytree(source, copy)
    moved = subject.on(source, copy, folder / "undisturbed", scratch)
    last = sorted(path for path in copy.rglob("*") if path.suffix in (".off", ".binvox"))[-1]

    ended = _held(moved, out, scratch).while_stopped(lambda: last.rename(folder / "aside"))
    answer = ended.answer(1)
    require(answer["failed"] == 1, f"{answer['failed']} failed")
    require(answer["failures"][0]["path"] == str(last), f"the failures do not name it: {answer['failures']}")
    (folder / "aside").rename(last)
    moved.go_on(out, scratch)
    return "named"


def _artefact(shop: Workshop, subject: Subject, maker: Subject, random: np.random.Generator, folder: Path) -> str:
    source = shop.made(maker.name)
    copy, out, scratch = folder / "data", folder / "out", folder / "scratch"
    shutil.copytree(source, copy)
    moved = subject.on(source, copy, folder / "undisturbed", scratch)
    if subject.name == "metric":  # reads only val artefacts: the run stores the features of train
        ids = json.loads((shop.made("train in closed form") / "split.json").read_text())["val"]
        read = [copy / Path(name).with_suffix(".png") for name in ids]
    else:
        read = sorted(copy.rglob("test/*.*" if subject.name == "eval" else "train/*.*"))
    victim = read[int(random.integers(len(read)))]
    if subject.name == "eval":
        victim.unlink()
        ended = Command(moved.words(out), out, scratch).wait()
    else:
        ended = _held(moved, out, scratch).while_stopped(victim.unlink)
    sentence = ended.sentence(1)
    require(str(victim) in sentence, f"the message does not name {victim}: {sentence}")
    repair = Command(maker.words(copy), copy, scratch).wait().answer()
    require(repair["written"] == 1, f"{maker.name} wrote {repair['written']} artefacts again")
    moved.go_on(out, scratch)
    return "named"


def _work(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    out, scratch = folder / "out", folder / "scratch"
    work = out / ("resume" if subject.name.startswith("train") else WORK)
    while True:
        remove(out)
        at = int(random.integers(3, subject.changes))
        command = Command(subject.words(out), out, scratch, at=at, number=signal.SIGSTOP)
        command.until(partial(_halted, command), "a process was stopped")
        command.send(signal.SIGSTOP)
        there = work.is_dir()
        if there:
            work.rename(folder / "gone")
        command.send(signal.SIGCONT)
        ended = command.wait()
        if there:
            break
    if ended.status != 0:
        ended.sentence(1)
    insist = [*subject.words(out), *subject.again, "--overwrite"]  # the lost work is done again
    Command(insist, out, scratch).wait().answer()
    subject.require_whole(out)
    return "told" if ended.status else "went on"


def _halted(command: Command) -> bool:
    return command.stopped() or not command.running()
