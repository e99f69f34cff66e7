"""How processes that train together end if one of them fails: one tells the user why, the others end silently."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import timedelta

from torch import distributed

LOST = (
    "Another process of this training has ended early or no longer answers, maybe because a machine was short of "
    "memory. Finished work is kept; run the same command with --resume to continue."
)
"""Sentence for the user if a process has lost the connection to one that told nothing, for example was killed.

On GPUs it is rarely told: NCCL usually aborts the process by itself if another is lost, with a report of its own."""

_PATIENCE = timedelta(seconds=10)  # to reach the process that started the others
_CLOSED = re.compile("[Cc]onnection (closed|reset) by peer|[Bb]roken pipe|Timed out waiting|ncclRemoteError")


def told_elsewhere(status: int) -> int | None:
    """Record that this process ends with an error, unless another process has already recorded its own.

    The record is in the store of ``torchrun``, which all processes reach, and which outlives them.

    Args:
        status: Exit status of this process.

    Returns:
        None if this process is the first to end, or if the store cannot be reached: it tells the user what is wrong.
        Otherwise the exit status of the process that was the first.
    """
    with contextlib.suppress(KeyError, ValueError, RuntimeError):  # not started by torchrun, or that has ended
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = distributed.TCPStore(*address, is_master=False, timeout=_PATIENCE)  # type: ignore[attr-defined]
        key = f"shapecnn {os.environ['TORCHELASTIC_RUN_ID']} {os.environ['TORCHELASTIC_RESTART_COUNT']}"
        first, its_status = store.compare_set(key, "", f"{os.environ['RANK']} {status}").decode().split()
        return None if first == os.environ["RANK"] else int(its_status)
    return None


def has_lost_another(error: BaseException) -> bool:
    """Return whether an error says that another process of the training has closed its connection, or is silent.

    Other errors of gloo and NCCL are not the fault of another process: a GPU that two processes share, for example.
    """
    return isinstance(error, RuntimeError) and _CLOSED.search(str(error)) is not None
