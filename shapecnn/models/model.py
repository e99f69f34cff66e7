"""Interface of models, and a function that opens a model by name: a trained run, or ``@imagenet`` (untrained)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.comparison import ShapeComparison
from shapecnn.models.head import ClassHead
from shapecnn.models.input import Input
from shapecnn.models.run import open_run
from shapecnn.models.untrained import ImagenetSettings, UntrainedModel
from shapecnn.settings.views_and_grids import Up

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork

Split = Literal["train", "val", "test"]


class NetworkSource(Protocol):
    """Interface for an object that builds the network of a model and loads its weights."""

    @property
    def identity(self) -> str:
        """Cache key of the network converted to OpenVINO: a text that changes with the architecture or the weights."""

    @property
    def at_hand(self) -> bool:
        """Whether the network can be built without downloading weights."""

    def build(self) -> ShapeNetwork:
        """Build the network with its weights, in float32 and evaluation mode.

        Raises:
            UsageError: The backbone does not exist, or cannot process views of the size that the model uses.
            WeightsError: The weights cannot be downloaded.
            StoredDataError: The weights are damaged.
        """


class Model(Protocol):
    """Interface of a model: a network, the settings of its views or grids, its classes, and how it compares shapes.

    :class:`shapecnn.models.run.Run` and :class:`shapecnn.models.untrained.UntrainedModel` implement this interface.
    """

    @property
    def name(self) -> str:
        """Name of the model: ``@imagenet``, or the path of the run's folder."""

    @property
    def input(self) -> Input:
        """Kind and settings of the views or grids that the network expects."""

    @property
    def up(self) -> Up | None:
        """Up axis of the meshes that a run was trained on, or the setting ``up`` of ``@imagenet``; None if unknown."""

    @property
    def network(self) -> NetworkSource:
        """Architecture and weights of the model, from which its network is built."""

    @property
    def head(self) -> ClassHead | None:
        """Class names, classifier and calibration; None for a model that was not trained on shapes."""

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
        name: Folder of a run, or ``@imagenet``.
        assignments: Settings of ``@imagenet``, by key; not allowed for a trained run.

    Raises:
        UsageError: The model does not exist, or a setting is invalid.
        StoredDataError: The run is damaged.
        MismatchError: The run was trained on views or grids from a version of shapecnn that rendered or voxelized
            differently.
    """
    if name == "@imagenet":
        return UntrainedModel(ImagenetSettings.from_options(**(assignments or {})))
    if name.startswith("@"):
        raise UsageError(f"There is no model {name!r}. Use the folder of a run, or @imagenet, which needs no training.")
    if assignments:
        raise UsageError(
            f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with. "
            f"Leave the option out."
        )
    return open_run(Path(name))


def classes_of(model: Model) -> tuple[str, ...]:
    """Return the class names of a model in the order of its scores; () for a model without classes (``@imagenet``)."""
    return model.head.classes if model.head else ()


def temperature_of(model: Model) -> float:
    """Return the softmax temperature of a model, which divides its logits; 1 for a model without calibration."""
    return model.head.calibration.temperature if model.head and model.head.calibration else 1.0
