"""``@imagenet``: a network trained on photographs, its view features pooled, nothing trained on shapes."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.comparison import AdaptedComparison, Comparison, FeatureComparison
from shapecnn.models.input import Input
from shapecnn.networks.weights import OFFLINE, Weights, weights_version
from shapecnn.settings.artefacts import Fit, Renderer, Up, Viewpoints, ViewSettings
from shapecnn.settings.core import Whole
from shapecnn.settings.experiment import MvcnnSettings

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork


class ImagenetSettings(Viewpoints):
    """Settings of ``@imagenet``; the defaults retrieve best at low cost, as ``docs/search.md`` shows.

    Attributes:
        backbone: Network of timm or torchvision, by name.
        weights: Where its weights come from.
        pooling: How the features of the views become one.
        adapt: Whether features are compared in a space adapted to the collection; see models/space.py.
        neighbours: Number of neighbours that each shape moves towards in that space.
    """

    kind: Literal["imagenet"] = "imagenet"
    drawing: Annotated[Literal[2], Whole] = 2  # as in ViewSettings: other pixels are other features
    backbone: str = "tf_efficientnet_lite1"
    weights: Weights = "imagenet"
    pooling: Literal["max", "mean"] = "mean"
    adapt: bool = True
    neighbours: int = Field(5, ge=0, le=100)
    size: int = Field(224, ge=32, le=1024)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    def view_settings(self, up: Up | None = None) -> ViewSettings:
        """Return the settings with which the views are drawn that the network takes.

        Args:
            up: Axis that points up in the meshes; None: as in the settings.
        """
        return ViewSettings(
            drawing=self.drawing,
            orientation=self.orientation,
            views=self.views,
            size=self.size,
            samples=self.samples,
            fit=self.fit,
            renderer=self.renderer,
            up=up or self.up,
            simplify=self.simplify,
        )


@dataclass(frozen=True, slots=True)
class PretrainedNetwork:
    """Network with published weights; a :class:`shapecnn.models.model.NetworkSource`."""

    settings: ImagenetSettings

    @property
    def identity(self) -> str:
        """Backbone, weights with the packages they come from, size of a view, pooling."""
        settings = self.settings
        return f"{weights_version(settings.backbone, settings.weights)} {settings.size} {settings.pooling}"

    @property
    def at_hand(self) -> bool:
        """Whether the weights are those of an installed Python package."""
        package = OFFLINE.get(self.settings.backbone)
        return package is not None and importlib.util.find_spec(package.module) is not None

    def build(self) -> ShapeNetwork:
        """Build the network; where its weights are random, they are the same every time."""
        from shapecnn.networks.registry import build_network

        settings = self.settings
        network = MvcnnSettings(backbone=settings.backbone, weights=settings.weights, pooling=settings.pooling)
        return build_network(network, settings.size, classes=0)


@dataclass(frozen=True, slots=True)
class UntrainedModel:
    """``@imagenet`` with its settings; a :class:`shapecnn.models.model.Model` without classes."""

    settings: ImagenetSettings = field(default_factory=ImagenetSettings)

    @classmethod
    def of(cls, **settings: Any) -> UntrainedModel:
        """Return ``@imagenet`` with some settings changed, by key."""
        return cls(ImagenetSettings(**settings))

    @property
    def name(self) -> str:
        """``@imagenet``, as it is typed."""
        return "@imagenet"

    @property
    def input(self) -> Input:
        """Views as shapecnn draws them."""
        return Input(self.settings.view_settings())

    @property
    def up(self) -> Up:
        """Axis that points up in the meshes."""
        return self.settings.up

    @property
    def network(self) -> PretrainedNetwork:
        """Source of the network."""
        return PretrainedNetwork(self.settings)

    @property
    def head(self) -> None:
        """None: it was not trained on classes of shapes."""

    @property
    def comparison(self) -> Comparison:
        """Comparison of pooled view features, adapted to the collection unless the settings say otherwise."""
        return AdaptedComparison(self.settings.neighbours) if self.settings.adapt else FeatureComparison()

    def compared_by(self, feature: str) -> UntrainedModel:
        """Return the model itself, which compares by one feature only.

        Raises:
            UsageError: ``feature`` is not ``penultimate``.
        """
        if feature != self.comparison.feature:
            raise UsageError(f"--feature {feature}: @imagenet has none; a metric is learned for a run.")
        return self

    def split(self, artefacts: Artefacts, name: str) -> list[Entry]:
        """Return the shapes that the data itself puts into a split; all shapes where it names no splits."""
        unsplit = all(entry.split is None for entry in artefacts.entries)
        return artefacts.select(None if unsplit else name)

    def to_json(self) -> dict[str, Any]:
        """Return the settings, with a ``hash`` of them."""
        return self.settings.to_json()
