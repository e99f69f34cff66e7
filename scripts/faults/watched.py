"""Run ``shapecnn``, log every change of a file in one folder, and send a signal at one of the changes.

All processes of the command are watched, workers too.

    FAULTS_FOLDER=out FAULTS_LOG=changes.log [FAULTS_SINCE=/.publish FAULTS_AT=3 FAULTS_SIGNAL=9] \
        python watched.py render meshes out

The signal is sent just before change AT of all processes, counted from 1 at the first change of a path that begins with
SINCE. SIGKILL goes to the whole process group; if the change opens a file for writing, the file is created empty first.
Other signals go to the process alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PLACE = {"os.rename": (1, 3), "os.mkdir": (0, 2), "os.remove": (0, 1), "os.rmdir": (0, 1), "shutil.rmtree": (0, 1)}
"""Audit events, with the positions of two arguments: the path that changes and the folder it is relative to."""


def _changed(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the path that an event is about to change; None if it changes none."""
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
    """Log the changes in ``folder`` from now on, and send a signal at one of them.

    Args:
        folder: Folder to watch.
        log: File to which a line is added for each change.
        since: Beginning of the path whose first change starts the count.
        at: Number of the change before which the signal is sent; 0: never.
        number: Number of the signal.
    """
    descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal watching
        path = _changed(event, arguments) if watching else None
        if path is None or not path.startswith(folder):
            return
        watching = False
        os.write(descriptor, f"{event} {path.removeprefix(folder)}\n".encode())
        if event == "os.remove" and os.path.basename(path) == "journal.jsonl":
            shutil.copytree(os.path.dirname(path), log + ".removed")  # a copy of the journal, just before it is removed
        paths = [line.partition(" ")[2] for line in os.pread(descriptor, 1 << 20, 0).decode().splitlines()]
        first = next((k for k, earlier in enumerate(paths) if earlier.startswith(since)), len(paths))
        if at and len(paths) - first == at:
            if number == signal.SIGKILL:
                if event == "open":
                    os.close(os.open(path, arguments[2], 0o644))
                os.killpg(0, number)
            os.kill(os.getpid(), number)
        watching = True

    sys.addaudithook(hook)


if __name__ in ("__main__", "__mp_main__"):  # the command or one of its workers
    options = {name: os.environ.get(f"FAULTS_{name}", "") for name in ("FOLDER", "LOG", "SINCE", "AT", "SIGNAL")}
    watch(options["FOLDER"], options["LOG"], options["SINCE"], int(options["AT"] or 0), int(options["SIGNAL"] or 0))

if __name__ == "__main__":
    from shapecnn.cli.main import main

    main()
