"""Where workers come from: one server process that has everything loaded forks them, in milliseconds each.

They copy no threads of torch or OpenVINO, and run neither the caller's program nor anything in the current folder.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

from shapecnn.errors import ProcessError

PRELOAD = ["shapecnn.artefacts.preload"]
"""Loaded once by the server, so that no worker has to."""

_LONGEST = 60  # bytes of the folder in which multiprocessing makes one with a socket: of 104, with what it adds
_SIGNALS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
_starting = threading.RLock()
_started: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


def start_server() -> multiprocessing.context.BaseContext:
    """Start the server, unless it runs, and have it load what workers need.

    Returns at once: called early, the server loads while the caller does.  Raises ProcessError.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with _told(), _own_code_only(), _short_tempdir():
        resource_tracker.ensure_running()  # here, for it would unblock what is blocked below
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # inherited by the server and its workers
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
    return context


def start_process(context: Any, target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that calls ``target``, a function of this package.  Raises ProcessError."""
    process: BaseProcess = context.Process(target=target, args=arguments, daemon=True)
    with _told(), _own_code_only():
        process.start()
    _started.add(process)
    return process


@atexit.register  # after multiprocessing's own, so called before it, which would ask them to end and wait
def _kill_started() -> None:
    for process in _started:
        process.kill()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What keeps a process from starting, as one sentence."""
    try:
        yield
    except (EOFError, ConnectionError, BrokenPipeError):
        raise ProcessError(
            "The process that starts the workers has ended: the system may allow this user no more processes or"
            " memory (see ulimit -u and ulimit -v), or someone stopped it. Make room, or use fewer --workers."
        ) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise ProcessError(
            f"No worker process can be started ({place}{error.strerror or error}). Close what is not needed, or use"
            f" fewer --workers."
        ) from None


@contextlib.contextmanager
def _own_code_only() -> Iterator[None]:
    """What starts meanwhile runs nobody's code but ours.

    Python puts the current folder first where it looks for modules, unless PYTHONSAFEPATH is set; and multiprocessing
    has every worker run the program's main file once more, unless there is none to be seen.
    """
    with _starting:
        path, main = os.environ.get("PYTHONSAFEPATH"), sys.modules["__main__"]
        os.environ["PYTHONSAFEPATH"] = "1"
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
            if path is None:
                del os.environ["PYTHONSAFEPATH"]
            else:
                os.environ["PYTHONSAFEPATH"] = path


@contextlib.contextmanager
def _short_tempdir() -> Iterator[None]:
    """Where the path of TMPDIR leaves too little of the hundred bytes that the name of a socket may have: another."""
    former = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST and os.access("/tmp", os.W_OK):
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = former
