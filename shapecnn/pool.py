"""Work on many shapes in several processes; a worker that dies, hangs or grows costs one shape, not the batch.

Each worker has a pipe of its own and one task at a time, so that there is never a doubt on which it died. Workers that
share a queue leave one: concurrent.futures gives up the whole pool, pebble now and then blames another task.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeVar

from shapecnn.errors import ItemError, ShapecnnError, UsageError, WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")

PRELOAD = ["shapecnn.preload"]
"""Loaded once by the server from which workers are forked, so that each of them starts in milliseconds."""

_LONGEST = 60  # bytes of the folder in which multiprocessing makes one with a socket: of 104, with what it adds


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that work on shapes, and what each of them may take.

    count: None for one a core.  timeout: seconds for one shape; the largest mesh that is read at all takes well under a
    minute.  memory: GiB, where the system can limit it (Linux).  Either may be infinite; UsageError for one that is no
    number above 0.

    They are processes that import the program's main module, which therefore keeps what it does under
    ``if __name__ == "__main__":``, as multiprocessing asks.
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
    of a full disk. Other errors are bugs, which cost their task, as a crash does. Closing the generator stops the
    workers.
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


def start_server() -> multiprocessing.context.BaseContext:
    """Start the process from which workers are forked, unless it runs, and have it load what they need.

    Workers forked from it copy no threads of torch or OpenVINO, and load no module themselves. Returns at once: called
    early, the server loads while the caller does.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    resource_tracker.ensure_running()  # here, for it would unblock what is blocked below
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by the server and its workers
    try:
        with _short_tempdir():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
    return context


@contextlib.contextmanager
def _short_tempdir() -> Iterator[None]:
    """Where the path of TMPDIR leaves too little of the hundred bytes that the name of a socket may have: another."""
    former = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST and os.access("/tmp", os.W_OK):
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = former


class _Worker:
    """A process that works on one task at a time."""

    def __init__(self, context: Any, function: Callable[[Any], Any], memory: float) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs, memory), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

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
            code = self.process.exitcode
            cause = f"exit status {code}" if code >= 0 else signal.strsignal(-code)
            hint = ", perhaps as the machine had no memory left: use fewer --workers" if code == -signal.SIGKILL else ""
            return WorkerError("crashed", f"the process that worked on it died ({cause}){hint}")
        if isinstance(error, WorkerError):
            self.stop()  # who knows what is left in it: the next task starts in a new one
        if error is not None and not isinstance(error, ItemError):
            raise error
        return result if error is None else error

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(function: Callable[[Any], Any], pipe: connection.Connection, memory: float) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _restrain(memory)
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            task = pipe.recv()
            pipe.send(_attempt(function, task, memory))


def _restrain(memory: float) -> None:
    """On Linux: no more than so many GiB; first to go when the machine has none left; and gone with the parent also in
    native code that never lets the thread run that waits for it."""
    if sys.platform != "linux":
        return
    import fcntl
    import resource

    limit = int(min(memory * 2**30, 2**62))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    end_of_parent = _parent().sentinel  # a pipe: the kernel tells of its end by a signal
    fcntl.fcntl(end_of_parent, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end_of_parent, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(end_of_parent, fcntl.F_SETFL, fcntl.fcntl(end_of_parent, fcntl.F_GETFL) | os.O_ASYNC)


def _attempt(function: Callable[[Any], Any], task: Any, memory: float) -> tuple[Any, Exception | None]:
    try:
        return function(task), None
    except ShapecnnError as error:
        return None, error
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            told = f"{memory:g} GB of memory are not enough for it: raise --memory, or simplify it"
            return None, WorkerError("memory", told)
        if isinstance(error, OSError):
            return None, error
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        return None, WorkerError("crashed", f"it met a bug of shapecnn ({what}; {place}): please report it")


def _end_with_parent() -> None:
    _parent().join()
    os._exit(1)


def _parent() -> multiprocessing.process.BaseProcess:
    parent = multiprocessing.parent_process()
    assert parent is not None
    return parent
