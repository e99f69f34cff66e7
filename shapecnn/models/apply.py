"""Apply a model to meshes, which are first rendered or voxelized, or to artefacts (stored views or voxel grids)."""

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
from shapecnn.models.device import Device
from shapecnn.models.engine import Engine
from shapecnn.models.input import Input, Prepared
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.models.model import Model
from shapecnn.models.output import FeatureName, Output
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up
from shapecnn.shared.checks import require_choice
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


class MeshEncoder:
    """Computes features and class probabilities of meshes with a model.

    The network is loaded when the first valid mesh has been read.

    Args:
        model: Model to apply.
        device: Device of the network: ``auto``, ``cpu`` or ``cuda``.
        views: Whether to also compute a separate feature for each view.
        workers: Number of processes that read, render and voxelize meshes.

    Attributes:
        engine: Inference engine that runs the network of the model.

    Raises:
        UsageError: ``device`` is ``cuda``, and torch finds no CUDA device.
    """

    def __init__(
        self, model: Model, device: Device = "auto", *, views: bool = False, workers: Workers = ONE_PER_CORE
    ) -> None:
        self.model, self._workers = model, workers
        self.engine = KeptEngine(model, device, views=views)

    def outputs(
        self,
        meshes: Sequence[MeshInput],
        *,
        up: Up,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> list[Output | ItemError]:
        """Compute the features and class probabilities of each mesh.

        Worker processes render or voxelize the next meshes while the network computes. The views or grids of only a
        few meshes are in memory at a time.

        Args:
            meshes: Paths or arrays of N meshes.
            up: Axis of the meshes that points up.
            limit: Largest number of faces of a mesh, and whether larger meshes are simplified.
            progress: Called with the number of finished meshes and N.

        Returns:
            N items in the order of ``meshes``: the output, or the error if the mesh cannot be processed.

        Raises:
            StoredDataError: The model is damaged.
            WeightsError: The weights of the model cannot be downloaded.
        """
        require_choice("up", up, Up)
        results: dict[int, Output | ItemError] = {}
        with self.engine.reserved():
            inputs = prepared_meshes(
                self.model.input, meshes, up=up, limit=limit, workers=self._workers, progress=progress
            )
            for number, prepared in inputs:
                if isinstance(prepared, ItemError):
                    results[number] = prepared
                else:
                    self.engine.start(number, prepared)
                    results.update(self.engine.finished())
            results.update(self.engine.finished(wait=True))
        return [results[number] for number in range(len(meshes))]


class OutputArrays:
    """Collects features and class probabilities that a model computes for N shapes, in arrays.

    Each shape has R outputs. R is the number of rotations of its grid if the network processes each rotation
    separately; otherwise R is 1, and the network pools over all views or rotations.

    Args:
        model: Model that computes the outputs.
        shapes: Number of shapes, N.
    """

    def __init__(self, model: Model, shapes: int) -> None:
        self._model, self._shapes = model, shapes
        self._arrays: dict[str, NDArray[np.float32]] = {}
        self._values = np.full(shapes, np.nan)

    def put(self, shape: int, item: int, items: int, output: Output) -> None:
        """Store one output of a shape.

        Args:
            shape: Index of the shape, from 0 to N - 1.
            item: Index of the output of the shape: the rotation, or 0 if each shape has one output.
            items: Number of outputs of each shape, R.
            output: Features and class probabilities to store.
        """
        if output.value is not None:
            self._values[shape] = output.value
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
        """Return one kind of output of all shapes as an array.

        Args:
            name: ``penultimate`` for the input features of the classifier, of any length; ``scores`` for the class
                probabilities; ``metric`` for the features of the learned metric, of unit length.

        Returns:
            (N, R, D) float32: N shapes, R outputs of each shape (one for each rotation, or 1), D values in each output.
        """
        return self._arrays[name]

    def values(self) -> NDArray[np.float64]:
        """Return the predicted quantity of all N shapes, (N,); NaN if the model predicts no quantity."""
        return self._values


def compute_outputs(
    engine: Engine,
    model: Model,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    alone: bool,
    advance: Callable[[], None] = lambda: None,
) -> OutputArrays:
    """Compute features and class probabilities of shapes whose views or grids are stored in a folder.

    Args:
        engine: Engine that runs the network of the model.
        model: Model that computes the outputs.
        artefacts: Opened folder of views or grids.
        entries: Rows of the manifest, one for each shape to process.
        alone: Whether to compute a separate output for each rotation of a grid; otherwise the network pools over all
            views or rotations of a shape, and each shape has one output.
        advance: Called without arguments after each shape.

    Returns:
        Arrays of the outputs, in the order of ``entries``.

    Raises:
        StoredDataError: The views or grids, or the weights of the model, are damaged.
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


def prepared_meshes(
    network_input: Input,
    meshes: Sequence[MeshInput],
    *,
    up: Up = "z",
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
) -> Iterator[tuple[int, Prepared | ItemError]]:
    """Render or voxelize meshes for a model in parallel processes.

    A worker that is one mesh ahead waits until the caller takes an earlier result, so that at most two results per
    worker are in memory.

    Args:
        network_input: Kind and settings of the views or grids.
        meshes: Paths or arrays of the meshes.
        up: Axis of the meshes that points up.
        limit: Largest number of faces of a mesh, and whether larger meshes are simplified.
        workers: Number of worker processes.
        progress: Called with the number of finished meshes and the number of all meshes.

    Yields:
        (index, result) for each mesh, as soon as the mesh is finished, in any order. ``index`` is its index in
        ``meshes``. ``result`` contains its views or grids and the descriptor if the model joins one, or is the error if
        the mesh cannot be processed.
    """
    tasks: Iterable[_Task] = (_Task(number, mesh, network_input, up, limit) for number, mesh in enumerate(meshes))
    with closing(pool.run(_load, tasks, workers)) as results:
        progress(0, len(meshes))
        for done, (task, outcome) in enumerate(results, start=1):
            yield task.number, outcome
            progress(done, len(meshes))


def _load(task: _Task) -> Prepared:
    """Render or voxelize one mesh; runs in a worker process."""
    return task.input.load(task.mesh, task.up, task.limit)
