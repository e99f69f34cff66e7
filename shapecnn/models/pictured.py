"""Settings that models of rendered views share: how the views are drawn."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shapecnn.settings.base import Whole
from shapecnn.settings.views_and_grids import (
    DrawingSettings,
    Fit,
    Renderer,
    Up,
    Viewpoints,
    ViewSettings,
    require_one_scale,
)


class PicturedSettings(Viewpoints, DrawingSettings):
    """Base class for the settings of a model of rendered views that needs no training.

    Attributes:
        drawing: Version of the renderers, as in :class:`ViewSettings`: features depend on it.
        size: Pixels along one side of a view.
        samples: Samples along one side of a pixel, for anti-aliasing.
        fit: ``sphere`` scales all views alike; ``view`` crops each view to the mesh.
        renderer: ``raster``, ``pyrender`` or ``open3d``.
        up: Axis of the mesh file that points up.
    """

    later: ClassVar[frozenset[str]] = DrawingSettings.later

    drawing: Annotated[Literal[2], Whole] = 2
    size: int = Field(224, ge=32, le=1024)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        require_one_scale(self.fit, self.keep_scale)
        return self

    def input_settings(self, up: Up | None = None) -> ViewSettings:
        """Return the settings for rendering the views that the model expects.

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
            keep_scale=self.keep_scale,
            simplify=self.simplify,
        )
