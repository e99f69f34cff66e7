"""From mesh files, photographs and drawings to the most similar shapes of an index."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, StoredDataError, UsageError
from shapecnn.models.apply import mesh_outputs
from shapecnn.models.engine import Device, open_engine, require_device
from shapecnn.models.model import Model
from shapecnn.models.output import Feature, Output
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit, search, search_views
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up, ViewSettings
from shapecnn.views.photographs import read_picture
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

FILL = {"sphere": 0.83, "view": 0.9}
"""How much of a view the longer side of a shape takes: the median over the train split of psb, and by definition."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one query: its hits, best first, or the error that stopped it.

    up: with which a mesh was read.  picture: (S, S) uint8, a photograph or drawing as the network saw it; None of a
    mesh.
    """

    path: str
    up: Up
    hits: list[Hit]
    error: ItemError | None = None
    picture: NDArray[np.uint8] | None = None


def answer_queries(
    index: Index,
    model: Model,
    paths: Sequence[str],
    k: int,
    *,
    up: Up,
    device: Device = "auto",
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> list[Answer]:
    """The ``k`` most similar shapes to each mesh file, in the order given. A file that cannot be used is an answer with
    an error.

    model: what the index was made with, ``index.origin.open()``.  limit: meshes are simplified as those of the index
    were, unless it says how.  Raises as :func:`mesh_outputs` does.
    """
    if index.origin.simplify is not None and not limit.simplify:
        limit = FaceLimit(index.origin.simplify, simplify=True)
    views = index.views is not None
    outputs = mesh_outputs(
        model, paths, up=up, device=device, views=views, limit=limit, workers=workers, progress=progress
    )
    features = [model.comparison.represent(output) for output in outputs if not isinstance(output, ItemError)]
    hits: Iterator[list[Hit]] = iter([])
    if features:
        _require_size(index, features[0])
        space = model.comparison.space(index.features, index.placed)
        placed = replace(index, features=space.rows)
        hits = iter(search(placed, space.place(np.stack(features)), k, space.similarity))
    return [
        Answer(path, up, [], output) if isinstance(output, ItemError) else Answer(path, up, next(hits))
        for path, output in zip(paths, outputs, strict=True)
    ]


def require_views(index: Index, model: Model, where: str) -> None:
    """Raise UsageError, which says what to do, unless the index at ``where`` can be asked by a picture."""
    if model.input.kind != "views":
        raise UsageError(
            f"{where} was made with {model.name}, which sees grids and no pictures: --image needs an index made with "
            f"@imagenet or a run on views."
        )
    if index.views is None and index.items:
        raise UsageError(
            f"{where} keeps no features of single views, as it was made by an earlier version. To add them: "
            f"shapecnn index COLLECTION {shlex.quote(where)}, with the options it was made with."
        )


def answer_pictures(
    index: Index,
    model: Model,
    paths: Sequence[str],
    k: int,
    *,
    device: Device = "auto",
    workers: Workers = ONE_A_CORE,
) -> list[Answer]:
    """The ``k`` shapes with the most similar view to each picture file, in the order given. A file that cannot be used
    is an answer with an error.

    index: one that passes :func:`require_views`.  model: what it was made with.  Raises as :func:`mesh_outputs` does.
    """
    require_device(device)
    settings = model.input.drawing()
    assert isinstance(settings, ViewSettings)
    tasks = (_Photograph(number, path, settings.size, FILL[settings.fit]) for number, path in enumerate(paths))
    with closing(pool.run(_read_photograph, tasks, workers)) as results:
        by_number = {task.number: outcome for task, outcome in results}
    seen = [by_number[number] for number in range(len(paths))]
    pictures = [picture for picture in seen if not isinstance(picture, ItemError)]
    features = _features(model, pictures, settings.views, device) if pictures else None
    if features is not None:
        _require_size(index, features[0])
    hits = iter(search_views(index, features, k) if features is not None else [])
    return [
        Answer(path, index.origin.up, [], picture)
        if isinstance(picture, ItemError)
        else Answer(path, index.origin.up, next(hits), picture=picture)
        for path, picture in zip(paths, seen, strict=True)
    ]


class _Photograph(NamedTuple):
    number: int
    path: str
    size: int
    fill: float


def _read_photograph(task: _Photograph) -> NDArray[np.uint8]:
    """Runs in a worker: decoders are native code, and a photograph may be anybody's."""
    return read_picture(Path(task.path), task.size, task.fill)


def _require_size(index: Index, feature: Feature) -> None:
    if index.items and len(feature) != index.features.shape[1]:
        raise StoredDataError(
            f"The features of the index have {index.features.shape[1]} numbers and those of its model {len(feature)}. "
            f"Index the collection again, in a new folder."
        )


def _features(model: Model, pictures: Sequence[NDArray[np.uint8]], views: int, device: Device) -> NDArray[np.float32]:
    """(Q, D) of unit length.  The pictures are shown as if they were the views of shapes, so that the engine is the one
    that made the index and no other has to be converted."""
    blank = np.full_like(pictures[0], 255)
    padded = np.stack([*pictures, *[blank] * (-len(pictures) % views)])
    engine = open_engine(model, device, views=True)
    for start in range(0, len(padded), views):
        engine.start(start, padded[start : start + views])
    engine.wait()
    outputs = [output for _, output in sorted(engine.finished(), key=itemgetter(0))]
    alone = [view for output in outputs if output.views is not None for view in output.views]
    return np.stack([model.comparison.represent(Output(view, None)) for view in alone[: len(pictures)]])
