"""Threads of this process, for tasks that mostly wait for files, such as copying: they start at once.

A task that hangs or needs too much memory would stop the whole command. Tasks that parse what others wrote belong in
worker processes (:mod:`pool`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREADS = 4
_TURN = 16  # tasks that a thread takes at a time, because handing over a task costs more than a small copy


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
        while batch := [*itertools.islice(source, _THREADS * _TURN)]:  # not all at once, to limit memory
            turns = [batch[start : start + _TURN] for start in range(0, len(batch), _TURN)]
            for finished, error in threads.map(partial(_turn, function), turns):
                yield from finished
                if error is not None:
                    raise error


def _turn(function: Callable[[Task], Result], tasks: list[Task]) -> tuple[list[tuple[Task, Result]], Exception | None]:
    """Call a function on each task, up to the first error; return the results before the error, and the error."""
    finished: list[tuple[Task, Result]] = []
    try:
        finished.extend((task, function(task)) for task in tasks)
    except Exception as error:
        return finished, error
    return finished, None
