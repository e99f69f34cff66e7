"""Make the parts of a collection on a Ray cluster, one task for each shard, to be merged by the caller.

The parts are in the subfolder of unfinished work of the output folder, so they disappear with it. All nodes must see
this folder and the collection. A task that is begun again continues its part, as an interrupted job does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from shapecnn import __version__
from shapecnn.errors import BusyError, ClusterError, UsageError, counted
from shapecnn.meshes.collection import Shape
from shapecnn.meshes.parts import read_parts
from shapecnn.meshes.shards import Part, Shard, divide_all
from shapecnn.storage.unfinished import WORK
from shapecnn.workers.cluster import ATTEMPTS, Cluster
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress

MakePart = Callable[[Sequence[Shape], Part, Path, Workers, Progress], None]
"""Function that makes the part of some shapes in a folder; it is picklable and runs on a node of the cluster."""

_PARTS = "parts"  # subfolder of the unfinished work
_MOST_ROUNDS = 4  # shards for each task that the cluster can run at a time, at most
_LEAST_SHAPES = 256  # shapes of a shard, on average and at least, if a task gets more than one shard
_LOCKED = 60  # seconds to wait for an earlier task that still writes to the part
_REPORT = 0.5  # seconds between two reports of progress


def require_whole(shard: Shard | None) -> None:
    """Raise UsageError if a command on a cluster is to make one shard only.

    Args:
        shard: Value of ``--shard``; None without it.
    """
    if shard is not None:
        raise UsageError(f"--shard {shard} and --cluster: a cluster divides the collection itself. Give only one.")


@dataclass(frozen=True, slots=True)
class _Task:
    make: MakePart
    shapes: list[Shape]
    part: Part
    folder: Path
    workers: Workers
    needs: tuple[Path, ...]

    @property
    def report(self) -> Path:
        """File with the number of finished shapes."""
        return self.folder.with_suffix(".done")


def make_parts(
    shapes: Sequence[Shape],
    out: Path,
    cluster: Cluster,
    maker: Callable[[Sequence[Shape]], MakePart],
    *,
    needs: Sequence[Path],
    remedy: str,
    workers: Workers,
    gpus: int = 0,
    progress: Progress,
) -> dict[Path, Part]:
    """Make the parts of a collection on a cluster; parts of an interrupted command are continued.

    A task has as many cores as ``workers`` says, by default those of the smallest node. There are between 1 and 4
    shards for each task that the cluster can run at a time: as many as have 256 shapes on average.

    Args:
        shapes: All shapes of the collection, in order of id.
        out: Folder into which the parts will be merged. The caller has locked it and claimed its subfolder
            :data:`WORK`.
        cluster: The cluster.
        maker: Function that returns, for the shapes of a shard, the function that makes their part.
        needs: Files and folders besides ``out`` that every node must see, such as the collection.
        remedy: Sentence that ends error messages about damaged parts.
        workers: Number of worker processes of a task, and their limits.
        gpus: Number of GPUs of a task.
        progress: Called with the number of finished shapes and the number of all shapes.

    Returns:
        The parts by folder, in order of their numbers.

    Raises:
        UsageError: No node has the cores or the GPUs, or a node does not see a folder or has another version.
        ClusterError: A shard was lost too often. The other parts are finished, and the same command continues.
        ShapecnnError: A shard raised an error that would affect all of them.
    """
    nodes = cluster.nodes()
    cores = workers.count or min((node.cores for node in nodes), default=1)
    slots = sum(node.slots(cores, gpus) for node in nodes)
    if not slots:
        most = max((node.cores for node in nodes), default=0)
        raise UsageError(
            "--device cuda: no node of the cluster has a GPU. Use --device cpu."
            if gpus and most >= cores
            else f"No node of the cluster has {cores} cores, the largest has {most}: use fewer --workers."
        )
    folder = Path(os.path.abspath(out / WORK / _PARTS))
    count = _number_of_shards(folder, len(shapes), slots)
    run = _begin_run(folder)
    everywhere = (run, *(Path(os.path.abspath(path)) for path in needs))
    cluster.on_each_node(_look, (everywhere, __version__))
    absolute = [replace(shape, file=Path(os.path.abspath(shape.file))) for shape in shapes]
    place = folder / f"of-{count}"
    place.mkdir(exist_ok=True)
    begun: dict[int, _Task] = {}
    finished = 0
    lost: dict[Shard, ClusterError] = {}

    def tasks() -> Iterator[_Task]:
        for chosen, part in divide_all(absolute, count):
            limits = replace(workers, count=cores)
            yield begun.setdefault(
                part.number, _Task(maker(chosen), chosen, part, place / str(part.number), limits, everywhere)
            )

    def beat() -> None:
        progress(finished + sum(map(_reported, begun.values())), len(shapes))

    beat()
    with closing(cluster.run(_make_part, tasks(), cores=cores, gpus=gpus, beat=beat)) as outcomes:
        for task, outcome in outcomes:
            finished += len(begun.pop(task.part.number).shapes)
            if isinstance(outcome, ClusterError):
                lost[task.part.shard] = outcome
    beat()
    if lost:
        shard, error = next(iter(lost.items()))
        others = f", and {counted(len(lost) - 1, 'other')} as well" if len(lost) > 1 else ""
        raise ClusterError(
            f"Shard {shard} failed {ATTEMPTS} times{others}: {error}. The other shards are finished and kept; run the "
            f"same command again to continue."
        )
    return read_parts([place / str(number) for number in range(1, count + 1)], remedy)


def _number_of_shards(folder: Path, shapes: int, slots: int) -> int:
    """Return into how many shards the collection is divided: as an interrupted command did, or by the size."""
    former = [int(path.name[3:]) for path in folder.glob("of-*") if path.name[3:].isdigit()]
    rounds = min(_MOST_ROUNDS, max(1, shapes // (slots * _LEAST_SHAPES)))
    return max(former, default=min(shapes, slots * rounds))


def _begin_run(folder: Path) -> Path:
    """Create the file that shows every task that it belongs to this run, and remove those of earlier runs.

    So a task of an earlier run, on a node that was lost for a while, does not begin any more.
    """
    folder.mkdir(exist_ok=True)
    for path in folder.glob("run-*"):
        path.unlink(missing_ok=True)
    run = folder / f"run-{secrets.token_hex(8)}"
    run.write_bytes(b"")
    return run


def _look(task: tuple[tuple[Path, ...], str]) -> None:
    """Raise UsageError unless this node sees all files and folders, and has the same version of shapecnn."""
    needs, version = task
    if version != __version__:
        raise UsageError(f"shapecnn {__version__} is installed there, not {version}: use the same version everywhere.")
    for path in needs:
        if not path.exists():
            shown = path.parents[2] if path.name.startswith("run-") else path
            raise UsageError(
                f"{shown} does not exist there, or is not this machine's: put it on storage that all nodes share, at "
                f"the same path."
            )


def _make_part(task: _Task) -> None:
    """Make the part of one shard. The function runs on a node of the cluster."""
    _look((task.needs, task.part.version))
    reported = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal reported
        if done == total or time.monotonic() - reported > _REPORT:
            reported = time.monotonic()
            with contextlib.suppress(OSError):  # the count is only shown
                task.report.write_text(str(done))

    for waited in range(_LOCKED + 1):
        try:
            return task.make(task.shapes, task.part, task.folder, task.workers, report)
        except BusyError:  # the process of a lost task has not ended yet
            if waited == _LOCKED:
                raise
            time.sleep(1)
    return None


def _reported(task: _Task) -> int:
    try:
        return min(int(task.report.read_text()), len(task.shapes))
    except (OSError, ValueError):
        return 0
