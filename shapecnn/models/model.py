"""Interface of models, and opening a model by name: a trained run, or ``@imagenet``, which needs no training."""

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
    """Source of the architecture and weights of a model; nothing is loaded before :meth:`build`."""

    @property
    def identity(self) -> str:
        """Text that identifies architecture and weights, as a key for the cache of converted networks."""

    @property
    def at_hand(self) -> bool:
        """Whether the network can be built without a download of weights."""

    def build(self) -> ShapeNetwork:
        """Build the network with its weights, in float32 and evaluation mode.

        Raises:
            UsageError: The backbone does not exist, or cannot process views of this size.
            WeightsError: The weights cannot be downloaded.
            StoredDataError: The weights are damaged.
        """


class Model(Protocol):
    """Model: a network with the settings of its input, its classes and its comparison of shapes.

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
        """Axis that points up in the training meshes of a run, or by the settings of ``@imagenet``; None if unknown."""

    @property
    def network(self) -> NetworkSource:
        """Source of the architecture and weights, from which the network is built."""

    @property
    def head(self) -> ClassHead | None:
        """Class names, classifier and calibration; None for a model that was not trained on shapes."""

    @property
    def comparison(self) -> ShapeComparison:
        """Method of comparing shapes: feature and space."""

    def compared_by(self, feature: str) -> Model:
        """Return a copy of the model that compares shapes by another feature.

        Args:
            feature: ``penultimate`` or ``metric``.

        Raises:
            UsageError: The model does not have this feature.
        """

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """Return the shapes of one split, sorted by id.

        Args:
            artefacts: Opened folder of views or grids.
            name: ``train``, ``val`` or ``test``.

        Raises:
            UsageError: ``artefacts`` lack shapes that the model was trained or validated on.
        """

    def to_json(self) -> dict[str, Any]:
        """Return all settings and hashes that affect the features of the model, with a ``hash`` of them."""


def resolve_model(name: str, assignments: dict[str, Any] | None = None) -> Model:
    """Open a model by name, without loading its network.

    Args:
        name: Folder of a run, or ``@imagenet``.
        assignments: Settings of ``@imagenet``, by key; not allowed for a trained run.

    Raises:
        UsageError: The model does not exist, or a setting is invalid.
        StoredDataError: The run is damaged.
        MismatchError: The run was trained on views or grids of a version of shapecnn that computes them differently.
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
    """Return the class names of a model in the order of its scores; () for a model that was not trained on shapes."""
    return model.head.classes if model.head else ()


def temperature_of(model: Model) -> float:
    """Return the divisor of a model's logits before the softmax; 1 for a model without calibration."""
    return model.head.calibration.temperature if model.head and model.head.calibration else 1.0
