"""What a model says of mesh files, each drawn or filled for it here and now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import ItemError
from shapecnn.models.engine import Device, Engine, open_engine, require_device
from shapecnn.models.input import Input, Looks
from shapecnn.models.model import Model
from shapecnn.models.output import FeatureName, Output
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


def mesh_outputs(
    model: Model,
    paths: Sequence[str],
    *,
    up: Up,
    device: Device = "auto",
    views: bool = False,
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> list[Output | ItemError]:
    """An output for each mesh file, read with ``up``, in the order given; of one that cannot be used, the error.

    Workers draw or fill the next ones while the engine computes; pictures and grids are held only until then. Raises
    UsageError if CUDA is asked for and absent, StoredDataError if the model is damaged, WeightsError if its weights
    cannot be had.
    """
    require_device(device)
    engine: Engine | None = None
    found: dict[int, Output | ItemError] = {}
    seen = mesh_looks(model.input, paths, up=up, limit=limit, workers=workers, progress=progress)
    for number, looks in seen:
        if isinstance(looks, ItemError):
            found[number] = looks
            continue
        engine = engine or open_engine(model, device, views=views)
        engine.start(number, looks)
        found.update(engine.finished())
    if engine is not None:
        engine.wait()
        found.update(engine.finished())
    return [found[number] for number in range(len(paths))]


class Outputs:
    """Of N shapes with R items each, filled in as they come."""

    def __init__(self, model: Model, shapes: int) -> None:
        self._model, self._shapes = model, shapes
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def put(self, shape: int, item: int, items: int, output: Output) -> None:
        """items: R, the same for all shapes."""
        named: dict[str, NDArray[np.float32] | None] = {
            self._model.comparison.feature: self._model.comparison.represent(output),
            "penultimate": output.feature,
            "scores": output.scores,
        }
        for name, values in named.items():
            if values is not None:
                if name not in self._arrays:
                    self._arrays[name] = np.empty((self._shapes, items, len(values)), np.float32)
                self._arrays[name][shape, item] = values

    def get(self, name: FeatureName) -> NDArray[np.float32]:
        """(N, R, D) float32: features of the penultimate layer, not normalized, probabilities of the classes, or, of
        a model that compares by its metric, that."""
        return self._arrays[name]


def compute_outputs(
    engine: Engine,
    model: Model,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    alone: bool,
    advance: Callable[[], None] = lambda: None,
) -> Outputs:
    """alone: each rotation of a shape is an item by itself; else all that is seen of it makes one.

    ``advance`` is called after each shape. Raises StoredDataError if artefacts are damaged.
    """
    outputs = Outputs(model, len(entries))
    items = 1

    def collect() -> None:
        for (shape, item), output in engine.finished():
            outputs.put(shape, item, items, output)

    try:
        for shape, entry in enumerate(entries):
            looks = model.input.read(artefacts, entry)
            items = len(looks) if alone else 1
            for item in range(items):
                engine.start((shape, item), looks[item : item + 1] if alone else looks)
            collect()
            advance()
    finally:
        engine.wait()
    collect()
    return outputs


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
    progress: Progress = no_progress,
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
