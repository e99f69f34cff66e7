"""What a node of a cluster does for a command: look whether it sees all that is needed, and make a part."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapecnn import __version__
from shapecnn.errors import BusyError, Caution, UsageError
from shapecnn.meshes.collection import Shape
from shapecnn.meshes.shards import Part
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress

MakePart = Callable[[Sequence[Shape], Part, Path, Workers, Progress], None]
"""Function that makes the part of some shapes in a folder; it is picklable and runs on a node of the cluster."""

_LOCKED = 60  # seconds to wait for an earlier task that still writes to the part
_REPORT = 0.5  # seconds between two reports of progress


@dataclass(frozen=True, slots=True)
class Premise:
    """What a task needs on its node.

    Attributes:
        run: File that shows that the command still runs: it is there from the first task until all are done.
        out: Output folder of the command.
        needs: Further paths.
        version: Version of shapecnn.
    """

    run: Path
    out: Path
    needs: tuple[Path, ...]
    version: str = __version__


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to make.

    Attributes:
        make: Function that makes the part.
        shapes: The shapes of the shard, in order of id, with absolute paths.
        part: Description of the part.
        folder: Folder of the part.
        workers: Worker processes of the task, and their limits.
        premise: What the task needs on its node.
    """

    make: MakePart
    shapes: list[Shape]
    part: Part
    folder: Path
    workers: Workers
    premise: Premise

    @property
    def report(self) -> Path:
        """File with the number of finished shapes."""
        return self.folder.with_suffix(".done")

    def reported(self) -> int:
        """Return how many shapes the task has finished, as far as it is known."""
        try:
            return min(int(self.report.read_text()), len(self.shapes))
        except (OSError, ValueError):
            return 0


def look(premise: Premise) -> None:
    """Raise UsageError unless this node sees all files and folders, and has the same version of shapecnn.

    Args:
        premise: What a task needs.
    """
    if premise.version != __version__:
        raise UsageError(
            f"shapecnn {__version__} is installed there, not {premise.version}: use the same version everywhere."
        )
    for path in premise.needs:
        if not path.exists():
            raise UsageError(f"{path} does not exist there: put it on storage that all nodes share, at the same path.")
    if not premise.run.exists():
        raise UsageError(
            f"{premise.out} is not there, or is not the folder of the command: put it on storage that all nodes share, "
            f"at the same path."
        )


def make_part(task: ShardTask) -> None:
    """Make the part of one shard, or continue it.

    Args:
        task: The shard.

    Raises:
        UsageError: This node does not see a folder or has another version, its file system has no locks, or the command
            has ended.
        BusyError: A lost task still writes to the part after a minute.
        ShapecnnError: What the function that makes the part raises.
    """
    reported = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal reported
        if done == total or time.monotonic() - reported > _REPORT:
            reported = time.monotonic()
            with contextlib.suppress(OSError):  # the count is only shown
                task.report.write_text(str(done))

    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".* is on a file system without locks", Caution)
        for waited in range(_LOCKED + 1):
            look(task.premise)  # each time: the command may have ended, and its folder may be gone
            task.folder.mkdir(exist_ok=True)
            try:
                return task.make(task.shapes, task.part, task.folder, task.workers, report)
            except BusyError:  # the process of a lost task has not ended yet
                if waited == _LOCKED:
                    raise
                time.sleep(1)
            except Caution:
                raise UsageError(
                    f"{task.premise.out} is on a file system without locks there, so a lost task and the next could "
                    f"write at the same time: use storage with locks, such as NFS 4."
                ) from None
    return None
