"""Compute the features that an index lacks: workers draw or fill the next meshes while the engine computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import ItemError
from shapecnn.meshes.collection import ContentKey, Shape, content_hash, content_key
from shapecnn.models.engine import Device, Engine, open_engine
from shapecnn.models.input import Input, InputArray
from shapecnn.models.model import Model
from shapecnn.models.output import Output
from shapecnn.search.plan import IndexPlan
from shapecnn.search.rows import FeatureRow, RowJournal, StoredRow
from shapecnn.settings.artefacts import ViewSettings, VoxelSettings
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress


@dataclass(slots=True)
class CollectionRows:
    """Rows of a collection, by id of the shape.

    Attributes:
        hashes: SHA-256 of each mesh file that could be read.
        rows: Rows of the shapes that can be used, stored earlier or computed now.
        failures: Path and error of each mesh that cannot be used.
        engine: Description of the engine that computed the new rows; None if there are none.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    rows: dict[str, StoredRow] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    engine: dict[str, str] | None = None


class FeatureEngine:
    """Engine of a plan, opened when it is first needed.

    Args:
        plan: Plan of the index.
        device: Where the network runs.
    """

    def __init__(self, plan: IndexPlan, device: Device) -> None:
        self._model, self._device = plan.model, device
        self._engine: Engine | None = None

    def open(self) -> Engine:
        """Return the engine, which is opened by the first call."""
        if self._engine is None:
            self._engine = open_engine(self._model, self._device, views=self._model.input.kind == "views")
        return self._engine

    def open_if_remote(self) -> None:
        """Open the engine of a new index now if its weights may have to be downloaded.

        So a wrong backbone or a failed download is reported before any mesh is read. Otherwise the engine is opened
        while meshes are read.
        """
        if not self._model.network.at_hand:
            self.open()

    def finished(self, wait: bool = False) -> list[tuple[str, Output]]:
        """Return the ids and outputs of shapes that became ready since the last call.

        Args:
            wait: Whether to wait for all shapes that were started.
        """
        if self._engine is None:
            return []
        if wait:
            self._engine.wait()
        return self._engine.finished()


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    input: Input
    settings: ViewSettings | VoxelSettings
    max_faces: int | None


def _draw(stored: frozenset[ContentKey], task: _Task) -> tuple[str, InputArray | None]:
    """Return the hash of a mesh file and, unless a row of its content is stored, its views or grids.

    Runs in a worker.
    """
    data = task.shape.source()
    sha = content_hash(task.shape, data)
    if content_key(task.shape.id, sha) in stored:
        return sha, None
    return sha, task.input.draw(load_shape(task.shape, data, task.settings, task.max_faces))


def compute_rows(
    shapes: Sequence[Shape],
    stored: dict[str, StoredRow],
    plan: IndexPlan,
    journal: RowJournal,
    engine: FeatureEngine,
    workers: Workers,
    progress: Progress,
) -> CollectionRows:
    """Hash every mesh file, and compute a row for each content that has none yet under any id.

    Args:
        shapes: Shapes of the collection.
        stored: Rows by id, of the index and of an interrupted run.
        plan: Plan of the index.
        journal: Journal that stores each new row as soon as it is computed.
        engine: Engine of the plan.
        workers: Processes that read, draw and fill meshes.
        progress: Called with the number of shapes done and of all shapes.
    """
    result = CollectionRows()
    contents = {content_key(shape_id, row.sha256): row for shape_id, row in stored.items()}

    def collect(wait: bool = False) -> None:
        for shape_id, output in engine.finished(wait):
            row, description = row_of(output, plan.model), engine.open().description
            result.rows[shape_id] = journal.add(shape_id, result.hashes[shape_id], row, description)

    with closing(pool.run(partial(_draw, frozenset(contents)), _tasks(shapes, plan), workers)) as outcomes:
        progress(0, len(shapes))
        for done, (task, outcome) in enumerate(outcomes, start=1):
            shape = task.shape
            if isinstance(outcome, ItemError):
                result.failures[shape.id] = (shape.path, str(outcome))
            else:
                sha, array = outcome
                result.hashes[shape.id] = sha
                if array is not None:
                    engine.open().start(shape.id, array)
                    result.engine = engine.open().description
                else:
                    row = stored.get(shape.id)
                    if (
                        row is None or row.sha256 != sha
                    ):  # else its own row: that of a copy may come from another engine
                        row = contents[content_key(shape.id, sha)]
                    result.rows[shape.id] = row
            collect()
            progress(done, len(shapes))
        collect(wait=True)
    return result


def _tasks(shapes: Sequence[Shape], plan: IndexPlan) -> Iterator[_Task]:
    network_input = plan.model.input
    settings = network_input.drawing(plan.record.up, plan.record.simplify)
    return (_Task(shape, network_input, settings, plan.max_faces) for shape in shapes)


def row_of(output: Output, model: Model) -> FeatureRow:
    """Return the row of an index for the output of a model."""
    represent = model.comparison.represent
    if output.views is None:
        return FeatureRow(represent(output), None)
    alone = [represent(Output(view, None)) for view in output.views]
    return FeatureRow(represent(output), np.array(alone, np.float16))
