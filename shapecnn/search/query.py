"""Search an index for the shapes most similar to query meshes, photographs or drawings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, StoredDataError, UsageError
from shapecnn.meshes.source import MeshArrays, MeshSource, mesh_inputs, mesh_name
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.device import Device
from shapecnn.models.model import Model, compares_views
from shapecnn.models.output import Feature, Output
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit, search, search_views
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up, ViewSettings
from shapecnn.shared.checks import require_count
from shapecnn.shared.results import ResultList
from shapecnn.views.photographs import read_picture
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

FILL = {"sphere": 0.83, "view": 0.9}
"""Fraction of the picture side that the longer side of a shape fills, for each value of ``fit``.

For ``sphere``, the fraction is the median over the train split of the Princeton Shape Benchmark. For ``view``, every
shape fills this fraction by definition.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Search results of one query, or the error if the query cannot be used.

    Attributes:
        path: Path of the mesh or picture file, or the name of a mesh in memory.
        up: Axis that points up in the query mesh: ``x``, ``y`` or ``z``.
        hits: The most similar shapes of the index, best first.
        error: Reason why the query cannot be used; None if it was answered.
        picture: (S, S) uint8, the query photograph or drawing as converted for the network, S × S grey pixels; None for
            a mesh.
        mesh: Query mesh, if it was given in memory rather than as a file.
    """

    path: str
    up: Up
    hits: list[Hit]
    error: ItemError | None = None
    picture: NDArray[np.uint8] | None = None
    mesh: MeshArrays | None = field(default=None, repr=False, compare=False)


class Answers(ResultList[Answer]):
    """List of search results, one answer for each query, in the order of the queries.

    The list prints as a table. A notebook shows the table with pictures.

    Attributes:
        searched: Index that was searched.
        where: Folder of the index.
    """

    __slots__ = ("searched", "where")

    def __init__(self, answers: Iterable[Answer], index: Index, where: str) -> None:
        super().__init__(answers)
        self.searched, self.where = index, where

    def rows(self) -> list[dict[str, Any]]:
        """Return one table row for each hit of each query, and one row with the error for each failed query."""
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
    """Index opened for queries, together with its model. The network is loaded once and stays in memory.

    Args:
        index: Index to search.
        model: Model that computed the features of the index.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Worker processes that read the meshes and draw or voxelize them.
        where: Folder of the index, for error messages.

    Raises:
        UsageError: ``device`` is ``cuda``, but CUDA is not available.
    """

    def __init__(
        self,
        index: Index,
        model: Model,
        device: Device = "auto",
        workers: Workers = ONE_PER_CORE,
        where: str = "The index",
    ) -> None:
        self.index, self.model, self._where = index, model, where
        self._workers = workers
        views = index.views is not None or (not index.shapes and compares_views(model))
        self._encoder = MeshEncoder(model, device, views=views, workers=workers)
        self._placed: tuple[Any, Index] | None = None

    def __repr__(self) -> str:
        """Return a one-line description: the folder of the index, the number of shapes and the model."""
        return f"<Searcher {self._where}: {len(self.index.shapes)} shapes, {self.index.record.description}>"

    def __len__(self) -> int:
        """Return the number of shapes in the index."""
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
        """Find the shapes of the index most similar to each query mesh.

        Args:
            meshes: One mesh or N: paths, ``trimesh.Trimesh`` objects or pairs of arrays (vertices, faces).
            k: Largest number of shapes to return for each query.
            up: Axis that points up in the query meshes; None: the up axis of the meshes in the index.
            limit: Largest number of faces of a mesh. If the meshes of the index were simplified, query meshes are
                simplified to the same number of faces, unless ``limit`` has ``simplify`` set.
            progress: Callback that receives the number of finished meshes and N.

        Returns:
            N answers in the order of ``meshes``. If a mesh cannot be used, its answer has an error instead of hits.

        Raises:
            UsageError: An item of ``meshes`` is not a mesh.
            StoredDataError: The model is damaged, or its features differ in length from the features of the index.
            WeightsError: The weights of the model cannot be downloaded.
        """
        record = self.index.record
        if record.simplify is not None and not limit.simplify:
            limit = FaceLimit(record.simplify, simplify=True)
        require_count("k", k)
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
            else Answer(mesh_name(mesh), up, next(hits), mesh=mesh if isinstance(mesh, MeshArrays) else None)
            for mesh, output in zip(inputs, outputs, strict=True)
        )
        return Answers(answers, self.index, self._where)

    def query_pictures(self, pictures: str | Path | Iterable[str | Path], k: int = 10) -> Answers:
        """Find the shapes of the index most similar to each photograph or drawing.

        A picture is compared with all views of a shape, and the most similar view counts.

        Args:
            pictures: Paths of N picture files, or one path. Each picture shows one object on a plain background.
            k: Largest number of shapes to return for each query.

        Returns:
            N answers in the order of ``pictures``. If a file cannot be used, its answer has an error instead of hits.

        Raises:
            UsageError: The index has no features of single views, or an item of ``pictures`` is not a path.
            StoredDataError: The model is damaged, or its features differ in length from the features of the index.
        """
        require_count("k", k)
        require_views(self.index, self.model, self._where)
        paths = _picture_paths(pictures)
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
        """Return the object that compares features, and the index with its features in the form that is compared."""
        if self._placed is None:
            space = self.model.comparison.space(self.index.features, self.index.placed)
            self._placed = space, replace(self.index, features=space.rows)
        return self._placed

    def _picture_features(self, pictures: Sequence[NDArray[np.uint8]], views: int) -> NDArray[np.float32]:
        """Return the feature vectors of Q pictures, (Q, D) of length D, scaled to unit length.

        The pictures are passed to the network in groups, as if each group were the views of one shape. The engine that
        computed the index can then be used, and the network need not be converted for single pictures.
        """
        blank = np.full_like(pictures[0], 255)
        padded = np.stack([*pictures, *[blank] * (-len(pictures) % views)])
        kept = self._encoder.engine
        with kept.reserved():
            for start in range(0, len(padded), views):
                kept.open().start(start, padded[start : start + views])
            outputs = [output for _, output in sorted(kept.finished(wait=True), key=itemgetter(0))]
        alone = [view for output in outputs if output.views is not None for view in output.views]
        represent = self.model.comparison.represent
        return np.stack([represent(Output(view, None)) for view in alone[: len(pictures)]])


def _picture_paths(pictures: Any) -> list[str]:
    """Return the paths of picture files as strings; raise UsageError if something else was given."""
    many = isinstance(pictures, Iterable) and not isinstance(pictures, str | np.ndarray)
    paths = list(pictures) if many else [pictures]
    for path in paths:
        if not isinstance(path, str | Path):
            raise UsageError(f"{type(path).__name__} is not the path of a picture. Save the picture to a file first.")
    return [str(path) for path in paths]


def require_views(index: Index, model: Model, where: str) -> None:
    """Raise UsageError unless an index can be searched with pictures: by a model of views, with a feature of each view.

    Args:
        index: Index to search.
        model: Model that computed the features of the index.
        where: Folder of the index, for the error message.
    """
    if not compares_views(model):
        if model.input.joined is not None:
            reason = f"joined with the descriptor {model.input.joined.name}, which a single picture does not have"
        elif model.network.descriptor is not None:
            reason = f"which compares shapes by the descriptor {model.network.descriptor}, not by single pictures"
        else:
            reason = "which takes grids, not pictures"
        raise UsageError(
            f"{where} was made with {model.name}, {reason}. --image needs an index made with @imagenet or with a run "
            f"that was trained on views."
        )
    if index.views is None and index.shapes:
        raise UsageError(
            f"{where} has no features of single views, because an earlier version of shapecnn made the index. To "
            f"add the features, run this with the original options: shapecnn index COLLECTION {shlex.quote(where)}"
        )


class _Photograph(NamedTuple):
    number: int
    path: str
    size: int
    fill: float


def _read_photograph(task: _Photograph) -> NDArray[np.uint8]:
    """Read a picture in a worker process, because decoders are native code and picture files are untrusted."""
    return read_picture(Path(task.path), task.size, task.fill)


def _require_size(index: Index, feature: Feature) -> None:
    if index.shapes and len(feature) != index.features.shape[1]:
        raise StoredDataError(
            f"The index has features of length {index.features.shape[1]}, but its model now computes features of "
            f"length {len(feature)}. Index the collection again, in a new folder."
        )
