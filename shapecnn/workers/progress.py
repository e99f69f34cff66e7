"""What long work is at between its counted parts: told where it is done, shown by whoever listens.

Listing, checking and making ready happen deep inside functions whose caller shows the progress of something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Progress = Callable[[int, int | None], None]
"""Called with what is done and what there is to do in all (None: not known)."""


def no_progress(_done: int, _total: int | None) -> None:
    """Show nothing."""


Listener = Callable[[str, str], AbstractContextManager[Progress]]
"""Called with the name of a stage and the unit of its counts."""

_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Have each stage of this process told to ``listener``, and to nobody before."""
    global _listener
    _listener = listener


@contextmanager
def stage(name: str, unit: str = "shapes") -> Iterator[Progress]:
    """Around a piece of work that may be long.

    Args:
        name: What is being done, such as "Checking what is there".
        unit: What is counted, in the plural; "bytes" are shown as MB.

    Yields:
        A function to be called with the number done and the number there is to do, where there is one.
    """
    if _listener is None:
        yield no_progress
    else:
        with _listener(name, unit) as progress:
            yield progress
