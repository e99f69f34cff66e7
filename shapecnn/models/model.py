"""Models that commands accept: a trained run, or ``@imagenet``, which needs no training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.comparison import Comparison
from shapecnn.models.head import ClassHead
from shapecnn.models.input import Input
from shapecnn.models.run import open_run
from shapecnn.models.untrained import ImagenetSettings, UntrainedModel
from shapecnn.settings.artefacts import Up

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork

Split = Literal["train", "val", "test"]


class NetworkSource(Protocol):
    """Where the network of a model comes from; nothing is loaded before :meth:`build`."""

    @property
    def identity(self) -> str:
        """Text that differs between any two networks, weights included: the key of converted engines."""

    @property
    def at_hand(self) -> bool:
        """Whether the network can be built offline, because its weights are on this machine."""

    def build(self) -> ShapeNetwork:
        """Build the network in float32, ready to infer.

        Raises:
            UsageError: There is no such network, or it does not take this input.
            WeightsError: Its weights cannot be downloaded.
            StoredDataError: Its weights are damaged.
        """


class Model(Protocol):
    """A network with its input, its classes and the way in which it compares shapes.

    :class:`shapecnn.models.run.Run` and :class:`shapecnn.models.untrained.UntrainedModel` are models.
    """

    @property
    def name(self) -> str:
        """``@imagenet``, or the folder of the run as it was given."""

    @property
    def input(self) -> Input:
        """Views or grids that the network takes."""

    @property
    def up(self) -> Up | None:
        """Axis that points up in the meshes it was trained on, or in those that its settings name; None: unknown."""

    @property
    def network(self) -> NetworkSource:
        """Source of the network itself."""

    @property
    def head(self) -> ClassHead | None:
        """Classes, classifier and calibration; None for a model that was not trained on shapes."""

    @property
    def comparison(self) -> Comparison:
        """Feature and space in which shapes are compared."""

    def compared_by(self, feature: str) -> Model:
        """Return the same model, comparing shapes by another feature.

        Args:
            feature: ``penultimate`` or ``metric``.

        Raises:
            UsageError: The model has no such feature.
        """

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """Return the shapes of one split, in order of id.

        Raises:
            UsageError: ``artefacts`` lack shapes that the model was trained or validated on.
        """

    def to_json(self) -> dict[str, Any]:
        """Return all settings and hashes that decide the model's features, with a ``hash`` of them."""


def resolve_model(name: str, assignments: dict[str, Any] | None = None, up: Up = "z") -> Model:
    """Return the model that a name stands for, without loading its network.

    Args:
        name: Folder of a run, or ``@imagenet``.
        assignments: Settings of ``@imagenet``, by key; a trained run takes none.
        up: Axis that points up in the meshes, for ``@imagenet``; a run knows its own.

    Raises:
        UsageError: There is no such model, or it does not have these settings.
        StoredDataError: The run is damaged.
    """
    if name == "@imagenet":
        return UntrainedModel(ImagenetSettings.from_options(**{"up": up, **(assignments or {})}))
    if name.startswith("@"):
        raise UsageError(f"There is no model {name!r}; known without training: @imagenet.")
    if assignments:
        raise UsageError(f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with.")
    return open_run(Path(name))


def classes_of(model: Model) -> tuple[str, ...]:
    """Return the classes of a model in the order of its scores; () for one that was not trained on shapes."""
    return model.head.classes if model.head else ()


def temperature_of(model: Model) -> float:
    """Return the temperature that divides the logits of a model before the softmax; 1 where it is not calibrated."""
    return model.head.calibration.temperature if model.head and model.head.calibration else 1.0
