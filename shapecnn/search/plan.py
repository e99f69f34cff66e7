"""Choose the model and the settings of an index, from the options of the user and from an existing index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.meshes.labels import Labels
from shapecnn.models.joined import resolve_index_model
from shapecnn.models.model import JOINED, Model
from shapecnn.models.untrained import UNTRAINED
from shapecnn.search.header import RowSize, SearchKind
from shapecnn.search.index import Index, index_settings
from shapecnn.search.record import ModelRecord
from shapecnn.search.small_rows import PackedFeatures
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Orientation, Up

SMALL_FROM = 10_000
"""Number of shapes from which an index gets small rows, unless the user chooses."""
DIVIDED_FROM = 100_000
"""Number of shapes from which an index gets an inverted file, unless the user chooses."""


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
        kind: How the index is searched: ``exact`` or ``ivf``.
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
        rows: How features are stored: ``full`` or ``small``; None to choose by the number of shapes.
        pictures: Whether features of views are stored, if the model has any.
        kind: How the index is searched: ``exact`` or ``ivf``; None to choose by the number of shapes.
    """

    model: Model
    record: ModelRecord
    labels: Labels = "auto"
    max_faces: int | None = None
    new: bool = True
    rows: RowSize | None = None
    pictures: bool = True
    kind: SearchKind | None = None

    def divides(self, old: Index | None, count: int) -> bool:
        """Tell whether an index of ``count`` shapes gets an inverted file: by option, as before, or because it grew.

        Args:
            old: The index before; None for a new one.
            count: Number of shapes of the new index.
        """
        if not count or not _compares_directly(self.model) or self.kind is not None:
            return count > 0 and self.kind == "ivf"
        if old is not None and old.inverted is not None:
            return True
        return count >= DIVIDED_FROM and (old is None or len(old.shapes) < DIVIDED_FROM)

    def stores_small(self, old: Index | None, count: int) -> bool:
        """Tell whether an index of ``count`` shapes gets small rows: by option, as before, or because it grew large.

        Args:
            old: The index before; None for a new one.
            count: Number of shapes of the new index.
        """
        if not count or self.rows is not None:
            return count > 0 and self.rows == "small"
        if old is not None and (len(old.shapes) >= SMALL_FROM or isinstance(old.features, PackedFeatures)):
            return isinstance(old.features, PackedFeatures)
        return count >= SMALL_FROM and _packable(self.model)

    def require_rows(self, old: Index, where: Path) -> None:
        """Raise MismatchError if full rows are asked for, but the index has small rows, of which they cannot be made.

        Args:
            old: The index before.
            where: Folder of the index.
        """
        if self.rows == "full" and isinstance(old.features, PackedFeatures):
            raise MismatchError(
                f"{where} has small rows, from which full rows cannot be made. Index the collection in another folder, "
                f"or add --overwrite to make the index again."
            )

    def options(self, old: Index | None) -> dict[str, Any]:
        """Return the settings of the index that do not change its features, as an unfinished index stores them."""
        small = self.rows == "small" or (self.rows is None and old is not None and self.stores_small(old, 1))
        return {"labels": self.labels, "rows": "small" if small else "full", "pictures": self.pictures}

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
    rows = request.rows or (stored.rows if stored and stored.rows == "small" else None)
    if rows == "small" and not _packable(model):
        raise UsageError(f"--rows small stores features of networks, which {model.name} does not compare alone.")
    kind = request.kind or (stored.kind if stored and stored.kind == "ivf" else None)
    if kind == "ivf" and not _compares_directly(model):
        raise UsageError(
            f"--kind ivf needs a model that compares features as they are, but {model.name} does not. Use a trained "
            f"run, or @imagenet with --set adapt=false."
        )
    pictures = request.pictures if request.pictures is not None else (stored.pictures if stored else True)
    return replace(plan, new=record is None, rows=rows, pictures=pictures, kind=kind)


def _compares_directly(model: Model) -> bool:
    """Tell whether a model compares shapes by the cosine of their features, whatever else the collection holds."""
    return not model.comparison.adapts and model.network.descriptor != "lfd"


def _packable(model: Model) -> bool:
    """Tell whether the features of a model can be stored as small rows: those of a network, without a descriptor."""
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
