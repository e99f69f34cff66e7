"""Query an index with meshes, photographs or drawings for the most similar shapes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, StoredDataError, UsageError
from shapecnn.meshes.source import MeshSource, mesh_inputs, mesh_name
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.engine import Device, Engine, open_engine, require_device
from shapecnn.models.model import Model
from shapecnn.models.output import Feature, Output
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit, search, search_views
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Up, ViewSettings
from shapecnn.shared.results import ResultList
from shapecnn.views.photographs import read_picture
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

FILL = {"sphere": 0.83, "view": 0.9}
"""Fraction of a view that the longer side of a shape takes: the median over the train split of psb; by definition."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Results of one query, or the error that stopped it.

    Attributes:
        path: Path of the mesh or picture file, or the name of a mesh in memory.
        up: Axis that points up in the mesh.
        hits: Most similar shapes of the index, best first.
        error: Why the query could not be used.
        picture: (S, S) uint8, a photograph or drawing as the network took it; None for a mesh.
    """

    path: str
    up: Up
    hits: list[Hit]
    error: ItemError | None = None
    picture: NDArray[np.uint8] | None = None


class Answers(ResultList[Answer]):
    """Answers to queries, in the order given; they print as a table, and a notebook shows them with pictures.

    Attributes:
        searched: Index that was searched.
        where: Its folder.
    """

    __slots__ = ("searched", "where")

    def __init__(self, answers: Iterable[Answer], index: Index, where: str) -> None:
        super().__init__(answers)
        self.searched, self.where = index, where

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each hit: query, rank, score, label, id, path, view; a failed query has one with error."""
        columns = ("query", "rank", "score", "label", "id", "path", "view", "error")
        rows: list[tuple[Any, ...]] = []
        for answer in self:
            if answer.error is not None:
                rows.append((answer.path, *[None] * 6, str(answer.error)))
            rows += [
                (answer.path, rank, hit.score, hit.shape.label, hit.shape.id, hit.shape.path, hit.view, None)
                for rank, hit in enumerate(answer.hits, 1)
            ]
        return [dict(zip(columns, row, strict=True)) for row in rows]


