"""The start of worker processes: one server process with everything loaded forks each in milliseconds.

Forks of the server, unlike forks of the caller, copy no threads of torch or OpenVINO. Workers run neither the caller's
program nor modules from the current folder.
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
"""Modules that the server imports once, so that no worker has to."""

_LONGEST = 60  # bytes of the path of TMPDIR; with what multiprocessing adds, a socket's path may have 104
_SIGNALS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
_start_lock = threading.RLock()
_processes: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


def start_server() -> multiprocessing.context.BaseContext:
    """Start the server, unless it runs already.

    The call does not wait for the server to import :data:`PRELOAD`: if it comes early, the server imports while the
    caller goes on.

    Returns:
        The context of multiprocessing for :func:`start_process`.

    Raises:
        ProcessError: The server cannot be started.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with _process_errors(), _own_code_only(), _short_tempdir():
        resource_tracker.ensure_running()  # before the mask: it unblocks signals
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # for the server and its workers
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
    return context


def start_process(context: Any, target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that calls a function.

    Args:
        context: From :func:`start_server`.
        target: A function of this package, importable by name.
        *arguments: Its arguments.

    Returns:
        The process, which is killed at the end of this one.

    Raises:
        ProcessError: The process cannot be started.
    """
    process: BaseProcess = context.Process(target=target, args=arguments, daemon=True)
    with _process_errors(), _own_code_only():
        process.start()
    _processes.add(process)
    return process


@atexit.register  # called before multiprocessing's own handler, which would wait for the processes
def _kill_processes() -> None:
    for process in _processes:
        process.kill()


@contextlib.contextmanager
def _process_errors() -> Iterator[None]:
    """Convert errors of starting a process into ProcessError."""
    try:
        yield
    except (EOFError, ConnectionError, BrokenPipeError):
        raise ProcessError(
            "The process that starts the workers has ended: the system may allow this user no more processes or"
            " memory (see ulimit -u and ulimit -v), or it was stopped. Close other programs, or use fewer --workers."
        ) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise ProcessError(
            f"No worker process can be started ({place}{error.strerror or error}). Close other programs, or use"
            f" fewer --workers."
        ) from None


@contextlib.contextmanager
def _own_code_only() -> Iterator[None]:
    """Let processes that start in this context run no code of the caller or of the current folder.

    Python puts the current folder first on the path of modules unless PYTHONSAFEPATH is set. Multiprocessing has each
    worker run the file of the main module unless that module has none.
    """
    with _start_lock:
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
    """Use /tmp in this context if the path of TMPDIR is too long for a socket in it."""
    former = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST and os.access("/tmp", os.W_OK):
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = former
