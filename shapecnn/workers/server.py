"""Start worker processes in milliseconds, by forking a server process that has already imported all modules.

Forking the server is safe, whereas forking the caller would copy the state of running torch or OpenVINO threads. Worker
processes run neither the caller's program nor modules from the current folder.
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
"""Modules that the server process imports once, so that no worker process has to import them."""

_LONGEST = 60  # longest TMPDIR in bytes: multiprocessing appends the socket name, and the limit for both is 104
_SIGNALS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
_start_lock = threading.RLock()
_processes: weakref.WeakSet[BaseProcess] = weakref.WeakSet()
_server: Any = None  # ForkServer of this process, apart from the one that the caller's own processes may use


def start_server(*further: str) -> multiprocessing.context.BaseContext:
    """Start the server process that forks the workers, unless it is already running.

    The function does not wait until the server has imported :data:`PRELOAD`. An early call lets the server import these
    modules while the caller does other work.

    Args:
        *further: Modules to import besides :data:`PRELOAD`; only the first call can name some.

    Returns:
        The multiprocessing context to pass to :func:`start_process`.

    Raises:
        ProcessError: The server process cannot be started.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    global _server
    with _process_errors(), _own_code_only(), _short_tempdir():
        if _server is None:
            _server = forkserver.ForkServer()
            _server.set_forkserver_preload([*PRELOAD, *further])
        resource_tracker.ensure_running()  # before blocking signals, because this call unblocks them
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the server and its workers inherit this
        try:
            _server.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
    return multiprocessing.get_context("forkserver")


def start_process(context: Any, target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a worker process that calls a function.

    Args:
        context: Multiprocessing context from :func:`start_server`.
        target: A function of this package, importable by name.
        *arguments: Arguments of the function.

    Returns:
        The new process. It is killed when the calling process ends.

    Raises:
        ProcessError: The process cannot be started.
    """
    process: BaseProcess = context.Process(target=target, args=arguments, daemon=True)
    with _process_errors(), _own_code_only(), _own_server(), _daemons_allowed():
        process.start()
    _processes.add(process)
    return process


@contextlib.contextmanager
def _own_server() -> Iterator[None]:
    """Let multiprocessing fork the processes started in a ``with`` block from the server of this module."""
    if _server is None:  # the start method is spawn
        yield
        return
    from multiprocessing import forkserver

    usual = forkserver.connect_to_new_process
    forkserver.connect_to_new_process = _server.connect_to_new_process
    try:
        yield
    finally:
        forkserver.connect_to_new_process = usual


@contextlib.contextmanager
def _daemons_allowed() -> Iterator[None]:
    """Allow a ``with`` block to start processes from a daemonic process, such as a worker of multiprocessing.Pool.

    Multiprocessing forbids this, because processes could outlive their parent. Workers of shapecnn end with it.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    daemonic = config.get("daemon")
    config["daemon"] = False
    try:
        yield
    finally:
        config["daemon"] = daemonic


def _forget() -> None:
    """Forget the server and the workers of the parent process after a fork; the child starts its own."""
    global _server, _start_lock
    _server, _start_lock = None, threading.RLock()
    _processes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@atexit.register  # runs before the handler of multiprocessing, which would wait for the worker processes
def _kill_processes() -> None:
    for process in _processes:
        process.kill()


@contextlib.contextmanager
def _process_errors() -> Iterator[None]:
    """Convert operating system errors of a ``with`` block that starts a process into a ProcessError."""
    try:
        yield
    except (EOFError, ConnectionError, BrokenPipeError):
        raise ProcessError(
            "The process that starts the workers has ended. Perhaps the limit of processes or memory of this user was"
            " reached (see ulimit -u and ulimit -v). Close other programs, or use fewer --workers."
        ) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise ProcessError(
            f"No worker process can be started ({place}{error.strerror or error}). Close other programs, or use"
            f" fewer --workers."
        ) from None


@contextlib.contextmanager
def _own_code_only() -> Iterator[None]:
    """Prevent processes started in a ``with`` block from running the caller's program or modules in the current folder.

    PYTHONSAFEPATH is set, because otherwise Python imports modules from the current folder first. The main module is
    replaced by an empty one, because otherwise multiprocessing runs its file again in each worker. Only one thread at a
    time is inside of such a block.
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
    """Use /tmp for the temporary files of a ``with`` block if TMPDIR is too long for the path of a socket."""
    former = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST and os.access("/tmp", os.W_OK):
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = former
