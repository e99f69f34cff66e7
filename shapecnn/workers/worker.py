"""The life of a worker: task after task, within its memory, and no longer than the process that it works for."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from shapecnn.errors import ShapecnnError, WorkerError, is_short_of_memory


def serve(pipe: connection.Connection, memory: float) -> None:
    """Receive a function and say None, or what is wrong with it; then for each task received its answer, a pair of
    result and error of which one is None.

    memory: GiB.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        try:
            _restrain(memory)
            function = pipe.recv()
        except Exception as error:
            pipe.send(_explained(error, memory).message)
            return
        pipe.send(None)
        while True:
            pipe.send_bytes(_answer(function, pipe.recv_bytes(), memory))


def _answer(function: Callable[[Any], Any], task: bytes, memory: float) -> Any:
    """As it is sent: what memory is too short to send is an error of the task, too."""
    told: Exception
    try:
        return ForkingPickler.dumps((function(ForkingPickler.loads(task)), None))
    except (ShapecnnError, OSError) as error:
        told = _explained(error, memory) if is_short_of_memory(error) else error
    except Exception as error:
        told = _explained(error, memory)
    return ForkingPickler.dumps((None, told))


def _explained(error: Exception, memory: float) -> WorkerError:
    if is_short_of_memory(error):
        told = f"{memory:g} GB of memory are not enough for it: raise --memory, or simplify it"
        return WorkerError("memory", told)
    where = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return WorkerError("crashed", f"it met a bug of shapecnn ({what}; {place}): please report it")


def _restrain(memory: float) -> None:
    """On Linux: no more than so many GiB; first to go when the machine has none left; and gone with the parent also in
    native code that never lets the thread run that waits for it.
    """
    if sys.platform != "linux":
        return
    import fcntl
    import resource

    limit = int(min(memory * 2**30, 2**62))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    end_of_parent = _parent().sentinel  # a pipe: the kernel tells of its end by a signal
    fcntl.fcntl(end_of_parent, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end_of_parent, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(end_of_parent, fcntl.F_SETFL, fcntl.fcntl(end_of_parent, fcntl.F_GETFL) | os.O_ASYNC)


def _end_with_parent() -> None:
    _parent().join()
    os._exit(1)


def _parent() -> multiprocessing.process.BaseProcess:
    parent = multiprocessing.parent_process()
    assert parent is not None
    return parent
