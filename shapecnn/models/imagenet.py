"""Settings of the model ``@imagenet``: an image network trained on photographs, not on shapes, with pooled views."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shapecnn.models.comparison import AdaptedComparison, FeatureComparison, ShapeComparison
from shapecnn.models.pictured import PicturedSettings
from shapecnn.networks.weights import OFFLINE, Weights, weights_version
from shapecnn.settings.base import Whole
from shapecnn.settings.networks import MvcnnSettings

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork

_LITE1 = "tf_efficientnet_lite1"
_SCORABLE = {"orientation": "auto", "views": 24, "backbone": _LITE1, "weights": "imagenet"}
"""Settings that the scorer of upright poses was fitted with."""

_SCORER = 2  # version of the scorer; it increases whenever the same views result in other features


@dataclass(frozen=True, slots=True)
class PretrainedNetwork:
    """Image network with published weights; implements :class:`shapecnn.models.source.NetworkSource`.

    Attributes:
        backbone: Short name of the image network, or its name in timm or torchvision.
        weights: ``imagenet`` for the published weights, or ``none`` for random weights.
        pooling: Pooling of the features of all views: ``max``, ``mean`` or ``upright``.
        size: Pixels along one side of a view.
    """

    backbone: str
    weights: Weights
    pooling: Literal["max", "mean", "upright"]
    size: int
    descriptor: None = None

    @property
    def identity(self) -> str:
        """Cache key of the network converted to OpenVINO: a text that changes with the architecture or the weights."""
        pooling = f"upright {_SCORER}" if self.pooling == "upright" else self.pooling
        return f"{weights_version(self.backbone, self.weights)} {self.size} {pooling}"

    @property
    def at_hand(self) -> bool:
        """Whether an installed Python package contains the weights, so that no download is needed."""
        package = OFFLINE.get(self.backbone)
        return package is not None and importlib.util.find_spec(package.module) is not None

    def build(self) -> ShapeNetwork:
        """Build the network without classifier, in float32 and evaluation mode; random weights have a fixed seed."""
        from shapecnn.networks.registry import build_network

        pooling = "mean" if self.pooling == "upright" else self.pooling
        settings = MvcnnSettings(backbone=self.backbone, weights=self.weights, pooling=pooling)
        network = build_network(settings, self.size, classes=0)
        if self.pooling == "upright":
            from shapecnn.networks.upright import pool_upright

            pool_upright(network)
        return network


class ImagenetSettings(PicturedSettings):
    """Settings of the model ``@imagenet``.

    The defaults give the best retrieval at low cost (see ``docs/measurements/search.md``).

    Attributes:
        backbone: Short name of the image network (:data:`shapecnn.networks.choices.CHOICES`), or its name in timm or
            torchvision.
        weights: ``imagenet`` for the published weights, or ``none`` for random weights.
        pooling: Pooling of the features of all views: ``max``, ``mean``, or ``upright``, the mean in which those views
            count most that show the shape upright. The default is ``mean``, or ``upright`` for 24 views with
            orientation ``auto``, for which ``upright`` was made, and the default image network.
        scorer: Version of the scorer of pooling ``upright``; None for any other pooling.
        adapt: Whether features are adapted to the collection before shapes are compared: standardized over all shapes,
            with the features of similar shapes added. See :class:`shapecnn.models.adapted_space.AdaptedSpace`.
        neighbours: Largest number of similar shapes whose features are added to the features of each shape; used if
            ``adapt`` is set.
    """

    later: ClassVar[frozenset[str]] = PicturedSettings.later | {"scorer"}

    kind: Literal["imagenet"] = "imagenet"
    backbone: str = _LITE1
    weights: Weights = "imagenet"
    pooling: Literal["max", "mean", "upright"] = "mean"
    scorer: Annotated[Literal[2], Whole] | None = None
    adapt: bool = True
    neighbours: Annotated[int, Field(ge=0, le=100)] = 5

    @model_validator(mode="before")
    @classmethod
    def _looks_upright(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("orientation") != "auto":
            return values
        if all(values.get(key, value) == value for key, value in _SCORABLE.items()):
            values = {"pooling": "upright", **values}
        return {"scorer": _SCORER, **values} if values.get("pooling") == "upright" else values

    @model_validator(mode="after")
    def _scored_features(self) -> Self:
        fits = all(getattr(self, key) == value for key, value in _SCORABLE.items())
        if self.pooling == "upright" and not fits:
            raise ValueError(
                f"pooling upright needs orientation auto, 24 views and {_LITE1} with ImageNet weights; use pooling mean"
            )
        if self.scorer != (_SCORER if self.pooling == "upright" else None):
            raise ValueError("scorer is a version number, which cannot be set; leave it out")
        return self

    @property
    def source(self) -> PretrainedNetwork:
        """Architecture and weights of the network."""
        return PretrainedNetwork(self.backbone, self.weights, self.pooling, self.size)

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by pooled view features, which are adapted to the collection if ``adapt`` is set."""
        return AdaptedComparison(self.neighbours) if self.adapt else FeatureComparison()

    @property
    def description(self) -> str:
        """Description of the model in one line of text, for users."""
        adapted = ", adapted to the collection" if self.adapt else ""
        return f"{self.backbone}, {self.views} views pooled by {self.pooling}{adapted}"
