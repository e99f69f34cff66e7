"""Compute the features of new and changed meshes: workers draw or voxelize meshes while the engine runs the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import ItemError
from shapecnn.meshes.collection import ContentKey, Shape, content_hash, content_key, is_alone
from shapecnn.models.input import Input, Prepared
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.models.model import Model
from shapecnn.models.output import Output
from shapecnn.search.plan import IndexPlan
from shapecnn.search.rows import FeatureRow, RowJournal, StoredRow
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress


@dataclass(slots=True)
class CollectionRows:
    """Features, file hashes and errors of all shapes of a collection, by shape id.

    Attributes:
        hashes: SHA-256 of each mesh file that could be read.
        rows: Features of each shape that can be used, read from the index or newly computed.
        alone: Ids of the shapes whose hash depends on one file only, so that an unchanged file has the same hash.
        failures: Path and error of each mesh that cannot be used.
        engine: Description of the inference engine that computed the new features; None if no features are new.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    rows: dict[str, StoredRow] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    engine: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    input: Input
    settings: ViewSettings | VoxelSettings
    max_faces: int | None


def _draw(stored: frozenset[ContentKey], task: _Task) -> tuple[str, bool, Prepared | None]:
    """Hash a mesh file, and draw or voxelize the mesh unless features are already stored for its content.

    The function runs in a worker process.

    Args:
        stored: Hash and extension of each mesh file whose features are stored.
        task: Mesh file to read and settings to draw or voxelize with.

    Returns:
        The hash; whether the mesh has no companion files; and the views or grids and the descriptor if the model joins
        one, or None if features are stored.
    """
    data = task.shape.source()
    sha = content_hash(task.shape, data)
    alone = is_alone(task.shape, data, sha)
    if content_key(task.shape.id, sha) in stored:
        return sha, alone, None
    return sha, alone, task.input.prepare(load_shape(task.shape, data, task.settings, task.max_faces))


def compute_rows(
    shapes: Sequence[Shape],
    stored: dict[str, StoredRow],
    trusted: Mapping[str, str],
    plan: IndexPlan,
    journal: RowJournal,
    engine: KeptEngine,
    workers: Workers,
    progress: Progress,
) -> CollectionRows:
    """Hash the mesh files that may have changed, and compute features for new and changed meshes.

    A file with the content and the extension of an indexed file reuses the stored features, also under another id.

    Args:
        shapes: Shapes of the collection.
        stored: Features already computed, by shape id, from the old index and from an interrupted command.
        trusted: SHA-256 of each mesh file that is known to be unchanged, by shape id; all others are read and hashed.
        plan: Model and settings of the index.
        journal: Journal on disk that stores the features of each shape as soon as they are computed.
        engine: Inference engine that runs the model.
        workers: Worker processes that read the meshes and draw or voxelize them.
        progress: Callback that receives the number of finished shapes and the number of all shapes.

    Returns:
        Features, file hashes and errors of the shapes.
    """
    result = CollectionRows()
    contents = {content_key(shape_id, row.sha256): row for shape_id, row in stored.items()}

    def reuse(shape: Shape, sha: str) -> None:
        row = stored.get(shape.id)
        if row is None or row.sha256 != sha:  # the row of a copy may come from another engine: the own row is preferred
            row = contents[content_key(shape.id, sha)]
        result.hashes[shape.id], result.rows[shape.id] = sha, row

    read = []
    for shape in shapes:
        if shape.id in trusted and content_key(shape.id, trusted[shape.id]) in contents:
            reuse(shape, trusted[shape.id])
            result.alone.add(shape.id)
        else:
            read.append(shape)

    def collect(wait: bool = False) -> None:
        for shape_id, output in engine.finished(wait):
            row, description = row_of(output, plan.model), engine.open().description
            result.rows[shape_id] = journal.add(shape_id, result.hashes[shape_id], row, description)

    with closing(pool.run(partial(_draw, frozenset(contents)), _tasks(read, plan), workers)) as outcomes:
        known = len(shapes) - len(read)
        progress(known, len(shapes))
        for done, (task, outcome) in enumerate(outcomes, start=known + 1):
            shape = task.shape
            if isinstance(outcome, ItemError):
                result.failures[shape.id] = (shape.path, str(outcome))
            else:
                sha, alone, prepared = outcome
                result.hashes[shape.id] = sha
                if alone:
                    result.alone.add(shape.id)
                if prepared is not None:
                    engine.start(shape.id, prepared)
                    result.engine = engine.open().description
                else:
                    reuse(shape, sha)
            collect()
            progress(done, len(shapes))
        collect(wait=True)
    return result


def _tasks(shapes: Sequence[Shape], plan: IndexPlan) -> Iterator[_Task]:
    network_input = plan.model.input
    settings = network_input.drawing(plan.record.up, plan.record.simplify)
    return (_Task(shape, network_input, settings, plan.max_faces) for shape in shapes)


def row_of(output: Output, model: Model) -> FeatureRow:
    """Convert the network output for one shape to the feature vectors that an index stores."""
    represent = model.comparison.represent
    if output.views is None:
        return FeatureRow(represent(output), None)
    alone = [represent(Output(view, None)) for view in output.views]
    return FeatureRow(represent(output), np.array(alone, np.float16))
