"""Code that runs in each worker process: receive tasks, send results, respect the memory limit, end with the parent."""

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
    """Run the main loop of a worker process: receive a function, then tasks, and send back a result for each task.

    The first message to the parent is None, or the reason why the function cannot be used. The answer to each task is
    the pair ``(result, None)`` or ``(None, error)``.

    Args:
        pipe: Connection to the parent process.
        memory: Memory limit of this process in GiB; may be infinite.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the parent stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, ConnectionError):  # the parent has ended
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
    """Call the function on a pickled task and return the pickled pair of result and error.

    If memory runs out while the result is pickled, this also counts as an error of the task.
    """
    reported: Exception
    try:
        return ForkingPickler.dumps((function(ForkingPickler.loads(task)), None))
    except (ShapecnnError, OSError) as error:
        reported = _worker_error(error, memory) if is_short_of_memory(error) else error
    except Exception as error:
        reported = _worker_error(error, memory)
    return ForkingPickler.dumps((None, reported))


def _worker_error(error: Exception, memory: float) -> WorkerError:
    """Convert an exception into a WorkerError that reports a lack of memory, or else a bug with its file and line."""
    if is_short_of_memory(error):
        message = f"processing needs more than {memory:g} GB of memory: simplify the input, or raise --memory"
        return WorkerError("memory", message)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return WorkerError("crashed", f"an unexpected error occurred in shapecnn ({text}; {place}): please report this bug")


def _restrain(memory: float) -> None:
    """Limit the memory of this process (in GiB), and let the system kill it when its parent ends; on Linux only.

    Also ask the system to kill this process before others if the machine runs out of memory. The thread of
    :func:`_end_with_parent` is not sufficient, because native code may never let this thread run.
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
    end_of_parent = _parent().sentinel  # a pipe: the kernel sends a signal when the parent closes it
    fcntl.fcntl(end_of_parent, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end_of_parent, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(end_of_parent, fcntl.F_SETFL, fcntl.fcntl(end_of_parent, fcntl.F_GETFL) | os.O_ASYNC)


def _end_with_parent() -> None:
    """Wait until the parent process ends, then end this process."""
    _parent().join()
    os._exit(1)


def _parent() -> multiprocessing.process.BaseProcess:
    parent = multiprocessing.parent_process()
    assert parent is not None
    return parent
