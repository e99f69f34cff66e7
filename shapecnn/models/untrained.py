"""Model ``@imagenet``: an image network trained on photographs, not on shapes; it pools the features of all views."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.comparison import AdaptedComparison, FeatureComparison, ShapeComparison
from shapecnn.models.input import Input
from shapecnn.networks.weights import OFFLINE, Weights, weights_version
from shapecnn.settings.base import Whole
from shapecnn.settings.networks import MvcnnSettings
from shapecnn.settings.views_and_grids import Fit, Renderer, Up, Viewpoints, ViewSettings

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork


class ImagenetSettings(Viewpoints):
    """Settings of the model ``@imagenet``. The defaults give the best retrieval at low cost (see ``docs/search.md``).

    Attributes:
        backbone: Name of the image network in timm or torchvision.
        weights: ``imagenet``, or ``none`` for random weights.
        pooling: Pooling of the features of all views: ``max`` or ``mean``.
        adapt: Whether features are adapted to the collection before shapes are compared: standardized over all shapes,
            with the features of similar shapes added. See :class:`shapecnn.models.space.AdaptedSpace`.
        neighbours: Largest number of similar shapes whose features are added to the features of each shape; used if
            ``adapt`` is set.
    """

    kind: Literal["imagenet"] = "imagenet"
    drawing: Annotated[Literal[2], Whole] = 2  # version of the renderer, as in ViewSettings: features depend on it
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
        """Return the settings for rendering the views that the network expects.

        Args:
            up: Axis of the meshes that points up; None for the setting ``up`` of the model.
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
    """Image network with published weights; implements :class:`shapecnn.models.model.NetworkSource`.

    Attributes:
        settings: Settings of ``@imagenet``, which name the backbone and its weights.
    """

    settings: ImagenetSettings

    @property
    def identity(self) -> str:
        """Cache key of the network converted to OpenVINO: a text that changes with the architecture or the weights."""
        settings = self.settings
        return f"{weights_version(settings.backbone, settings.weights)} {settings.size} {settings.pooling}"

    @property
    def at_hand(self) -> bool:
        """Whether an installed Python package contains the weights, so that no download is needed."""
        package = OFFLINE.get(self.settings.backbone)
        return package is not None and importlib.util.find_spec(package.module) is not None

    def build(self) -> ShapeNetwork:
        """Build the network without classifier, in float32 and evaluation mode; random weights have a fixed seed."""
        from shapecnn.networks.registry import build_network

        settings = self.settings
        network = MvcnnSettings(backbone=settings.backbone, weights=settings.weights, pooling=settings.pooling)
        return build_network(network, settings.size, classes=0)


@dataclass(frozen=True, slots=True)
class UntrainedModel:
    """Model ``@imagenet`` with its settings, without classes; implements :class:`shapecnn.models.model.Model`.

    Attributes:
        settings: Settings of the backbone, the views and the comparison of shapes.
    """

    settings: ImagenetSettings = field(default_factory=ImagenetSettings)

    @classmethod
    def of(cls, **settings: Any) -> UntrainedModel:
        """Build the model ``@imagenet`` with the given settings; all other settings have their defaults.

        Args:
            settings: Values of settings, by name.
        """
        return cls(ImagenetSettings(**settings))

    @property
    def name(self) -> str:
        """Name of the model: ``@imagenet``."""
        return "@imagenet"

    @property
    def input(self) -> Input:
        """Settings of the views that the network expects."""
        return Input(self.settings.view_settings())

    @property
    def up(self) -> Up:
        """Axis that points up in the meshes, according to the settings of the model."""
        return self.settings.up

    @property
    def network(self) -> PretrainedNetwork:
        """Architecture and weights of the model, from which its network is built."""
        return PretrainedNetwork(self.settings)

    @property
    def head(self) -> None:
        """Always None: the model was not trained on shapes, so it has no classes."""

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by pooled view features, which are adapted to the collection if ``adapt`` is set."""
        return AdaptedComparison(self.settings.neighbours) if self.settings.adapt else FeatureComparison()

    def compared_by(self, feature: str) -> UntrainedModel:
        """Return the model itself: ``penultimate`` is the only feature by which it can compare shapes.

        Args:
            feature: ``penultimate``; any other feature is an error.

        Raises:
            UsageError: ``feature`` is not ``penultimate``.
        """
        if feature != self.comparison.feature:
            raise UsageError(
                f"--feature {feature}: @imagenet has only the feature penultimate. Use a run with a learned metric."
            )
        return self

    def split(self, artefacts: Artefacts, name: str) -> list[Entry]:
        """Return the shapes of one split of a folder of views; all shapes if no shape of the folder has a split.

        Args:
            artefacts: Opened folder of views.
            name: ``train``, ``val`` or ``test``.
        """
        unsplit = all(entry.split is None for entry in artefacts.entries)
        return artefacts.select(None if unsplit else name)

    def to_json(self) -> dict[str, Any]:
        """Return the settings for JSON; the key ``hash`` has a hash of their values."""
        return self.settings.to_json()
