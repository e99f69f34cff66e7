"""``shapecnn`` with an eye on one folder: each change of a file there is a line of a log, and at one of them a signal
comes. Every process of the command watches, workers too.

    FAULTS_FOLDER=out FAULTS_LOG=changes.log [FAULTS_SINCE=/.publish FAULTS_AT=3 FAULTS_SIGNAL=9] \
        python watched.py render meshes out

The signal comes just before change AT of all processes, counted from 1 at the first of a path that begins with SINCE.
SIGKILL is for the whole process group, and comes when a file that is opened to be written is there and empty; any other
signal is for the process alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PLACE = {"os.rename": (1, 3), "os.mkdir": (0, 2), "os.remove": (0, 1), "os.rmdir": (0, 1), "shutil.rmtree": (0, 1)}
"""Audit events, and which of their arguments are the path that changes and the folder it is relative to."""


def _changed(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an event is about to change; None for one that changes none."""
    if event == "open":
        path, _, flags = arguments
        if not flags & _WRITES or isinstance(path, int):
            return None
        place = os.path.abspath(os.fsdecode(path))
        return None if flags & os.O_EXCL and os.path.exists(place) else place
    if event not in _PLACE:
        return None
    first, second = _PLACE[event]
    path, base = arguments[first], arguments[second] if second < len(arguments) else -1
    above = "" if base is None or base < 0 else os.readlink(f"/proc/self/fd/{base}")
    place = os.path.abspath(os.path.join(above, os.fsdecode(path)))
    return place if event == "os.rename" or os.path.lexists(place) != (event == "os.mkdir") else None


def watch(folder: str, log: str, since: str, at: int, number: int) -> None:
    """Note the changes in ``folder`` from here on, and send signal ``number`` at the one that was asked for."""
    noted = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal watching
        path = _changed(event, arguments) if watching else None
        if path is None or not path.startswith(folder):
            return
        watching = False
        os.write(noted, f"{event} {path.removeprefix(folder)}\n".encode())
        if event == "os.remove" and os.path.basename(path) == "journal.jsonl":
            shutil.copytree(os.path.dirname(path), log + ".removed")  # what was noted, just before it goes
        paths = [line.partition(" ")[2] for line in os.pread(noted, 1 << 20, 0).decode().splitlines()]
        begun = next((k for k, earlier in enumerate(paths) if earlier.startswith(since)), len(paths))
        if at and len(paths) - begun == at:
            if number == signal.SIGKILL:
                if event == "open":
                    os.close(os.open(path, arguments[2], 0o644))
                os.killpg(0, number)
            os.kill(os.getpid(), number)
        watching = True

    sys.addaudithook(hook)


if __name__ in ("__main__", "__mp_main__"):  # the command, or one of its workers
    given = {name: os.environ.get(f"FAULTS_{name}", "") for name in ("FOLDER", "LOG", "SINCE", "AT", "SIGNAL")}
    watch(given["FOLDER"], given["LOG"], given["SINCE"], int(given["AT"] or 0), int(given["SIGNAL"] or 0))

if __name__ == "__main__":
    from shapecnn.cli.main import main

    main()
