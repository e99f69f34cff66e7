"""Views and grids that the systems of the ladder read: their names, and their settings."""

from __future__ import annotations

from typing import Literal

from shapecnn.models.descriptors import LfdSettings, SphSettings
from shapecnn.settings.views_and_grids import Up, ViewSettings, VoxelSettings

InputName = Literal["views", "views20", "views80", "grids", "grids12", "grids64", "silhouettes"]

INPUTS: dict[InputName, str] = {
    "views": "12 views",
    "views20": "20 views",
    "views80": "80 views",
    "grids": "30³ grid",
    "grids12": "30³ grid in 12 rotations",
    "grids64": "64³ grid",
    "silhouettes": "100 silhouettes",
}
"""What a rung reads, in words."""


def input_settings(name: InputName, up: Up) -> ViewSettings | VoxelSettings:
    """Return the settings of the views or grids that a rung reads.

    Args:
        name: Name of the views or grids.
        up: Axis that points up in the meshes.
    """
    match name:
        case "views":
            return ViewSettings(up=up)
        case "views20":
            return ViewSettings(views=20, up=up)
        case "views80":
            return ViewSettings(views=80, up=up)
        case "grids":
            return VoxelSettings(up=up)
        case "grids12":
            return VoxelSettings(rotations=12, up=up)
        case "grids64":
            return SphSettings().input_settings(up)
        case "silhouettes":
            return LfdSettings().input_settings(up)
