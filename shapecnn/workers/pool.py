"""Work on many shapes in several processes; a worker that dies, hangs or grows costs one shape, not the batch.

Each worker has a pipe of its own and one task at a time, so that there is never a doubt on which it died. Workers that
share a queue leave one: concurrent.futures gives up the whole pool, pebble now and then blames another task.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, TypeVar

from shapecnn.errors import ItemError, ProcessError, UsageError, WorkerError
from shapecnn.workers.server import start_process, start_server
from shapecnn.workers.worker import serve

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that work on shapes, and what each of them may take.

    count: None for one a core.  timeout: seconds for one shape; the largest mesh that is read at all takes well under a
    minute.  memory: GiB, where the system can limit it (Linux).  Either may be infinite; UsageError for one that is no
    number above 0.

    They do not run the caller's program again: it needs no ``if __name__ == "__main__":``, and may come from standard
    input or a notebook.
    """

    count: int | None = None
    timeout: float = 300.0
    memory: float = 2.0

    def __post_init__(self) -> None:
        for name in ("timeout", "memory"):
            if not getattr(self, name) > 0:  # nan, too
                raise UsageError(f"--{name} {getattr(self, name)} is no number above 0.")


ONE_A_CORE = Workers()


def available_cores() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: Workers = ONE_A_CORE
) -> Generator[tuple[Task, Result | ItemError], None, None]:
    """Each task with what ``function`` made of it, or the ItemError that came of it, as they are finished.

    Tasks are drawn as workers fall free and at most two results of each are held. ``function`` is importable by name.

    What is no task's own is raised here: any other ShapecnnError, such as of a missing library, and an OSError, such as
    of a full disk; ProcessError if a worker cannot be started. Other errors are bugs, which cost their task, as a crash
    does. Closing the generator stops the workers.
    """
    context = start_server()
    size = workers.count or available_cores()
    source = iter(tasks)
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    outcomes: list[tuple[Task, Any]] = []
    try:
        while True:
            for task in itertools.islice(source, size - len(busy)):
                busy.append(idle.pop() if idle else _Worker(context, function, workers.memory))
                busy[-1].give(task, workers.timeout)
            yield from outcomes  # while the workers are at the next tasks
            if not busy:
                break
            patience = min(
                60.0, min(worker.deadline for worker in busy) - time.monotonic()
            )  # inf is too long for select
            answered = connection.wait([worker.pipe for worker in busy], max(patience, 0.0))
            now = time.monotonic()
            finished = [worker for worker in busy if worker.pipe in answered or worker.deadline <= now]
            busy = [worker for worker in busy if worker not in finished]
            idle += finished
            outcomes = [(worker.task, worker.outcome()) for worker in finished]
            idle = [worker for worker in idle if worker.process.is_alive()]
    finally:
        for worker in [*idle, *busy]:
            worker.stop()


class _Worker:
    """A process that works on one task at a time."""

    def __init__(self, context: Any, function: Callable[[Any], Any], memory: float) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = start_process(context, serve, theirs, memory)
        theirs.close()  # so that the end of the process is the end of the pipe
        try:
            self.pipe.send(function)
            refused = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            refused = f"it ended with {self._end()}" if (self.process.exitcode or 0) >= 0 else None  # None: killed
        except BaseException:
            self.stop()
            raise
        if refused is not None:
            self.stop()
            raise ProcessError(f"A worker process could not start: {refused}.")

    def give(self, task: Any, timeout: float) -> None:
        self.task, self.timeout = task, timeout
        self.deadline = time.monotonic() + timeout
        with contextlib.suppress(BrokenPipeError):  # it died while idle, as outcome() will find
            self.pipe.send(task)

    def outcome(self) -> Any:
        """What came of the task; a worker that gave no answer is stopped."""
        if not self.pipe.poll():
            self.stop()
            return WorkerError("timeout", f"it took longer than {self.timeout:g} s: simplify it, or raise --timeout")
        try:
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            self.stop()
            killed = self.process.exitcode == -signal.SIGKILL
            hint = ", perhaps as the machine had no memory left: use fewer --workers" if killed else ""
            return WorkerError("crashed", f"the process that worked on it died ({self._end()}){hint}")
        if isinstance(error, WorkerError):
            self.stop()  # who knows what is left in it: the next task starts in a new one
        if error is not None and not isinstance(error, ItemError):
            raise error
        return result if error is None else error

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _end(self) -> str:
        """How the process ended, once it is stopped."""
        code = self.process.exitcode or 0
        return f"exit status {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
