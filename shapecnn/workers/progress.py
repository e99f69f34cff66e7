"""Report the progress of long computations to a function that shows it, for example in a progress bar.

A function deep in the call stack, for example a check of many files, reports its progress by :func:`stage`. So its
callers need not pass a progress bar to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Progress = Callable[[int, int | None], None]
"""Function that receives the number of finished items and the total number of items (None if unknown)."""

ProgressBar = Callable[[str, str], AbstractContextManager[Progress]]
"""Function that opens a progress bar and returns a context manager for it.

Its arguments are the name of the task, such as "Drawing", and the unit of the counts in the plural, such as "shapes".
If the unit is "bytes", the counts are shown in MB."""


def no_progress(_done: int, _total: int | None) -> None:
    """Ignore reported progress: a :data:`Progress` function that shows nothing."""


def no_bar(_task: str, _unit: str) -> AbstractContextManager[Progress]:
    """Open a progress bar that shows nothing: a :data:`ProgressBar` for callers that want no output."""
    return nullcontext(no_progress)


_listener: ProgressBar = no_bar


def listen(listener: ProgressBar = no_bar) -> None:
    """Set the function that shows the progress of each later :func:`stage` in this process.

    Args:
        listener: The function, which replaces the previous listener. By default, no progress is shown.
    """
    global _listener
    _listener = listener


@contextmanager
def stage(name: str, unit: str = "shapes") -> Iterator[Progress]:
    """Report the progress of a ``with`` block to the function set by :func:`listen`.

    Args:
        name: Name of the task, such as "Checking the files".
        unit: Unit of the counts in the plural, such as "files". If "bytes", the counts are shown in MB.

    Yields:
        A function to call with the number of finished items and the total number of items (None if unknown).
    """
    with _listener(name, unit) as progress:
        yield progress
