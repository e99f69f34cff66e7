"""What can be measured, indexed and asked: a trained run, or ``@imagenet``, which needs no training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier
from shapecnn.models.gallery import Gallery
from shapecnn.models.input import Input
from shapecnn.models.output import Feature, Output
from shapecnn.models.run import open_run
from shapecnn.models.space import AdaptedSpace, FeatureSpace, Placed, Space
from shapecnn.networks.weights import Weights, weights_version
from shapecnn.settings.artefacts import Fit, Renderer, Up, Viewpoints, ViewSettings
from shapecnn.settings.core import Whole
from shapecnn.settings.experiment import MvcnnSettings
from shapecnn.similarity import unit

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork

Split = Literal["train", "val", "test"]


class Model(Protocol):
    """A network and what it sees."""

    @property
    def name(self) -> str:
        """``@imagenet``, or the folder of the run."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What its scores are of, in their order; () if it has none."""

    @property
    def input(self) -> Input:
        """What it sees of a shape."""

    @property
    def up(self) -> Up | None:
        """Which axis was up in the meshes that it was trained on, or that its settings name; None: not known."""

    @property
    def identity(self) -> str:
        """Tells the network from every other one, weights included."""

    @property
    def compared(self) -> str:
        """The feature by which its shapes are compared: ``penultimate``, ``metric``."""

    def represent(self, output: Output) -> Feature:
        """The feature of unit length by which one shape is compared with others, by its dot product."""

    @property
    def discriminant(self) -> bool:
        """Whether its features are coordinates in a discriminant space, where training shapes of a class coincide."""

    @property
    def adapt(self) -> bool:
        """Whether the space in which shapes are compared is made of all of the collection."""

    def space(self, features: NDArray[np.float32], placed: Placed | None = None) -> Space:
        """Where a collection, (N, D) of what :meth:`represent` gives, and queries are compared.

        placed: that of this very space, if it was kept.
        """

    def comparing(self, feature: str) -> Model:
        """The same model with its shapes compared by another feature.  Raises UsageError if it has none such."""

    def to_json(self) -> dict[str, Any]:
        """All that decides its features, with a ``hash`` of it."""

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """The shapes of one split, in order of id.  Raises UsageError if there is no such split for it."""

    def classifier(self) -> Classifier | None:
        """What turns features into logits; None without classes."""

    @property
    def calibration(self) -> Calibration | None:
        """How far its scores can be trusted; None if that is not known."""

    def gallery(self) -> Gallery | None:
        """The shapes it was trained on; None if it has not kept them.  Raises StoredDataError if they are damaged."""

    def build(self) -> ShapeNetwork:
        """The network in float32, ready to infer.  Raises UsageError, WeightsError, StoredDataError."""


def open_model(name: str, assignments: dict[str, Any] | None = None, up: Up = "z") -> Model:
    """The model called ``name``; ``assignments`` are settings of one that needs no training.

    Raises UsageError if there is none or the settings are not its own, StoredDataError if a run is damaged.
    """
    if name == "@imagenet":
        return ImagenetSettings.from_options(**{"up": up, **(assignments or {})})
    if name.startswith("@"):
        raise UsageError(f"There is no model {name!r}; known without training: @imagenet.")
    if assignments:
        raise UsageError(f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with.")
    return open_run(Path(name))


class ImagenetSettings(Viewpoints):
    """``@imagenet``: a network trained on pictures, its view features pooled, nothing trained on shapes.

    The defaults are what finds best at little cost: ``docs/search.md``.
    """

    kind: Literal["imagenet"] = "imagenet"
    drawing: Annotated[Literal[2], Whole] = 2  # as in ViewSettings: other pixels are other features
    backbone: str = "tf_efficientnet_lite1"
    weights: Weights = "imagenet"
    pooling: Literal["max", "mean"] = "mean"
    adapt: bool = True  # features are made comparable by what the collection shows: see retrieval/space.py
    neighbours: int = Field(5, ge=0, le=100)  # that each shape is moved towards, where features are adapted
    size: int = Field(224, ge=32, le=1024)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    @property
    def name(self) -> str:
        """As it is typed."""
        return "@imagenet"

    @property
    def classes(self) -> tuple[str, ...]:
        """None: it was not trained on shapes."""
        return ()

    @property
    def input(self) -> Input:
        """Our own views."""
        return Input(self.view_settings())

    @property
    def identity(self) -> str:
        """Backbone, weights with the packages they come from, pooling."""
        return f"{weights_version(self.backbone, self.weights)} {self.size} {self.pooling}"

    def classifier(self) -> None:
        """None: it has no classes."""

    @property
    def calibration(self) -> None:
        """None: it has no scores."""

    def gallery(self) -> None:
        """None: it was not trained on shapes."""

    @property
    def compared(self) -> str:
        """What its last layer says, pooled over the views."""
        return "penultimate"

    @property
    def discriminant(self) -> bool:
        """False: it was not trained on shapes."""
        return False

    def represent(self, output: Output) -> Feature:
        """(D,) of unit length."""
        return unit(output.feature)

    def space(self, features: NDArray[np.float32], placed: Placed | None = None) -> Space:
        """That of the features, adapted to the collection unless set otherwise."""
        adapted = self.adapt and len(features) > 0
        return AdaptedSpace(features, self.neighbours, placed) if adapted else FeatureSpace(features)

    def comparing(self, feature: str) -> ImagenetSettings:
        """Itself, if ``feature`` is that of its last layer; else a UsageError."""
        if feature != self.compared:
            raise UsageError(f"--feature {feature}: @imagenet has none; a metric is learned for a run.")
        return self

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """Those the data itself names; all shapes, where it names no splits."""
        unsplit = all(entry.split is None for entry in artefacts.entries)
        return artefacts.select(None if unsplit else name)

    def view_settings(self, up: Up | None = None) -> ViewSettings:
        """How to draw what this model sees; ``up`` replaces that of the settings."""
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

    def build(self) -> ShapeNetwork:
        """The network itself; without ImageNet weights the same random ones every time."""
        from shapecnn.networks.registry import build_network

        settings = MvcnnSettings(backbone=self.backbone, weights=self.weights, pooling=self.pooling)
        return build_network(settings, self.size, classes=0)
