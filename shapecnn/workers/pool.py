"""Pool of worker processes: if a worker dies, hangs or uses too much memory, one task fails and the batch goes on.

Each worker has its own pipe and works on one task at a time, so the pool knows which task a dead worker had. In pools
with a shared queue, the task is unknown: concurrent.futures stops the whole pool, and pebble may blame another task.
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
from shapecnn.workers.launch import local_process_count
from shapecnn.workers.server import start_process, start_server
from shapecnn.workers.worker import serve

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Workers:
    """Number of worker processes, their time limit per task, and their memory limit.

    Worker processes do not import the caller's main module. So the caller's program does not need
    ``if __name__ == "__main__":``, and may be a notebook or come from standard input.

    Attributes:
        count: Number of processes, at least 1; None for one per core.
        timeout: Time limit for one task in seconds, above 0; may be infinite. The largest mesh that can be read takes
            well under a minute.
        memory: Memory limit for one process in GiB, above 0; may be infinite. It is enforced on Linux only.

    Raises:
        UsageError: ``timeout`` or ``memory`` is not a number above 0.
    """

    count: int | None = None
    timeout: float = 300.0
    memory: float = 2.0

    def __post_init__(self) -> None:
        if self.count is not None and not (isinstance(self.count, int) and self.count >= 1):
            raise UsageError(f"--workers must be a whole number of at least 1, not {self.count!r}.")
        for name in ("timeout", "memory"):
            if not getattr(self, name) > 0:  # also for NaN
                raise UsageError(f"--{name} must be a number above 0, not {getattr(self, name)}.")


ONE_PER_CORE = Workers()


def as_workers(workers: Workers | int) -> Workers:
    """Return the settings of worker processes; a plain number becomes this number of processes.

    Args:
        workers: Settings, or a number of processes of at least 1.

    Raises:
        UsageError: ``workers`` is neither.
    """
    if isinstance(workers, Workers):
        return workers
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise UsageError(f"workers = {workers!r}: give a number of processes, or Workers(count, timeout, memory).")
    return Workers(workers)


def available_cores() -> int:
    """Return the number of processor cores on which this process may run.

    The processes of a training that torchrun has started on this machine share the cores equally.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // local_process_count())


def run(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: Workers = ONE_PER_CORE
) -> Generator[tuple[Task, Result | ItemError], None, None]:
    """Call a function on each task in worker processes, and yield the results in the order in which they finish.

    The next task is taken from ``tasks`` when a worker is idle. At most two results per worker wait in memory. Closing
    the generator stops the workers.

    Args:
        function: A function of this package, importable by name.
        tasks: Arguments of the calls, one for each call. They must be picklable.
        workers: Number of worker processes, and their time and memory limits.

    Yields:
        A pair for each task: the task, and its result or an ItemError. The ItemError is a WorkerError if the worker
        process crashed, exceeded a limit, or raised an unexpected exception.

    Raises:
        ShapecnnError: A call raised an error that would affect all tasks, such as a missing library.
        OSError: A call raised an operating system error, such as a full disk.
        ProcessError: A worker process cannot be started.
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
                busy[-1].assign(task, workers.timeout)
            yield from outcomes  # the workers process the next tasks while the caller handles the results
            if not busy:
                break
            patience = min(
                60.0, min(worker.deadline for worker in busy) - time.monotonic()
            )  # select does not accept an infinite timeout
            ready = connection.wait([worker.pipe for worker in busy], max(patience, 0.0))
            now = time.monotonic()
            finished = [worker for worker in busy if worker.pipe in ready or worker.deadline <= now]
            busy = [worker for worker in busy if worker not in finished]
            idle += finished
            outcomes = [(worker.task, worker.outcome()) for worker in finished]
            idle = [worker for worker in idle if worker.process.is_alive()]
    finally:
        for worker in [*idle, *busy]:
            worker.stop()


class _Worker:
    """Worker process that handles one task at a time."""

    def __init__(self, context: Any, function: Callable[[Any], Any], memory: float) -> None:
        self.pipe, remote = context.Pipe()
        self.process = start_process(context, serve, remote, memory)
        remote.close()  # then the pipe closes when the worker process ends
        try:
            self.pipe.send(function)
            problem = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            problem = f"it ended with {self._end()}" if (self.process.exitcode or 0) >= 0 else None  # None: killed
        except BaseException:
            self.stop()
            raise
        if problem is not None:
            self.stop()
            raise ProcessError(f"A worker process could not start: {problem}.")

    def assign(self, task: Any, timeout: float) -> None:
        """Send a task to the worker process and start its time limit."""
        self.task, self.timeout = task, timeout
        self.deadline = time.monotonic() + timeout
        with contextlib.suppress(BrokenPipeError):  # the worker died while idle; outcome() reports it
            self.pipe.send(task)

    def outcome(self) -> Any:
        """Return the result or the ItemError of the current task, and raise any other error of the task.

        The worker process is stopped if it did not answer in time, died or crashed.
        """
        if not self.pipe.poll():
            self.stop()
            return WorkerError(
                "timeout", f"processing took longer than {self.timeout:g} s: simplify the input, or raise --timeout"
            )
        try:
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            self.stop()
            killed = self.process.exitcode == -signal.SIGKILL
            hint = ", perhaps because the machine ran out of memory: use fewer --workers" if killed else ""
            return WorkerError("crashed", f"the worker process died ({self._end()}){hint}")
        if isinstance(error, WorkerError):
            self.stop()  # the state of the process is unknown: start a new process for the next task
        if error is not None and not isinstance(error, ItemError):
            raise error
        return result if error is None else error

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _end(self) -> str:
        """Return the exit status or the signal with which the worker process ended, as text."""
        code = self.process.exitcode or 0
        return f"exit status {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
