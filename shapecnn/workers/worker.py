"""The code that a worker runs: it answers task after task, within its memory limit, and ends with its parent."""

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
    """Receive a function, then tasks, and answer each.

    The first answer is None, or the reason why the function cannot be used. The answer to a task is a pair of result
    and error, of which one is None.

    Args:
        pipe: The connection to the parent.
        memory: Limit of the memory of this process in GiB; may be infinite.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent stops its workers in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        try:
            _restrain(memory)
            function = pipe.recv()
        except Exception as error:
            pipe.send(_worker_error(error, memory).message)
            return
        pipe.send(None)
        while True:
            pipe.send_bytes(_answer(function, pipe.recv_bytes(), memory))


def _answer(function: Callable[[Any], Any], task: bytes, memory: float) -> Any:
    """Call the function and pickle the answer; a lack of memory while pickling is an error of the task, too."""
    reported: Exception
    try:
        return ForkingPickler.dumps((function(ForkingPickler.loads(task)), None))
    except (ShapecnnError, OSError) as error:
        reported = _worker_error(error, memory) if is_short_of_memory(error) else error
    except Exception as error:
        reported = _worker_error(error, memory)
    return ForkingPickler.dumps((None, reported))


def _worker_error(error: Exception, memory: float) -> WorkerError:
    """Describe a lack of memory, or an unexpected exception with its place in the code."""
    if is_short_of_memory(error):
        message = f"{memory:g} GB of memory are not enough for it: raise --memory, or simplify it"
        return WorkerError("memory", message)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return WorkerError("crashed", f"it hit a bug in shapecnn ({text}; {place}): please report it")


def _restrain(memory: float) -> None:
    """Limit the memory of this process, in GiB, and its life to that of its parent; on Linux only.

    It is also the first process to be killed when the machine runs out of memory. It ends with its parent even in
    native code that never lets the thread of :func:`_end_with_parent` run.
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
    end_of_parent = _parent().sentinel  # a pipe: the kernel signals its end
    fcntl.fcntl(end_of_parent, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end_of_parent, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(end_of_parent, fcntl.F_SETFL, fcntl.fcntl(end_of_parent, fcntl.F_GETFL) | os.O_ASYNC)


def _end_with_parent() -> None:
    """Wait for the end of the parent, then end this process."""
    _parent().join()
    os._exit(1)


def _parent() -> multiprocessing.process.BaseProcess:
    parent = multiprocessing.parent_process()
    assert parent is not None
    return parent
