"""Work on many shapes in several processes; a worker that dies or hangs costs one shape, not the batch.

pebble rather than concurrent.futures, whose pool breaks as a whole when one worker dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any, TypeVar

from shapecnn.errors import ShapecnnError, WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")

TIMEOUT = 300.0
"""Seconds for one shape, by default: the largest mesh that is read at all takes well under a minute."""

PRELOAD = ["shapecnn.prepare"]
"""Loaded once by the server from which workers are forked, so that a replacement starts in milliseconds."""


def available_cores() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int | None = None,
    timeout: float = TIMEOUT,
) -> Iterator[tuple[Task, Result | ShapecnnError]]:
    """Each task with what ``function`` made of it, or the ShapecnnError that came of it, as they are finished.

    Tasks are drawn and results held a few at a time, whatever their number. ``function`` is importable by name. An
    error that is not a ShapecnnError is a bug and is raised here. Leaving the iterator early stops the workers.
    """
    from pebble import ProcessPool

    workers = workers or available_cores()
    pool = ProcessPool(max_workers=workers, context=_context(), initializer=_ignore_interrupt)
    running: dict[Any, Task] = {}
    try:
        source = iter(tasks)
        exhausted = False
        while running or not exhausted:
            while not exhausted and len(running) < 3 * workers:
                try:
                    task = next(source)
                except StopIteration:
                    exhausted = True
                    break
                running[pool.schedule(function, args=(task,), timeout=timeout)] = task
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), _outcome(future, timeout)
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def _outcome(future: Any, timeout: float) -> Any:
    from pebble import ProcessExpired

    try:
        return future.result()
    except ShapecnnError as error:
        return error
    except TimeoutError:
        return WorkerError("timeout", f"it took longer than {timeout:g} s: simplify it, or raise --timeout")
    except ProcessExpired as error:
        code = error.exitcode
        cause = signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
        return WorkerError("crashed", f"the worker process died on it ({cause})")


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers in order


def _context() -> multiprocessing.context.BaseContext:
    """Workers forked from a small server: no threads of torch or OpenVINO are copied, and no module is loaded twice."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context
