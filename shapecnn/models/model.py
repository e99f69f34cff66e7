"""Interface of models, and a function that opens a model by name: a trained run, or an untrained model."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.comparison import ShapeComparison
from shapecnn.models.head import ClassHead, QuantityHead
from shapecnn.models.input import Input
from shapecnn.models.run import open_run
from shapecnn.models.source import NetworkSource
from shapecnn.models.untrained import UNTRAINED, UntrainedModel
from shapecnn.settings.views_and_grids import Up
from shapecnn.storage.objects.url import as_path

Split = Literal["train", "val", "test"]

JOINED = "descriptor"
"""Key of the setting that names the engineered descriptor of a joined index (:mod:`shapecnn.models.joined`)."""


class Model(Protocol):
    """Interface of a model: a network, the settings of its views or grids, its classes, and how it compares shapes.

    :class:`shapecnn.models.run.Run` and :class:`shapecnn.models.untrained.UntrainedModel` implement this interface.
    """

    @property
    def name(self) -> str:
        """Name of the model: the path of the run's folder, or the name of an untrained model such as ``@imagenet``."""

    @property
    def input(self) -> Input:
        """Kind and settings of the views or grids that the network expects."""

    @property
    def up(self) -> Up | None:
        """Axis that points up in the training meshes, or the setting ``up`` of an untrained model; None if unknown."""

    @property
    def network(self) -> NetworkSource:
        """Architecture and weights of the model, from which its network is built."""

    @property
    def head(self) -> ClassHead | None:
        """Class names, classifier and calibration; None for a model that does not predict classes."""

    @property
    def quantity(self) -> QuantityHead | None:
        """Quantity that the model predicts, and its last layer; None for a model that predicts no quantity."""

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes: which feature of the model is compared, and how the similarity is computed."""

    def compared_by(self, feature: str) -> Model:
        """Return a copy of the model that compares shapes by another feature.

        Args:
            feature: ``penultimate`` (input of the classifier) or ``metric`` (feature of the learned metric).

        Raises:
            UsageError: The model does not have this feature.
        """

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """Return the shapes of the training, validation or test set, sorted by id.

        Args:
            artefacts: Opened folder of views or grids.
            name: ``train``, ``val`` or ``test``.

        Raises:
            UsageError: The folder of views or grids lacks shapes that the model was trained or validated on.
        """

    def to_json(self) -> dict[str, Any]:
        """Return all values that affect the features of the model, such as settings, with a ``hash`` of the values."""


def resolve_model(name: str, assignments: dict[str, Any] | None = None) -> Model:
    """Open a model by name, without loading its network.

    Args:
        name: Folder of a run, or ``@imagenet``, ``@sph``, ``@lfd`` or ``@fisher``.
        assignments: Settings of an untrained model, by key; not allowed for a trained run.

    Raises:
        UsageError: The model does not exist, a setting is invalid, or the settings name a descriptor to join.
        StoredDataError: The run is damaged.
        MismatchError: The run was trained on views or grids from a version of shapecnn that rendered or voxelized
            differently.
    """
    if JOINED in (assignments or {}):
        raise UsageError(
            f"--set {JOINED}: only an index can join a descriptor with a network (shapecnn index --set {JOINED}=sph). "
            f"Leave the option out, or use the descriptor alone: @sph, @lfd or @fisher."
        )
    if name in UNTRAINED:
        return UntrainedModel(UNTRAINED[name].from_options(**(assignments or {})))
    if name.startswith("@"):
        raise UsageError(
            f"There is no model {name!r}. Use the folder of a run, or a model that needs no training: "
            f"{', '.join(UNTRAINED)}."
        )
    if assignments:
        raise UsageError(
            f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with. "
            f"Leave the option out."
        )
    return open_run(as_path(name))


def compares_views(model: Model) -> bool:
    """Return whether a model has a feature of each single view, with which the feature of a picture can be compared."""
    return model.input.kind == "views" and model.network.descriptor is None and model.input.joined is None


def classes_of(model: Model) -> tuple[str, ...]:
    """Return the class names of a model in the order of its scores; () for an untrained model, which has no classes."""
    return model.head.classes if model.head else ()


def temperature_of(model: Model) -> float:
    """Return the softmax temperature of a model, which divides its logits; 1 for a model without calibration."""
    return model.head.calibration.temperature if model.head and model.head.calibration else 1.0
