"""Run ``shapecnn`` in its own process group, to watch it, kill it and wait for it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 300.0  # seconds after which a command counts as hanging
LAST_WORDS = 30.0  # seconds: an orphaned worker server first finishes loading its modules

_numbers = itertools.count()


class Fault(Exception):  # noqa: N818  # not an error of this program, but a result of a try
    """Failure of a try; the message says which requirement was violated."""


def require(condition: object, sentence: str) -> None:
    """Raise a Fault unless ``condition`` holds."""
    if not condition:
        raise Fault(sentence)


@dataclass(frozen=True, slots=True)
class Ended:
    """Result of a command.

    Attributes:
        status: Exit status; negative: number of the signal that ended it.
        stdout: Standard output.
        stderr: Standard error.
        seconds: Duration.
        log: File with the changes in the watched folder, one per line.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    log: Path

    def answer(self, *statuses: int) -> Any:
        """Return the JSON answer; raise a Fault unless the exit status is one of these, by default 0."""
        allowed = statuses or (0,)
        require(self.status in allowed and self.stdout, f"it ended with {self.status}: {self.stderr[-300:]!r}")
        return json.loads(self.stdout)

    def sentence(self, *statuses: int) -> str:
        """Return the error message of a failed command; raise a Fault unless there is exactly one."""
        require(self.status in statuses, f"it ended with {self.status}, not {statuses}: {self.stderr[-300:]!r}")
        errors = [line for line in self.stderr.splitlines() if line.startswith("Error: ")]
        traced = "Traceback" in self.stderr
        require(len(errors) == 1 and not traced and len(errors[0]) < 600, f"no clear message: {self.stderr[-600:]!r}")
        return errors[0]


class Command:
    """Running ``shapecnn`` command.

    Args:
        words: Arguments of the command line.
        folder: Folder to watch.
        scratch: Folder for its temporary files and its output.
        since: Beginning of the path whose first change starts the count, see ``watched``.
        at: Number of the change before which the signal is sent; 0: never.
        number: Number of the signal.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, scratch: Path, *, since: str = "", at: int = 0, number: int = 0
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        name = scratch / f"{next(_numbers):05d}"
        self.log, self._said = name.with_suffix(".log"), (name.with_suffix(".out"), name.with_suffix(".err"))
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(scratch),
            "FAULTS_FOLDER": str(folder),
            "FAULTS_LOG": str(self.log),
            "FAULTS_SINCE": since,
            "FAULTS_AT": str(at),
            "FAULTS_SIGNAL": str(number),
        }
        self.log.touch()
        self.started = time.monotonic()
        with self._said[0].open("wb") as stdout, self._said[1].open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("watched.py")), *words],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def group(self) -> list[int]:
        """Return the ids of its living processes."""
        return [pid for pid, process in _processes().items() if process.group == self.pid]

    def workers(self) -> list[int]:
        """Return the ids of its worker processes, the children of the worker server."""
        group = {pid: process.parent for pid, process in _processes().items() if process.group == self.pid}
        return sorted(pid for pid, parent in group.items() if parent != self.pid and parent in group)

    def stopped(self) -> bool:
        """Whether one of its processes is stopped."""
        return any(process.state == "T" for process in _processes().values() if process.group == self.pid)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until ``condition`` holds; raise a Fault if the command ends before."""
        while not condition():
            require(self.running(), f"it ended before {what}: {self._said[1].read_text()[-300:]!r}")
            time.sleep(0.002)

    def send(self, number: int, *, group: bool = True) -> None:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def while_stopped(self, act: Callable[[], object]) -> Ended:
        """Wait until the command is stopped, call ``act``, let the command continue, and return its result."""
        self.until(self.stopped, "it was stopped")
        try:
            act()
        finally:
            self.send(signal.SIGCONT)
        return self.wait()

    def wait(self) -> Ended:
        """Return the result; raise a Fault if the command hangs or one of its processes outlives it."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            raise Fault(f"it hangs: not done after {PATIENCE:g} s") from None
        seconds = time.monotonic() - self.started
        while left := self.group():
            if time.monotonic() - self.started > seconds + LAST_WORDS:
                survivors = "; ".join(map(_describe, left))
                self.send(signal.SIGKILL)
                raise Fault(f"{len(left)} of its processes outlive it ({survivors})")
            time.sleep(0.01)
        stdout, stderr = (file.read_text(errors="backslashreplace") for file in self._said)
        return Ended(status, stdout, stderr, seconds, self.log)


def _describe(pid: int) -> str:
    """Return the command line of a process, its state, its kernel wait channel and its CPU time."""
    try:
        place = Path(f"/proc/{pid}")
        command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        state, *times = [(place / "stat").read_text().rpartition(")")[2].split()[n] for n in (0, 11, 12)]
        ticks = sum(map(int, times))
        return f"{command[:120]!r} in state {state}, {(place / 'wchan').read_text()}, {ticks / 100:.1f} s computed"
    except OSError:
        return "a process that has just ended"


class _Process(NamedTuple):
    state: str
    parent: int
    group: int


def _processes() -> dict[int, _Process]:
    """Return all processes except zombies, by id."""
    processes = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if state != "Z":
                    processes[int(entry.name)] = _Process(state, int(parent), int(group))
    return processes


def end_all(folder: Path) -> None:
    """Kill all remaining processes of the command that watched ``folder``."""
    mark = f"FAULTS_FOLDER={folder}".encode()
    for pid in _processes():
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                os.kill(pid, signal.SIGKILL)
