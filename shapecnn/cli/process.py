"""What the process of a command needs: streams that can be written to, signals that end it in order."""

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
    """The process was asked to end, as by Ctrl-C, by another signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def open_streams() -> None:
    """Make stdin, stdout and stderr streams that can be used, also where the process was started without them.

    A closed one leads to nowhere: its number would else be that of the next file opened, and messages of libraries
    would be written into that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115  # for ever
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold what the terminal's encoding cannot


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """While a command runs, SIGTERM and SIGHUP end it as Ctrl-C does: raised as :class:`Ended` in the main thread.

    A signal that is ignored stays ignored, as ``nohup`` asks.
    """
    former = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                former[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)
