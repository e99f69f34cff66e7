"""What makes pictures and grids of meshes: the settings that are stored beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from shapecnn.errors import MismatchError, UsageError
from shapecnn.settings.core import Settings, Whole, differences, few

Up = Literal["x", "y", "z"]


Fit = Literal["sphere", "view"]


Fill = Literal["solid", "surface"]


Renderer = Literal["raster", "pyrender", "open3d"]


Layout = Literal["sheet", "files"]


Orientation = Literal["upright", "auto"]


FEWEST = 4  # faces that a mesh may be simplified to: those of a tetrahedron


ALL_SIDES = (20, 24, 80)  # view counts that look from all sides; any other number circles the up axis


MOST_VIEWS = 360


ViewCount = Annotated[int, Field(ge=1, le=MOST_VIEWS)]


@dataclass(frozen=True, slots=True)
class FaceLimit:
    """most: how many faces a mesh may have; None: as many as memory holds.  simplify: whether one that has more is
    brought down to them, or refused."""

    most: int | None = None
    simplify: bool = False

    @property
    def target(self) -> int | None:
        """The faces to which meshes are simplified, if they are."""
        return self.most if self.simplify else None


NO_LIMIT = FaceLimit()


class ReadingSettings(Settings):
    """What is done to a mesh before it is seen.  simplify: the faces that one with more is brought down to; where that
    is not asked for it is left out, so that such settings are those of versions that could not."""

    simplify: int | None = Field(None, ge=FEWEST)

    @model_serializer(mode="wrap")
    def _without_none(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if key != "simplify" or value is not None}


class Viewpoints(ReadingSettings):
    """From where a mesh is seen: from around its up, or, where none is known, from all sides of its own axes."""

    orientation: Orientation = "upright"
    views: ViewCount = 12  # with orientation auto: 24

    @model_validator(mode="before")
    @classmethod
    def _all_sides(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("orientation") == "auto":
            return {"views": 24, **values}
        return values

    @model_validator(mode="after")
    def _no_up_to_circle(self) -> Self:
        if self.orientation == "auto" and self.views not in ALL_SIDES:
            raise ValueError(
                f"{self.views} views circle a shape that stands upright; with orientation auto use 24, 20 or 80"
            )
        return self


class ViewSettings(Viewpoints):
    """How a mesh becomes grey pictures."""

    kind: Literal["views"] = "views"
    drawing: Annotated[Literal[2], Whole] = 2  # raised whenever the same settings give other pixels
    size: int = Field(224, ge=8, le=4096)  # pixels along one side of a view
    samples: int = Field(2, ge=1, le=8)  # samples along one side of a pixel
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    def version(self) -> dict[str, int]:
        """What changes whenever the same settings give other pixels."""
        return {"drawing": self.drawing}


class VoxelSettings(ReadingSettings):
    """How a mesh becomes occupancy grids."""

    kind: Literal["voxels"] = "voxels"
    filling: Annotated[Literal[2], Whole] = 2  # raised whenever the same settings give other cells
    resolution: int = Field(30, ge=1, le=1024)  # cells along one side of the grid
    padding: int = Field(3, ge=0)  # empty cells on each side of the longest extent
    fill: Fill = "solid"
    rotations: int = Field(1, ge=1, le=100)  # turns about z by 360/rotations degrees, each refitted
    orientation: Orientation = "upright"
    up: Up = "z"

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.resolution <= 2 * self.padding:
            raise ValueError(
                f"resolution {self.resolution} leaves no cell inside a padding of {self.padding} on both sides"
            )
        return self

    def version(self) -> dict[str, int]:
        """What changes whenever the same settings give other cells."""
        return {"filling": self.filling}


class ImportedViewSettings(Settings):
    """Grey pictures that others made of shapes."""

    kind: Literal["views"] = "views"
    origin: Literal["imported"] = "imported"
    views: ViewCount
    size: int = Field(ge=8, le=4096)  # pixels along one side of a view


class ImportedVoxelSettings(Settings):
    """Occupancy grids that others made of shapes."""

    kind: Literal["voxels"] = "voxels"
    origin: Literal["imported"] = "imported"
    resolution: int = Field(ge=1, le=1024)  # cells along one side of the grid


InputSettings = ViewSettings | VoxelSettings | ImportedViewSettings | ImportedVoxelSettings


_KINDS: dict[tuple[str, str], type[InputSettings]] = {
    ("views", "own"): ViewSettings,
    ("voxels", "own"): VoxelSettings,
    ("views", "imported"): ImportedViewSettings,
    ("voxels", "imported"): ImportedVoxelSettings,
}


def input_settings(stored: Mapping[str, Any]) -> InputSettings:
    """The settings of pictures or grids that ``settings.json`` or :meth:`Settings.to_json` has.  Raises UsageError."""
    kind = str(stored.get("kind")), str(stored.get("origin", "own"))
    if kind not in _KINDS:
        raise UsageError(f"{' '.join(kind)} are neither views nor voxels, own or imported")
    return _KINDS[kind].from_options(**{key: stored[key] for key in {*stored} - {"schema_version", "hash", "layout"}})


def require_same(asked: Mapping[str, Any], stored: Mapping[str, Any], where: str, rebuild: str) -> None:
    """Raise MismatchError unless two sets of settings with their ``hash`` (:meth:`Settings.to_json`) are the same.

    The message names every differing key with both values and ends with ``rebuild``, the sentence that tells how to
    make ``where`` anew.
    """
    if stored.get("hash") == asked["hash"]:
        return
    require_current(stored, where, rebuild)
    told = few(differences(asked, stored).values()) or "damaged hash"
    raise MismatchError(f"{where} was made with other settings ({told}). {rebuild}")


def require_current(stored: Mapping[str, Any], where: str, remedy: str) -> None:
    """Raise MismatchError, which ends with ``remedy``, if what has these settings was drawn or filled by a version of
    shapecnn that gives other pixels or cells for them."""
    for key, now in {**ViewSettings().version(), **VoxelSettings().version()}.items():
        then = stored.get(key)
        if type(then) is not int or then == now:
            continue
        if then > now:
            made = "a later version of shapecnn"
        else:
            made = "an earlier version of shapecnn, which cut concave polygons into wrong triangles"
        raise MismatchError(f"{where} was made by {made} ({key} is {then} there and {now} here). {remedy}")
