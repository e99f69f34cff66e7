"""Plan an index: its model and how meshes are read, as the user asks or as the index was made before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapecnn.errors import StoredDataError
from shapecnn.meshes.labels import Labels
from shapecnn.models.model import Model, resolve_model
from shapecnn.search.index import index_settings
from shapecnn.search.record import ModelRecord
from shapecnn.settings.artefacts import NO_LIMIT, FaceLimit, Orientation, Up


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """Options that a user gives for an index; None keeps what the index was made with, or the default.

    Attributes:
        model: ``@imagenet``, or the folder of a run.
        feature: ``penultimate`` or ``metric``.
        settings: Settings of ``@imagenet``, by key.
        orientation: How meshes are turned: ``upright`` or ``auto``.
        up: Axis that points up in the meshes.
        labels: Source of the labels of the collection.
        limit: How many faces a mesh may have, and whether larger ones are simplified.
    """

    model: str | None = None
    feature: str | None = None
    settings: dict[str, Any] | None = None
    orientation: Orientation | None = None
    up: Up | None = None
    labels: Labels | None = None
    limit: FaceLimit = NO_LIMIT


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """Settings with which an index is made or brought up to date.

    Attributes:
        model: Model that computes the features.
        record: Record of the model that the index stores.
        labels: Source of the labels of the collection.
        max_faces: Faces that a mesh may have where none is simplified; None: as many as memory holds.
        new: Whether there is no index yet, not even the beginning of one.
    """

    model: Model
    record: ModelRecord
    labels: Labels = "auto"
    max_faces: int | None = None
    new: bool = True

    @classmethod
    def of(
        cls,
        model: Model,
        up: Up = "z",
        labels: Labels = "auto",
        simplify: int | None = None,
        max_faces: int | None = None,
    ) -> IndexPlan:
        """Return the plan of a new index.

        Args:
            model: Model that computes the features.
            up: Axis that points up in the meshes.
            labels: Source of the labels of the collection.
            simplify: Number of faces that larger meshes are simplified to; ``@imagenet`` has its own in its settings.
            max_faces: Faces that a mesh may have where none is simplified.
        """
        return cls(model, ModelRecord.of(model, up, simplify), labels, max_faces)


def plan_index(folder: Path, request: IndexRequest, overwrite: bool = False) -> IndexPlan:
    """Return the plan of an index, new or old.

    Args:
        folder: Where the index is or will be.
        request: Options of the user; those that are None stay as the index was made.
        overwrite: Whether a damaged index is replaced rather than reported.

    Raises:
        UsageError: There is no such model, or it does not take the settings.
        MismatchError: The model takes meshes in another orientation.
        StoredDataError: The index or the model is damaged.
    """
    try:
        stored = index_settings(folder)
    except StoredDataError:
        if not overwrite:
            raise
        stored = None
    record = stored.record if stored else None
    up = request.up or (record.up if record else "z")
    model = _model(folder, request, record, up)
    model.input.require_orientation(request.orientation, model.name)
    simplify = request.limit.target or (record.simplify if record else None)
    labels = request.labels or (stored.labels if stored else "auto")
    plan = IndexPlan.of(model, up, labels, simplify, request.limit.most)
    return replace(plan, new=record is None)


def _model(folder: Path, request: IndexRequest, record: ModelRecord | None, up: Up) -> Model:
    settings = request.settings or {}
    name = request.model or (record.model if record else "@imagenet")
    if name == "@imagenet":
        options = {"orientation": request.orientation, "simplify": request.limit.target}
        asked = {key: value for key, value in options.items() if value is not None} | settings
        stored = record.model_settings() if record is not None and record.model == name else {}
        if asked.get("orientation", stored.get("orientation")) != stored.get("orientation"):
            stored.pop("views", None)  # how many there are follows from the orientation
        return resolve_model(name, stored | {"up": up} | asked).compared_by(request.feature or "penultimate")
    if request.model is None and record is not None and not settings:
        model = record.open(folder)
        return model if request.feature is None else model.compared_by(request.feature)
    feature = request.feature or (record.feature if record else "penultimate")
    return resolve_model(name, settings).compared_by(feature)
