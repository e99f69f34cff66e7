"""What can be measured, indexed and asked: a trained run, or ``@imagenet``, which needs no training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shapecnn.artefacts import Entry
from shapecnn.checkpoint import open_run
from shapecnn.config import Fit, Renderer, Settings, Up, ViewCount, ViewSettings
from shapecnn.datasets import Artefacts
from shapecnn.errors import UsageError
from shapecnn.experiment import MvcnnSettings
from shapecnn.inputs import Input
from shapecnn.networks.weights import DEFAULT_BACKBONE, Weights, native_size, weights_version

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
    def identity(self) -> str:
        """Tells the network from every other one, weights included."""

    def to_json(self) -> dict[str, Any]:
        """All that decides its features, with a ``hash`` of it."""

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """The shapes of one split, in order of id.  Raises UsageError if there is no such split for it."""

    def classifier(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Weight (C, D) and bias (C,) of what turns features into logits; None without classes."""

    def build(self) -> ShapeNetwork:
        """The network in float32, ready to infer.  Raises UsageError, WeightsError, StoredDataError."""


def open_model(name: str, assignments: dict[str, Any] | None = None, up: Up = "z") -> Model:
    """The model called ``name``; ``assignments`` are settings of one that needs no training.

    Raises UsageError if there is none or the settings are not its own, StoredDataError if a run is damaged.
    """
    if name == "@imagenet":
        return ImagenetSettings.from_assignments(up, assignments or {})
    if name.startswith("@"):
        raise UsageError(f"There is no model {name!r}; known without training: @imagenet.")
    if assignments:
        raise UsageError(f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with.")
    return open_run(Path(name))


class ImagenetSettings(Settings):
    """``@imagenet``: a network trained on pictures, its view features pooled, nothing trained on shapes."""

    kind: Literal["imagenet"] = "imagenet"
    drawing: Literal[1] = 1  # as in ViewSettings: other pixels are other features
    backbone: str = DEFAULT_BACKBONE
    weights: Weights = "imagenet"
    pooling: Literal["max", "mean"] = "max"
    views: ViewCount = 12
    size: int = Field(224, ge=32, le=1024)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    @classmethod
    def from_assignments(cls, up: str, assignments: dict[str, Any]) -> ImagenetSettings:
        """The settings with ``--set`` values; the picture size is the backbone's own unless set."""
        size = native_size(str(assignments.get("backbone", DEFAULT_BACKBONE)))
        return cls.from_options(**{"up": up, "size": size, **assignments})

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

    def split(self, artefacts: Artefacts, name: Split) -> list[Entry]:
        """Those the data itself names; all shapes, where it names no splits."""
        unsplit = all(entry.split is None for entry in artefacts.entries)
        return artefacts.select(None if unsplit else name)

    def view_settings(self, up: Up | None = None) -> ViewSettings:
        """How to draw what this model sees; ``up`` replaces that of the settings."""
        return ViewSettings(
            drawing=self.drawing,
            views=self.views,
            size=self.size,
            samples=self.samples,
            fit=self.fit,
            renderer=self.renderer,
            up=up or self.up,
        )

    def build(self) -> ShapeNetwork:
        """The network itself; without ImageNet weights the same random ones every time."""
        from shapecnn.networks.build import build_network

        settings = MvcnnSettings(backbone=self.backbone, weights=self.weights, pooling=self.pooling)
        return build_network(settings, self.size, classes=0)
