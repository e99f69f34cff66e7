"""Progress of long work: reported where the work is done, shown by whoever listens.

Some parts of the work lie deep inside functions whose caller already shows the progress of something else: listing,
checking, making ready. They report by :func:`stage`, to the listener of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Progress = Callable[[int, int | None], None]
"""Called with the number done and the number there is to do in all (None: not known)."""

ProgressBar = Callable[[str, str], AbstractContextManager[Progress]]
"""Opens the progress of one task. Called with the task, such as "Drawing", and the unit of its counts, in the plural;
"bytes" are shown as MB."""


def no_progress(_done: int, _total: int | None) -> None:
    """Show nothing."""


def no_bar(_task: str, _unit: str) -> AbstractContextManager[Progress]:
    """Show nothing of a task."""
    return nullcontext(no_progress)


_listener: ProgressBar = no_bar


def listen(listener: ProgressBar = no_bar) -> None:
    """Set the listener that shows each stage of this process from now on.

    Args:
        listener: Replaces the one before; by default nothing is shown.
    """
    global _listener
    _listener = listener


@contextmanager
def stage(name: str, unit: str = "shapes") -> Iterator[Progress]:
    """Report the progress of the work in this context to the listener of the process.

    Args:
        name: The task, such as "Checking the files".
        unit: What is counted, in the plural; "bytes" are shown as MB.

    Yields:
        A function to be called with the number done and the number there is to do in all (None: not known).
    """
    with _listener(name, unit) as progress:
        yield progress
