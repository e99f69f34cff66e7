"""Divide a command among the nodes of a Ray cluster: a task makes the part of each shard, and the parts are merged.

The parts are in the subfolder of unfinished work of the output folder, so they disappear with it. All nodes must see
this folder and the collection. A task that is begun again continues its part, as an interrupted job does.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from shapecnn.errors import ClusterError, UsageError, counted
from shapecnn.meshes.collection import Shape
from shapecnn.meshes.parts import read_parts
from shapecnn.meshes.shard_tasks import MakePart, Premise, ShardTask, look, make_part
from shapecnn.meshes.shards import Part, Shard, divide_all
from shapecnn.storage.journal import open_journal
from shapecnn.storage.objects.url import Url, is_url
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import json_bytes, sha256
from shapecnn.storage.unfinished import WORK, claim, discard
from shapecnn.workers.cluster import ATTEMPTS, Cluster, Node, connected
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress

Result = TypeVar("Result")

_PARTS = "parts"  # subfolder of the unfinished work
_LEAST = 512  # shapes of a shard, so that the start of its worker processes takes a small part of the time
_MOST_SHARDS = 1024  # so that an ordinary limit of open files allows to merge indexes


def require_divisible(shard: Shard | None, out: Path) -> None:
    """Raise UsageError if a command on a cluster is to make one shard only, or to write to a URL.

    Args:
        shard: Value of ``--shard``; None without it.
        out: The output folder.
    """
    if shard is not None:
        raise UsageError(f"--shard {shard} and --cluster: a cluster divides the collection itself. Give only one.")
    if isinstance(out, Url):
        raise UsageError(
            f"--cluster needs a folder that all nodes share for the unfinished work, not {out}: name such a folder. "
            f"(The collection may be at a URL; to write to a URL from several machines, use --shard and merge.)"
        )


@dataclass(frozen=True, slots=True)
class Division:
    """What a command divides among the nodes, and how.

    Attributes:
        shapes: All shapes of the collection, in order of id.
        collection: The collection, which every node must see, unless it is at a URL.
        out: Output folder of the command, which every node must see.
        header: Settings of the command, for the journal. Parts that were begun with other settings are not continued.
        remedy: Sentence that ends error messages about damaged parts.
        needs: Further paths that every node must see.
        gpus: Number of GPUs of a task.
    """

    shapes: Sequence[Shape]
    collection: Path
    out: Path
    header: dict[str, Any]
    remedy: str
    needs: Sequence[Path] = ()
    gpus: int = 0

    @property
    def count(self) -> int:
        """Number of shards: the largest power of two that gives each about 512 shapes or more, at most 1,024.

        It does not depend on the cluster, so that another cluster continues the work, and it seldom changes if the
        collection grows.
        """
        return min(1 << max(0, (len(self.shapes) // _LEAST).bit_length() - 1), _MOST_SHARDS)

    @property
    def place(self) -> Path:
        """Folder of the parts."""
        name = sha256(json_bytes({"header": self.header, "count": self.count}))[:16]
        return Path(os.path.abspath(self.out / WORK / _PARTS / name))

    @property
    def local_paths(self) -> tuple[Path, ...]:
        """Absolute paths, besides the output folder, that every node must see."""
        files = [os.path.abspath(shape.file) for shape in self.shapes if not is_url(shape.file)]
        common = [Path(os.path.commonpath(files))] if files else []
        wanted = [path for path in (self.collection, *common, *self.needs) if not is_url(path)]
        return tuple(
            Path(os.path.abspath(path)) for path in wanted if path.exists()
        )  # a CSV may list what is not there


def on_cluster(
    division: Division,
    address: str,
    begin: Callable[[], Callable[[Sequence[Shape]], MakePart]],
    merge: Callable[[Mapping[Path, Part]], Result],
    *,
    overwrite: bool,
    workers: Workers,
    progress: Progress,
) -> Result:
    """Make the parts of a collection on a cluster and merge them; parts of an interrupted command are continued.

    Args:
        division: What is divided, and how.
        address: Address of the cluster; see :func:`shapecnn.workers.cluster.connected`.
        begin: Function that checks what the output folder holds, once the folder is locked. It returns the function
            that returns, for the shapes of a shard, the function that makes their part.
        merge: Function that merges the parts into the locked output folder.
        overwrite: Whether files that shapecnn did not write and that block the cleanup of the output folder may be
            replaced.
        workers: Number of worker processes of a task, and their limits. By default, a task has all cores of the
            smallest node, or its share of them if it has a GPU.
        progress: Called with the number of finished shapes and the number of all shapes.

    Returns:
        The result of ``merge``.

    Raises:
        UsageError: No node has the cores or the GPUs, or a node does not see a folder or has another version.
        ClusterError: The cluster cannot be reached, or a shard was lost too often. The other parts are finished, and
            the same command continues.
        ShapecnnError: A shard raised an error that would affect all of them.
    """
    with connected(address) as cluster:
        nodes = cluster.nodes()
        cores = _cores(nodes, workers, division.gpus)
        with exclusive(division.out, overwrite):
            maker = begin()
            fresh = not (division.out / WORK).exists()
            premise = _begin_run(division)
            try:
                cluster.on_each_node(look, premise, [node for node in nodes if node.slots(cores, division.gpus)])
            except BaseException:
                if fresh:
                    discard(division.out / WORK)
                raise
            with open_journal(division.out / WORK, division.header):
                pass  # from now on, the folder has an unfinished command of these settings
            _make_parts(division, cluster, maker, premise, cores, workers, progress)
            premise.run.unlink(missing_ok=True)  # from now on, a lost task that still runs leaves the parts alone
            numbers = range(1, division.count + 1)
            result = merge(read_parts([division.place / str(number) for number in numbers], division.remedy))
            discard(division.out / WORK)  # only now: on NFS, files that are mapped cannot be removed
    return result


def _cores(nodes: Sequence[Node], workers: Workers, gpus: int) -> int:
    """Return the number of cores of a task; raise an error if no node can run one."""
    if not nodes:
        raise ClusterError("No node of the cluster has a core for tasks: start nodes with ray start --num-cpus.")
    able = [node for node in nodes if node.gpus >= gpus]
    if not able:
        raise UsageError("--device cuda: no node of the cluster has a GPU. Use --device cpu.")
    cores = workers.count or min(max(1, node.cores // max(1, node.gpus) if gpus else node.cores) for node in able)
    most = max(node.cores for node in able)
    if cores > most:
        beside = " and a GPU" if gpus else ""
        raise UsageError(
            f"No node of the cluster has {counted(cores, 'core')}{beside}, the largest has {most}: use fewer --workers."
        )
    return cores


def _begin_run(division: Division) -> Premise:
    """Create the file that shows every task that it belongs to this run, and remove those of earlier runs.

    So a task of an earlier run, on a node that was lost for a while, does not begin any more.
    """
    claim(division.out / WORK)
    division.place.mkdir(parents=True, exist_ok=True)
    for path in division.place.parent.glob("run-*"):
        path.unlink(missing_ok=True)
    run = division.place.parent / f"run-{secrets.token_hex(8)}"
    run.write_bytes(b"")
    return Premise(run, division.out, division.local_paths)


def _make_parts(
    division: Division,
    cluster: Cluster,
    maker: Callable[[Sequence[Shape]], MakePart],
    premise: Premise,
    cores: int,
    workers: Workers,
    progress: Progress,
) -> None:
    begun: dict[int, ShardTask] = {}
    finished, total = 0, len(division.shapes)
    lost: dict[Shard, ClusterError] = {}
    shapes = [replace(shape, file=_absolute(shape.file)) for shape in division.shapes]

    def tasks() -> Iterator[ShardTask]:
        for chosen, part in divide_all(shapes, division.count):
            folder = division.place / str(part.number)
            limits = replace(workers, count=cores)
            yield begun.setdefault(part.number, ShardTask(maker(chosen), chosen, part, folder, limits, premise))

    def beat() -> None:
        progress(finished + sum(task.reported() for task in begun.values()), total)

    beat()
    outcomes = cluster.run(make_part, tasks(), cores=cores, gpus=division.gpus, beat=beat)
    with closing(outcomes):
        for task, outcome in outcomes:
            finished += len(begun.pop(task.part.number).shapes)
            if isinstance(outcome, ClusterError):
                lost[task.part.shard] = outcome
    beat()
    if lost:
        shard, error = next(iter(lost.items()))
        others = f", and {counted(len(lost) - 1, 'other')} as well" if len(lost) > 1 else ""
        raise ClusterError(
            f"Shard {shard} failed {ATTEMPTS} times{others}: {str(error).rstrip('.')}. The other shards are finished "
            f"and kept; run the same command again to continue."
        )


def _absolute(path: Path) -> Path:
    return path if is_url(path) else Path(os.path.abspath(path))
