"""Prepare the process of a command: open its standard streams, and let signals end it without loss of data."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class Ended(KeyboardInterrupt):
    """Raised in the main thread when the process receives SIGTERM or SIGHUP, like KeyboardInterrupt for Ctrl-C.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def open_streams() -> None:
    """Replace stdin, stdout or stderr by the null device if the process was started with the stream closed.

    Otherwise the next opened file would get the file number of the closed stream, and libraries would write their
    messages into this file. Characters that the encoding of stdout or stderr lacks are escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115  # open until exit
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names that it cannot encode


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Raise :class:`Ended` in the main thread on SIGTERM or SIGHUP while the ``with`` block runs.

    Ignored signals stay ignored, as ``nohup`` requires.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Let this process end in its own way, whatever signal it gets."""
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)
