"""Search an index for the shapes most similar to query meshes, photographs or drawings."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, StoredDataError, UsageError
from shapecnn.meshes.source import MeshArrays, MeshInput, MeshSource, mesh_inputs, mesh_name
from shapecnn.models.apply import MeshEncoder
from shapecnn.models.device import Device
from shapecnn.models.model import Model, compares_views
from shapecnn.models.output import Feature, Output
from shapecnn.search.answers import Answer as Answer
from shapecnn.search.answers import Answers as Answers
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit, search, search_views
from shapecnn.search.pictures import PictureSource, picture_name, picture_sources, read_pictures
from shapecnn.search.small_rows import PackedFeatures, pack, unpack
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up, ViewSettings
from shapecnn.shared.checks import require_count
from shapecnn.shared.similarity import Similarity
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress, stage


class EncodedPicture(NamedTuple):
    """A query picture as the network sees it.

    Attributes:
        picture: (S, S) uint8, the picture as a view of S × S pixels.
        feature: (D,) float32 of unit length, its feature.
    """

    picture: NDArray[np.uint8]
    feature: Feature


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
        self._placing = threading.Lock()

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
        require_count("k", k)
        inputs = mesh_inputs(meshes)
        up = up or self.index.record.up
        rows = self.encode(inputs, up=up, limit=limit, progress=progress)
        features = [row for row in rows if not isinstance(row, ItemError)]
        hits = iter(self.nearest(np.stack(features), k) if features else [])
        answers = (
            Answer(mesh_name(mesh), up, [], row)
            if isinstance(row, ItemError)
            else Answer(mesh_name(mesh), up, next(hits), mesh=mesh if isinstance(mesh, MeshArrays) else None)
            for mesh, row in zip(inputs, rows, strict=True)
        )
        return Answers(answers, self.index, self._where)

    def encode(
        self,
        meshes: Sequence[MeshInput],
        *,
        up: Up | None = None,
        limit: FaceLimit = NO_LIMIT,
        progress: Progress = no_progress,
    ) -> list[Feature | ItemError]:
        """Compute the feature of each query mesh, for :meth:`nearest`; the arguments are those of :meth:`query`.

        Returns:
            The (D,) float32 features of N meshes, in order, with an error in place of each mesh that cannot be used.
        """
        record = self.index.record
        if record.simplify is not None and not limit.simplify:
            limit = FaceLimit(record.simplify, simplify=True)
        outputs = self._encoder.outputs(meshes, up=up or record.up, limit=limit, progress=progress)
        return [output if isinstance(output, ItemError) else self._represent(output) for output in outputs]

    def _represent(self, output: Output) -> Feature:
        """Return the feature of a query, rounded like those of the index, so that a copy of a shape has its feature."""
        feature = self.model.comparison.represent(output)
        small = isinstance(self.index.features, PackedFeatures)
        return unpack(pack(feature[None]))[0] if small else feature

    def nearest(self, features: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None) -> list[list[Hit]]:
        """Find the shapes of the index most similar to each feature.

        Args:
            features: (Q, D) float32, Q features that :meth:`encode` computed, or rows of the index.
            k: Largest number of shapes to return for each feature.
            among: Rows of the index to search, in ascending order; None for all.

        Returns:
            Q lists of hits, best first; equal scores are sorted by id.
        """
        _require_size(self.index, features[0])
        space, placed = self._space()
        return search(placed, space.place(features), k, space.similarity, among)

    def prepare(self) -> None:
        """Prepare the comparison of shapes, which the first search does otherwise."""
        self._space()

    def compared(self) -> tuple[Similarity, NDArray[np.float32]]:
        """Return the function that compares shapes, and the (N, S) float32 values of N shapes that it compares."""
        space, placed = self._space()
        return space.similarity, np.asarray(placed.features)

    def query_pictures(self, pictures: PictureSource | Iterable[PictureSource], k: int = 10) -> Answers:
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
        sources = picture_sources(pictures)
        encoded = self.encode_pictures(sources)
        usable = [each for each in encoded if not isinstance(each, ItemError)]
        hits = iter(self.nearest_views(np.stack([each.feature for each in usable]), k) if usable else [])
        up = self.index.record.up
        answers = (
            Answer(picture_name(source), up, [], each)
            if isinstance(each, ItemError)
            else Answer(picture_name(source), up, next(hits), picture=each.picture)
            for source, each in zip(sources, encoded, strict=True)
        )
        return Answers(answers, self.index, self._where)

    def encode_pictures(self, pictures: Sequence[PictureSource]) -> list[EncodedPicture | ItemError]:
        """Convert pictures to views and compute their features, for :meth:`nearest_views`.

        Args:
            pictures: N pictures. The index must have features of single views (:func:`require_views`).

        Returns:
            N encoded pictures, in order, with an error in place of each picture that cannot be used.
        """
        settings = self.model.input.drawing()
        assert isinstance(settings, ViewSettings)
        outcomes = read_pictures(pictures, settings, self._workers)
        readable = [picture for picture in outcomes if not isinstance(picture, ItemError)]
        features: Iterator[Feature] = iter(self._picture_features(readable, settings.views) if readable else [])
        return [each if isinstance(each, ItemError) else EncodedPicture(each, next(features)) for each in outcomes]

    def nearest_views(
        self, features: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None
    ) -> list[list[Hit]]:
        """Find the shapes that have the views most similar to each picture.

        Args:
            features: (Q, D) float32, features of Q pictures.
            k: Largest number of shapes to return for each picture.
            among: Rows of the index to search, in ascending order; None for all.

        Returns:
            Q lists of hits, best first; equal scores are sorted by id.
        """
        _require_size(self.index, features[0])
        return search_views(self.index, features, k, among)

    def _space(self) -> tuple[Any, Index]:
        """Return the object that compares features, and the index with its features in the form that is compared."""
        with self._placing:  # for a large index this takes seconds and gigabytes: once is enough
            if self._placed is None:
                with stage("Preparing the features of the index"):
                    inverted, features = self.index.inverted, self.index.features
                    candidates = None if inverted is None else inverted.candidates
                    compared = cast("NDArray[np.float32]", np.asarray(features) if inverted is None else features)
                    space = self.model.comparison.space(compared, self.index.placed, candidates)
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
            f"{where} has no features of single views, because it was made with --no-pictures or by an earlier version "
            f"of shapecnn. To add the features, run this with the original options: shapecnn index COLLECTION "
            f"{shlex.quote(where)} --pictures"
        )


def _require_size(index: Index, feature: Feature) -> None:
    if index.shapes and len(feature) != index.features.shape[1]:
        raise StoredDataError(
            f"The index has features of length {index.features.shape[1]}, but its model now computes features of "
            f"length {len(feature)}. Index the collection again, in a new folder."
        )
