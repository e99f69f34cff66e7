"""What a model sees of mesh files, each drawn or filled by a worker: one that breaks it costs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shapecnn.errors import ItemError
from shapecnn.models.input import Input, Looks
from shapecnn.settings.core import NO_LIMIT, FaceLimit, Up
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers


@dataclass(frozen=True, slots=True)
class _Task:
    number: int
    path: str
    seen: Input
    up: Up
    limit: FaceLimit


def mesh_looks(
    seen: Input,
    paths: Sequence[str],
    *,
    up: Up = "z",
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[tuple[int, Looks | ItemError]]:
    """The number of each path with what is seen of the mesh file there, or why nothing is, as they are finished.

    Files are read as the results are taken: two of each worker are held at most.
    """
    tasks = (_Task(number, path, seen, up, limit) for number, path in enumerate(paths))
    with closing(pool.run(_look, tasks, workers)) as results:
        progress(0, len(paths))
        for done, (task, outcome) in enumerate(results, start=1):
            yield task.number, outcome
            progress(done, len(paths))


def _look(task: _Task) -> Looks:
    """Runs in a worker."""
    return task.seen.load(Path(task.path), task.up, task.limit)
