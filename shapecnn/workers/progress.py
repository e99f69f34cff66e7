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
    """Have ``listener`` show each stage of this process from now on, in place of the one before."""
    global _listener
    _listener = listener


@contextmanager
def stage(name: str, unit: str = "shapes") -> Iterator[Progress]:
    """Report a piece of work that may be long, to be put around it.

    Args:
        name: The task, such as "Checking what is there".
        unit: What is counted, in the plural; "bytes" are shown as MB.

    Yields:
        A function to be called with the number done and the number there is to do, where there is one.
    """
    with _listener(name, unit) as progress:
        yield progress
