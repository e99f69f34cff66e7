"""Choose the model and the settings of an index, from the options of the user and from an existing index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapecnn.errors import StoredDataError, UsageError
from shapecnn.meshes.labels import Labels
from shapecnn.models.joined import resolve_index_model
from shapecnn.models.model import JOINED, Model
from shapecnn.models.untrained import UNTRAINED
from shapecnn.search.header import PLAIN, Form, RowSize, SearchKind
from shapecnn.search.index import index_settings
from shapecnn.search.record import ModelRecord
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Orientation, Up

SMALL_FROM = 10_000
"""Number of shapes of a collection from which a new index has small rows, unless the user chooses."""


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """User options for building or updating an index; None keeps the stored value, or the default for a new index.

    Attributes:
        model: Folder of a run, or a name such as ``@imagenet``.
        feature: Feature that the index compares: ``penultimate`` or ``metric``.
        settings: Values for settings of a model without training, by key; ``descriptor`` also for a run: the engineered
            descriptor to join with the feature of the network.
        orientation: ``upright`` to keep the orientation of meshes, or ``auto`` to align each mesh with axes computed
            from its geometry.
        up: Axis that points up in the meshes: ``x``, ``y`` or ``z``.
        labels: Source of the labels and splits of the collection: ``auto``, ``folder`` or ``none``.
        limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
        rows: How features are stored: ``full`` or ``small``.
        pictures: Whether to store features of views, which a search by pictures needs.
        kind: How the index is searched: ``auto``, ``exact`` or ``ivf``.
    """

    model: str | None = None
    feature: str | None = None
    settings: dict[str, Any] | None = None
    orientation: Orientation | None = None
    up: Up | None = None
    labels: Labels | None = None
    limit: FaceLimit = NO_LIMIT
    rows: RowSize | None = None
    pictures: bool | None = None
    kind: SearchKind | None = None


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """Model and settings that an index is built or updated with.

    Attributes:
        model: Model that computes the features.
        record: Record of the model that the index stores.
        labels: Source of the labels and splits of the collection: ``auto``, ``folder`` or ``none``.
        max_faces: Number of faces above which a mesh is refused, unless it is simplified; None: no limit.
        new: Whether the index is new: its folder has neither a finished nor an unfinished index.
        chosen: How the index stores the features, and how it is searched.
        sized: Whether the number of shapes decides if rows are small, as for a new index.
    """

    model: Model
    record: ModelRecord
    labels: Labels = "auto"
    max_faces: int | None = None
    new: bool = True
    chosen: Form = PLAIN
    sized: bool = True

    def form(self, total: int) -> Form:
        """Return how the index stores the features.

        Args:
            total: Number of shapes of the collection, also those of other shards: all parts have one form.
        """
        small = self.sized and total >= SMALL_FROM and packable(self.model)
        return self.chosen._replace(rows="small") if small else self.chosen

    @classmethod
    def of(
        cls,
        model: Model,
        up: Up = "z",
        labels: Labels = "auto",
        simplify: int | None = None,
        max_faces: int | None = None,
    ) -> IndexPlan:
        """Combine a model and its settings into the plan of a new index.

        Args:
            model: Model that computes the features.
            up: Axis that points up in the meshes: ``x``, ``y`` or ``z``.
            labels: Source of the labels and splits of the collection: ``auto``, ``folder`` or ``none``.
            simplify: Number of faces to which larger meshes are simplified; None for a model without training, which
                has its own setting.
            max_faces: Number of faces above which a mesh is refused, unless it is simplified; None: no limit.

        Returns:
            The plan.
        """
        return cls(model, ModelRecord.of(model, up, simplify), labels, max_faces)


def plan_index(folder: Path, request: IndexRequest, overwrite: bool = False) -> IndexPlan:
    """Choose the model and the settings with which an index is built or updated.

    Args:
        folder: Folder of the index.
        request: Options of the user; an option that is None keeps the value stored in an existing index.
        overwrite: Whether to ignore a damaged index, which will be replaced, instead of raising an error.

    Returns:
        The model and the settings.

    Raises:
        UsageError: The model does not exist, or does not have one of the settings.
        MismatchError: The model was trained on meshes in another orientation.
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
    form = stored.form if stored else PLAIN
    rows, kind = request.rows or form.rows, request.kind or form.kind
    if rows == "small" and not packable(model):
        if request.rows:
            raise UsageError(f"--rows small stores features of networks, which {model.name} does not compare alone.")
        rows = "full"  # the index was made with another model
    if kind == "ivf" and not model.comparison.divisible:
        if request.kind:
            joined = "" if model.input.joined is None else f" joined with {model.input.joined.name}"
            raise UsageError(
                f"--kind ivf needs a model that compares shapes by one cosine, but {model.name}{joined} does not: use "
                f"a trained run, or @imagenet with --set adapt=false."
            )
        kind = "auto"
    pictures = form.pictures if request.pictures is None else request.pictures
    sized = stored is None and request.rows is None
    return replace(plan, new=record is None, chosen=Form(rows, pictures, kind), sized=sized)


def packable(model: Model) -> bool:
    """Return whether the features of a model can be stored as small rows: those of a network, without a descriptor."""
    return model.network.descriptor is None and model.input.joined is None


def _model(folder: Path, request: IndexRequest, record: ModelRecord | None, up: Up) -> Model:
    settings = request.settings or {}
    name = request.model or (record.model if record else "@imagenet")
    if name in UNTRAINED:
        options = {"orientation": request.orientation, "simplify": request.limit.target}
        adjustable = UNTRAINED[name].model_fields
        asked = {key: value for key, value in options.items() if value is not None and key in adjustable} | settings
        stored = record.model_settings() if record is not None and record.model == name else {}
        if asked.get("orientation", stored.get("orientation")) != stored.get("orientation"):
            stored.pop("views", None)  # the number of views depends on the orientation
        return resolve_index_model(name, stored | {"up": up} | asked).compared_by(request.feature or "penultimate")
    if request.model is None and record is not None and not settings:
        model = record.open(folder)
        return model if request.feature is None else model.compared_by(request.feature)
    feature = request.feature or (record.feature if record else "penultimate")
    if record is not None and record.model not in UNTRAINED and record.descriptor is not None:
        settings = {JOINED: record.descriptor} | settings
    return resolve_index_model(name, settings).compared_by(feature)
