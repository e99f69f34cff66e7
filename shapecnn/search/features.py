"""Features of the meshes that an index lacks: workers draw or fill the next ones while the engine computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import ItemError
from shapecnn.meshes.collection import ContentKey, Shape, content_hash, content_key
from shapecnn.models.engine import Device, Engine, open_engine
from shapecnn.models.input import Input, Looks
from shapecnn.models.model import Model
from shapecnn.models.output import Output
from shapecnn.search.origin import Origin
from shapecnn.search.rows import Kept, Row, note_row
from shapecnn.settings.artefacts import ViewSettings, VoxelSettings
from shapecnn.storage.journal import Record
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress


@dataclass(slots=True)
class Computed:
    """By id.  rows: of the shapes that can be used, known and new ones."""

    hashes: dict[str, str]
    rows: dict[str, Kept]
    failures: dict[str, tuple[str, str]]
    engine: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    seen: Input
    settings: ViewSettings | VoxelSettings
    max_faces: int | None


def _draw(known: frozenset[ContentKey], task: _Task) -> tuple[str, Looks | None]:
    """Runs in a worker: the hash of the mesh file and, unless its content is known, its pictures or grids."""
    data = task.shape.source()
    sha = content_hash(task.shape, data)
    if content_key(task.shape.id, sha) in known:
        return sha, None
    return sha, task.seen.draw(load_shape(task.shape, data, task.settings, task.max_faces))


def compute(
    shapes: list[Shape],
    known: dict[str, Kept],
    scratch: Path,
    note: Callable[[Record], int],
    model: Model,
    origin: Origin,
    max_faces: int | None,
    device: Device,
    workers: Workers,
    progress: Progress,
    engine: Engine | None,
) -> Computed:
    """Hash every mesh and compute the features of those whose content is not known, under whatever id, noting each as
    it is done.  engine: one that is open already."""
    result = Computed({}, {}, {})
    settings = model.input.drawing(origin.up, origin.simplify)
    tasks = (_Task(shape, model.input, settings, max_faces) for shape in shapes)
    contents = {content_key(shape_id, kept.sha256): kept for shape_id, kept in known.items()}
    with closing(pool.run(partial(_draw, frozenset(contents)), tasks, workers)) as results:

        def collect(engine: Engine) -> None:
            for shape_id, output in engine.finished():
                row, sha = row_of(output, model), result.hashes[shape_id]
                result.rows[shape_id] = note_row(note, scratch, shape_id, sha, row, engine.description)

        progress(0, len(shapes))
        for done, (task, outcome) in enumerate(results, start=1):
            shape = task.shape
            if isinstance(outcome, ItemError):
                result.failures[shape.id] = (shape.path, str(outcome))
            else:
                result.hashes[shape.id], looks = outcome
                if looks is None:
                    sha, own = result.hashes[shape.id], known.get(shape.id)
                    if own is None or own.sha256 != sha:  # else its own, for another engine may have seen a copy
                        own = contents[content_key(shape.id, sha)]
                    result.rows[shape.id] = own
                else:
                    if engine is None:
                        engine = open_engine(model, device, views=model.input.kind == "views")
                    result.engine = engine.description
                    engine.start(shape.id, looks)
            if engine is not None:
                collect(engine)
            progress(done, len(shapes))
        if engine is not None:
            engine.wait()
            collect(engine)
    return result


def open_first(model: Model, device: Device) -> Engine | None:
    """The engine of a new index, where its weights are not at hand as a Python package: that there is no such backbone,
    or that weights are fetched or cannot be had, is told before any mesh is read. Else it is opened while they are."""
    return None if model.network.at_hand else open_engine(model, device, views=model.input.kind == "views")


def row_of(output: Output, model: Model) -> Row:
    """Turn what a model made of a shape into a row of its index."""
    if output.views is None:
        return Row(model.comparison.represent(output), None)
    alone = [model.comparison.represent(Output(view, None)) for view in output.views]
    return Row(model.comparison.represent(output), np.array(alone, np.float16))
