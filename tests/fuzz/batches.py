"""Inputs by the hundred, in a process that may crash: what came of each, how long it took, what memory it had."""

from __future__ import annotations

import functools
import multiprocessing
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.readers import read_as
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import EXTENSIONS, TARGETS, attempt, digest, stored

SECONDS = 10.0  # of one input
GROWTH = 512.0  # MB of resident memory, by one input of at most 60 kB


@dataclass(frozen=True)
class Task:
    """``count`` inputs for a target.  folder: for what they write, and for a note of the input that is at work."""

    target: str
    seed: int
    count: int
    folder: Path

    @property
    def note(self) -> Path:
        """The last input begun: what is to blame if the process is gone."""
        return self.folder / f"{self.target}-{self.seed}.input"


@dataclass
class Batch:
    """What came of the inputs of a task.  findings: (what is wrong, the input)."""

    outcomes: Counter[str] = field(default_factory=Counter)
    digests: set[bytes] = field(default_factory=set)
    findings: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: float = 0.0
    growth: float = 0.0


def run(task: Task) -> Batch:
    """Runs in a worker."""
    multiprocessing.current_process().daemon = False  # some targets start workers of their own
    _warm_up(task.folder)
    batch = Batch()

    @settings(
        max_examples=task.count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(task.seed)
    @given(TARGETS[task.target].inputs)
    def one(drawn: Any) -> None:
        batch.digests.add(digest(drawn))
        task.note.write_bytes(stored(drawn))
        try:
            before = _resident(reset=True)
            started = time.perf_counter()
            outcome = attempt(task.target, drawn, task.folder / f"{task.target}-{task.seed}")
            seconds, growth = time.perf_counter() - started, _resident() - before
            batch.slowest, batch.growth = max(batch.slowest, seconds), max(batch.growth, growth)
            assert seconds <= SECONDS, f"it took {seconds:.1f} s"
            assert growth <= GROWTH, f"it took {growth:.0f} MB"
        except Exception as error:
            outcome = "finding"
            place = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
            batch.findings.append((told[:1000], stored(drawn)))
        batch.outcomes[outcome] += 1

    one()
    task.note.unlink()
    return batch


@functools.cache
def _warm_up(folder: Path) -> None:
    """Libraries and kernels are loaded once in a process, by no input of its own."""
    for extension in EXTENSIONS:
        for number, data in enumerate(seeds(extension)):
            read_as(extension)(data, _made(folder / f"warm-{time.monotonic_ns()}-{number}"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _resident(reset: bool = False) -> float:
    """The most memory (MB) that this process has had resident since the last reset; on Linux, else 0."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
