"""How many processes torchrun or accelerate launch has started together, which it says in environment variables."""

from __future__ import annotations

import os

from shapecnn.errors import UsageError, quoted


def process_count() -> int:
    """Return the number of processes that torchrun or accelerate launch has started together; 1 without them.

    Raises:
        UsageError: The environment variable WORLD_SIZE is not a number of processes.
    """
    return _count("WORLD_SIZE")


def local_process_count() -> int:
    """Return how many of the processes that were started together run on this machine; 1 without a launcher.

    Raises:
        UsageError: The environment variable LOCAL_WORLD_SIZE is not a number of processes.
    """
    return _count("LOCAL_WORLD_SIZE")


def is_first_process() -> bool:
    """Return whether this process shows messages and results; of processes that were started together, the first."""
    alone = not _is_launched() or os.environ.get("WORLD_SIZE", "") in ("", "1")
    return alone or os.environ.get("RANK", "0") == "0"


def _is_launched() -> bool:
    return "LOCAL_RANK" in os.environ  # WORLD_SIZE alone may be left of another program


def _count(variable: str) -> int:
    text = os.environ.get(variable) or "1"
    if not _is_launched():
        return 1
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise UsageError(
            f"The environment variable {variable} is {quoted(text)}, not a number of processes: start the processes by "
            f"torchrun, which sets it, or unset LOCAL_RANK."
        )
    return int(text)
