"""Threads of this process, for tasks that mostly wait for files, such as copying: they start at once.

A task that hangs or needs too much memory would stop the whole command. Tasks that parse what others wrote belong in
worker processes (:mod:`pool`).
"""

from __future__ import annotations

import itertools
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
    source = iter(tasks)
    with ThreadPoolExecutor(_THREADS) as threads:
        while batch := [*itertools.islice(source, _BATCH)]:
            yield from zip(batch, threads.map(function, batch), strict=True)
