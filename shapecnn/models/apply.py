"""Apply a model to meshes, which are drawn or filled on the way, or to artefacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import ItemError
from shapecnn.meshes.source import MeshInput
from shapecnn.models.engine import Device, Engine, open_engine, require_device
from shapecnn.models.input import Input, InputArray
from shapecnn.models.model import Model
from shapecnn.models.output import FeatureName, Output
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


class MeshEncoder:
    """Applies a model to meshes. Its engine opens with the first mesh that can be used, and stays open.

    Args:
        model: Model to apply.
        device: Where the network runs.
        views: Whether outputs have the feature of each view too.
        workers: Processes that read, draw and fill meshes.

    Raises:
        UsageError: CUDA is asked for and absent.
    """

    def __init__(
        self, model: Model, device: Device = "auto", *, views: bool = False, workers: Workers = ONE_A_CORE
    ) -> None:
        require_device(device)
        self.model, self._device, self._views, self._workers = model, device, views, workers
        self._engine: Engine | None = None

    def outputs(
        self,
        meshes: Sequence[MeshInput],
        *,
        up: Up,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> list[Output | ItemError]:
        """Compute the output of the network for each mesh.

        Workers draw or fill the next meshes while the engine computes, so few views or grids are in memory at a time.

        Args:
            meshes: Paths or arrays of N meshes.
            up: Axis that points up in them.
            limit: How many faces a mesh may have, and whether larger ones are simplified.
            progress: Called as meshes are done.

        Returns:
            N outputs in the order given; for a mesh that cannot be used, the error.

        Raises:
            StoredDataError: The model is damaged.
            WeightsError: Its weights cannot be downloaded.
        """
        results: dict[int, Output | ItemError] = {}
        arrays = input_arrays(self.model.input, meshes, up=up, limit=limit, workers=self._workers, progress=progress)
        for number, array in arrays:
            if isinstance(array, ItemError):
                results[number] = array
                continue
            engine = self._open()
            engine.start(number, array)
            results.update(engine.finished())
        if self._engine is not None:
            self._engine.wait()
            results.update(self._engine.finished())
        return [results[number] for number in range(len(meshes))]

    def _open(self) -> Engine:
        if self._engine is None:
            self._engine = open_engine(self.model, self._device, views=self._views)
        return self._engine


class OutputArrays:
    """Arrays of the outputs of N shapes with R items each, filled one output at a time.

    Args:
        model: Model that computes the outputs.
        shapes: N.
    """

    def __init__(self, model: Model, shapes: int) -> None:
        self._model, self._shapes = model, shapes
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def put(self, shape: int, item: int, items: int, output: Output) -> None:
        """Store one output.

        Args:
            shape: Number of the shape, from 0 to N - 1.
            item: Number of its item, from 0 to R - 1.
            items: R, the same for all shapes.
            output: The output.
        """
        comparison = self._model.comparison
        named: dict[str, NDArray[np.float32] | None] = {
            comparison.feature: comparison.represent(output),
            "penultimate": output.feature,
            "scores": output.scores,
        }
        for name, values in named.items():
            if values is not None:
                if name not in self._arrays:
                    self._arrays[name] = np.empty((self._shapes, items, len(values)), np.float32)
                self._arrays[name][shape, item] = values

    def get(self, name: FeatureName) -> NDArray[np.float32]:
        """Return one kind of output for all items, (N, R, D) float32.

        Args:
            name: ``penultimate``: what the classifier takes, of any length; ``scores``: probabilities of the classes;
                ``metric``: what a model with a learned metric compares, of unit length.
        """
        return self._arrays[name]


def compute_outputs(
    engine: Engine,
    model: Model,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    alone: bool,
    advance: Callable[[], None] = lambda: None,
) -> OutputArrays:
    """Compute the outputs of shapes from their artefacts.

    Args:
        engine: Engine of the model.
        model: The model.
        artefacts: Folder of views or grids.
        entries: N shapes of it.
        alone: Whether each rotation of a shape is an item by itself; else all views or rotations make one.
        advance: Called after each shape.

    Raises:
        StoredDataError: Artefacts are damaged.
    """
    outputs = OutputArrays(model, len(entries))
    items = 1

    def collect() -> None:
        for (shape, item), output in engine.finished():
            outputs.put(shape, item, items, output)

    try:
        for shape, entry in enumerate(entries):
            array = model.input.read(artefacts, entry)
            items = len(array) if alone else 1
            for item in range(items):
                engine.start((shape, item), array[item : item + 1] if alone else array)
            collect()
            advance()
    finally:
        engine.wait()
    collect()
    return outputs


@dataclass(frozen=True, slots=True)
class _Task:
    number: int
    mesh: MeshInput
    input: Input
    up: Up
    limit: FaceLimit


def input_arrays(
    network_input: Input,
    meshes: Sequence[MeshInput],
    *,
    up: Up = "z",
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> Iterator[tuple[int, InputArray | ItemError]]:
    """Draw or fill meshes for a network, in workers.

    Meshes are read as results are consumed: at most two per worker are in memory.

    Args:
        network_input: What the network takes.
        meshes: Paths or arrays.
        up: Axis that points up in them.
        limit: How many faces a mesh may have, and whether larger ones are simplified.
        workers: Processes to work in.
        progress: Called as meshes are done.

    Yields:
        The number of each mesh with its views or grids, or the error that stopped it, as they are finished.
    """
    tasks: Iterable[_Task] = (_Task(number, mesh, network_input, up, limit) for number, mesh in enumerate(meshes))
    with closing(pool.run(_load, tasks, workers)) as results:
        progress(0, len(meshes))
        for done, (task, outcome) in enumerate(results, start=1):
            yield task.number, outcome
            progress(done, len(meshes))


def _load(task: _Task) -> InputArray:
    """Draw or fill one mesh in a worker."""
    return task.input.load(task.mesh, task.up, task.limit)
