"""Threads of this process, for tasks that mostly wait for files, such as copying: they start at once.

A task that hangs or needs too much memory would stop the whole command. Tasks that parse what others wrote belong in
worker processes (:mod:`pool`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREADS = 4
_BATCH = 64  # tasks that are taken from the iterable at a time, to limit memory


def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Generator[tuple[Task, Result], None, None]:
    """Call a function on each task in threads, and yield the results in the order of the tasks.

    Args:
        function: A function that several threads may call at the same time.
        tasks: Arguments of the calls, one for each call.

    Yields:
        A pair for each task: the task, and its result.

    Raises:
        Exception: What a call raises, raised at the place of its result.
    """
    source, ended = iter(tasks), threading.Event()

    def work(share: list[Task]) -> tuple[list[tuple[Task, Result]], BaseException | None]:
        """Return the results up to the first error, and the error."""
        finished: list[tuple[Task, Result]] = []
        for task in share:
            if ended.is_set():
                break
            try:
                finished.append((task, function(task)))
            except BaseException as error:
                return finished, error
        return finished, None

    with ThreadPoolExecutor(_THREADS) as threads:
        try:
            while batch := [*itertools.islice(source, _BATCH)]:
                size = -(-len(batch) // _THREADS)  # a share at once: handing over a task costs more than a small copy
                shares = [batch[start : start + size] for start in range(0, len(batch), size)]
                for finished, error in threads.map(work, shares):
                    yield from finished
                    if error is not None:
                        raise error
        finally:
            ended.set()  # else the threads would finish their shares after an error or Ctrl-C
