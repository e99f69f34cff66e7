"""Models for a joined index: the feature of a network, joined with an engineered descriptor of the same mesh.

The similarity of two shapes is the mean of the similarity by the network and the cosine of the descriptors. Only an
index can join them: evaluation reads stored artefacts, which are either views or grids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError, quoted
from shapecnn.models.comparison import JoinedComparison, ShapeComparison
from shapecnn.models.descriptors import FisherSettings, SphSettings
from shapecnn.models.drawing import MeshDescriptor
from shapecnn.models.head import ClassHead, QuantityHead
from shapecnn.models.input import Input
from shapecnn.models.model import JOINED, Model, Split, resolve_model
from shapecnn.models.source import NetworkSource
from shapecnn.settings.base import settings_hash
from shapecnn.settings.views_and_grids import Up

JoinableSettings = SphSettings | FisherSettings

JOINABLE: dict[str, type[JoinableSettings]] = {
    settings.model_fields["kind"].default: settings for settings in get_args(JoinableSettings)
}
"""Settings of each descriptor that an index can join with the feature of a network, by its name."""


@dataclass(frozen=True, slots=True)
class JoinedModel:
    """Model whose feature is joined with an engineered descriptor; implements :class:`shapecnn.models.model.Model`.

    Attributes:
        model: Model of a network: a run, or ``@imagenet``.
        descriptor: Settings of the descriptor.
    """

    model: Model
    descriptor: JoinableSettings

    @property
    def name(self) -> str:
        """Name of the model of the network: the path of the run's folder, or ``@imagenet``."""
        return self.model.name

    @property
    def input(self) -> Input:
        """Settings of the views or grids that the network expects, and the descriptor."""
        return replace(
            self.model.input, joined=MeshDescriptor(self.descriptor.kind, self.descriptor.input_settings("z"))
        )

    @property
    def up(self) -> Up | None:
        """Axis that points up in the meshes, according to the model of the network; None if unknown."""
        return self.model.up

    @property
    def network(self) -> NetworkSource:
        """Architecture and weights of the network."""
        return self.model.network

    @property
    def head(self) -> ClassHead | None:
        """Class names, classifier and calibration of a run; None for ``@imagenet``."""
        return self.model.head

    @property
    def quantity(self) -> QuantityHead | None:
        """Quantity that the network predicts; None for a network that predicts no quantity."""
        return self.model.quantity

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by the feature of the network and the descriptor, with equal weight."""
        return JoinedComparison(self.model.comparison, self.descriptor.kind)

    def compared_by(self, feature: str) -> JoinedModel:
        """Return a copy of the model that joins the descriptor with another feature of the network.

        Args:
            feature: ``penultimate`` (input of the classifier) or ``metric`` (feature of the learned metric).

        Raises:
            UsageError: The model does not have this feature.
        """
        return replace(self, model=self.model.compared_by(feature))

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """Return the shapes of the training, validation or test set of the model of the network, sorted by id.

        Args:
            artefacts: Opened folder of views or grids.
            name: ``train``, ``val`` or ``test``.

        Raises:
            UsageError: The folder of views or grids lacks shapes that the model was trained or validated on.
        """
        return self.model.split(artefacts, name)

    def to_json(self) -> dict[str, Any]:
        """Return the values that determine the joined features, for JSON; the key ``hash`` has their hash.

        They are the values of the model of the network, and under the key ``descriptor`` those of the descriptor. How
        meshes are read (up axis, simplification) is in the former.
        """
        own = self.descriptor.model_dump(mode="json", exclude={"up", "simplify"})
        described = {key: value for key, value in self.model.to_json().items() if key != "hash"} | {JOINED: own}
        return {**described, "hash": settings_hash(described)}


def resolve_index_model(name: str, assignments: dict[str, Any] | None = None) -> Model:
    """Open the model of an index by name, without loading its network.

    Args:
        name: Folder of a run, or a name such as ``@imagenet``.
        assignments: Settings of an untrained model, by key. And for all models the key ``descriptor``: the name of the
            engineered descriptor to join with the feature of the network, or None for no descriptor.

    Raises:
        UsageError: The model does not exist, a setting is invalid, or the model and the descriptor cannot be joined.
        StoredDataError: The run is damaged.
        MismatchError: The run was trained on views or grids from a version of shapecnn that rendered or voxelized
            differently.
    """
    settings = dict(assignments or {})
    descriptor = settings.pop(JOINED, None)
    model = resolve_model(name, settings)
    return model if descriptor is None else join(model, descriptor)


def join(model: Model, descriptor: Any) -> JoinedModel:
    """Join the feature of a model with an engineered descriptor.

    Args:
        model: A run, or ``@imagenet``.
        descriptor: Name of the descriptor: ``sph`` or ``fisher``.

    Raises:
        UsageError: The descriptor is unknown or has no cosine, or the model itself is a descriptor.
    """
    setting = f"--set {JOINED}={descriptor}"
    if model.network.descriptor is not None:
        raise UsageError(
            f"{setting}: {model.name} has no network, but compares shapes by the descriptor "
            f"{model.network.descriptor}. Join a descriptor with @imagenet or with a run of a network."
        )
    if descriptor == "lfd":
        raise UsageError(
            f"{setting}: light fields are compared by their best alignment, not by a cosine, so they cannot be joined "
            f"with the feature of a network. Use sph or fisher, or an index of its own: --model @lfd"
        )
    if not isinstance(descriptor, str) or descriptor not in JOINABLE:
        named = quoted(descriptor) if isinstance(descriptor, str) else descriptor
        raise UsageError(
            f"--set {JOINED}={named}: an index can join {' or '.join(JOINABLE)} with a network. Use one of them."
        )
    options = {"orientation": model.input.drawing().orientation} if descriptor == "fisher" else {}
    return JoinedModel(model, JOINABLE[descriptor].from_options(**options))