class Searcher:
    """Searches an index with its model; the network is loaded once and stays loaded.

    Args:
        index: Index to search.
        model: Model that made it.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes that read, draw and fill meshes.
        where: Folder of the index, for messages.

    Raises:
        UsageError: CUDA is asked for and absent.
    """

    def __init__(
        self,
        index: Index,
        model: Model,
        device: Device = "auto",
        workers: Workers = ONE_A_CORE,
        where: str = "The index",
    ) -> None:
        self.index, self.model, self._where = index, model, where
        self._device, self._workers = device, workers
        self._encoder = MeshEncoder(model, device, views=index.views is not None, workers=workers)
        self._picture_engine: Engine | None = None
        self._placed: tuple[Any, Index] | None = None

    def __repr__(self) -> str:
        """Count of shapes, and the model."""
        return f"<Searcher {self._where}: {len(self.index.shapes)} shapes, {self.index.record.description}>"

    def __len__(self) -> int:
        """Number of shapes in the index."""
        return len(self.index.shapes)

    def query(
        self,
        meshes: MeshSource | Iterable[MeshSource],
        k: int = 10,
        *,
        up: Up | None = None,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> Answers:
        """Find the shapes most similar to meshes.

        Args:
            meshes: One mesh or N: paths, ``trimesh.Trimesh`` objects or pairs of arrays (vertices, faces).
            k: How many shapes to return for each, at most.
            up: Axis that points up in the meshes; None: as in the meshes of the index.
            limit: How many faces a mesh may have. Where it does not simplify, meshes are simplified as
                those of the index were.
            progress: Called with the number of meshes done and N.

        Returns:
            N answers in the order given; a mesh that cannot be used is an answer with an error.

        Raises:
            UsageError: Something given is not a mesh.
            StoredDataError: The model is damaged, or is not the one that made the index.
            WeightsError: The weights of the model cannot be downloaded.
        """
        record = self.index.record
        if record.simplify is not None and not limit.simplify:
            limit = FaceLimit(record.simplify, simplify=True)
        inputs = mesh_inputs(meshes)
        up = up or record.up
        outputs = self._encoder.outputs(inputs, up=up, limit=limit, progress=progress)
        represent = self.model.comparison.represent
        features = [represent(output) for output in outputs if not isinstance(output, ItemError)]
        hits: Iterator[list[Hit]] = iter([])
        if features:
            _require_size(self.index, features[0])
            space, placed = self._space()
            hits = iter(search(placed, space.place(np.stack(features)), k, space.similarity))
        answers = (
            Answer(mesh_name(mesh), up, [], output)
            if isinstance(output, ItemError)
            else Answer(mesh_name(mesh), up, next(hits))
            for mesh, output in zip(inputs, outputs, strict=True)
        )
        return Answers(answers, self.index, self._where)

    def query_pictures(self, pictures: str | Path | Iterable[str | Path], k: int = 10) -> Answers:
        """Find the shapes with a view most similar to photographs or drawings.

        Args:
            pictures: Path of one picture file, or of N, each of one object on a plain background.
            k: How many shapes to return for each, at most.

        Returns:
            N answers in the order given; a file that cannot be used is an answer with an error.

        Raises:
            UsageError: The index has no features of views.
            StoredDataError: The model is damaged, or is not the one that made the index.
        """
        require_views(self.index, self.model, self._where)
        require_device(self._device)
        paths = [str(pictures)] if isinstance(pictures, str | Path) else [str(path) for path in pictures]
        settings = self.model.input.drawing()
        assert isinstance(settings, ViewSettings)
        tasks = (_Photograph(number, path, settings.size, FILL[settings.fit]) for number, path in enumerate(paths))
        with closing(pool.run(_read_photograph, tasks, self._workers)) as results:
            by_number = {task.number: outcome for task, outcome in results}
        outcomes = [by_number[number] for number in range(len(paths))]
        readable = [picture for picture in outcomes if not isinstance(picture, ItemError)]
        features = self._picture_features(readable, settings.views) if readable else None
        if features is not None:
            _require_size(self.index, features[0])
        hits = iter(search_views(self.index, features, k) if features is not None else [])
        up = self.index.record.up
        answers = (
            Answer(path, up, [], picture)
            if isinstance(picture, ItemError)
            else Answer(path, up, next(hits), picture=picture)
            for path, picture in zip(paths, outcomes, strict=True)
        )
        return Answers(answers, self.index, self._where)

    def _space(self) -> tuple[Any, Index]:
        """Return the model's space, and the index with its features there."""
        if self._placed is None:
            space = self.model.comparison.space(self.index.features, self.index.placed)
            self._placed = space, replace(self.index, features=space.rows)
        return self._placed

    def _picture_features(self, pictures: Sequence[NDArray[np.uint8]], views: int) -> NDArray[np.float32]:
        """Return the features of Q pictures, (Q, D) of unit length.

        The network takes them as if they were the views of shapes, so that the engine is the one that made the index
        and no other has to be converted.
        """
        blank = np.full_like(pictures[0], 255)
        padded = np.stack([*pictures, *[blank] * (-len(pictures) % views)])
        engine = self._picture_engine = self._picture_engine or open_engine(self.model, self._device, views=True)
        for start in range(0, len(padded), views):
            engine.start(start, padded[start : start + views])
        engine.wait()
        outputs = [output for _, output in sorted(engine.finished(), key=itemgetter(0))]
        alone = [view for output in outputs if output.views is not None for view in output.views]
        represent = self.model.comparison.represent
        return np.stack([represent(Output(view, None)) for view in alone[: len(pictures)]])


def require_views(index: Index, model: Model, where: str) -> None:
    """Raise UsageError unless an index can be searched by a picture.

    Args:
        index: The index.
        model: Model that made it.
        where: Folder of the index, for the message.
    """
    if model.input.kind != "views":
        raise UsageError(
            f"{where} was made with {model.name}, which takes grids, not pictures. --image needs an index made with "
            f"@imagenet or a run on views."
        )
    if index.views is None and index.shapes:
        raise UsageError(
            f"{where} has no features of single views, as it was made by an earlier version. To add them: "
            f"shapecnn index COLLECTION {shlex.quote(where)}, with the options it was made with."
        )


class _Photograph(NamedTuple):
    number: int
    path: str
    size: int
    fill: float


def _read_photograph(task: _Photograph) -> NDArray[np.uint8]:
    """Read a picture in a worker, as decoders are native code and the file may come from anybody."""
    return read_picture(Path(task.path), task.size, task.fill)


def _require_size(index: Index, feature: Feature) -> None:
    if index.shapes and len(feature) != index.features.shape[1]:
        raise StoredDataError(
            f"The features of the index have {index.features.shape[1]} numbers and those of its model {len(feature)}. "
            f"Index the collection again, in a new folder."
        )
