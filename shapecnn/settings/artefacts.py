"""Settings of pictures and grids: how they are made from meshes, or that they were imported.

They are stored beside the pictures or grids in ``settings.json``, with their hash.
"""

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

from shapecnn.errors import MismatchError, UsageError, quoted
from shapecnn.settings.core import Settings, Whole, differences, few

Up = Literal["x", "y", "z"]
Fit = Literal["sphere", "view"]
Fill = Literal["solid", "surface"]
Renderer = Literal["raster", "pyrender", "open3d"]
Layout = Literal["sheet", "files"]
Orientation = Literal["upright", "auto"]

FEWEST_FACES = 4  # a tetrahedron, the smallest closed mesh that simplification may return
ALL_SIDES = (20, 24, 80)  # numbers of views with cameras on all sides; any other number circles the up axis
MOST_VIEWS = 360

ViewCount = Annotated[int, Field(ge=1, le=MOST_VIEWS)]


@dataclass(frozen=True, slots=True)
class FaceLimit:
    """Limit on the number of faces of a mesh, and what happens to a mesh that exceeds it.

    Attributes:
        most: Largest number of faces; None for no limit.
        simplify: Whether a mesh with more faces is simplified to ``most`` faces; otherwise it is refused.
    """

    most: int | None = None
    simplify: bool = False

    @property
    def target(self) -> int | None:
        """Number of faces to which larger meshes are simplified; None if they are not simplified."""
        return self.most if self.simplify else None


NO_LIMIT = FaceLimit()


class ReadingSettings(Settings):
    """Settings of how a mesh is read, before it is drawn or filled.

    Attributes:
        simplify: Number of faces to which larger meshes are simplified, at least 4; None to keep all faces. None is
            left out of the JSON, so that the hash equals that of versions without this setting.
    """

    simplify: int | None = Field(None, ge=FEWEST_FACES)

    @model_serializer(mode="wrap")
    def _without_none(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if key != "simplify" or value is not None}


class Viewpoints(ReadingSettings):
    """Settings of the cameras.

    Attributes:
        orientation: ``upright`` circles the up axis of the mesh; ``auto`` first turns the mesh to its own axes
            (:mod:`shapecnn.meshes.orientation`) and shows it from all sides, for meshes whose up axis is unknown.
        views: Number of views, 1 to 360; 20, 24 or 80 with ``auto``. The default is 12, or 24 with ``auto``.
    """

    orientation: Orientation = "upright"
    views: ViewCount = 12

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
                f"orientation auto needs views from all sides: use 20, 24 or 80 views instead of {self.views}"
            )
        return self


class ViewSettings(Viewpoints):
    """Settings of the grey pictures that are drawn of a mesh.

    Attributes:
        kind: Always ``views``.
        drawing: Version of the renderers. It rises whenever the same settings give other pixels.
        size: Pixels along one side of a view, 8 to 4096.
        samples: Samples along one side of a pixel, 1 to 8, for anti-aliasing.
        fit: ``sphere`` scales all views alike, so that the unit sphere fits; ``view`` crops each view to the mesh.
        renderer: ``raster``, the project's own, or ``pyrender`` (OpenGL), or ``open3d`` (Embree).
        up: Axis of the mesh file that points up.
    """

    kind: Literal["views"] = "views"
    drawing: Annotated[Literal[2], Whole] = 2
    size: int = Field(224, ge=8, le=4096)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    def version(self) -> dict[str, int]:
        """Return the version that rises whenever the same settings give other pixels, under its key."""
        return {"drawing": self.drawing}


class VoxelSettings(ReadingSettings):
    """Settings of the occupancy grids that are made from a mesh.

    Attributes:
        kind: Always ``voxels``.
        filling: Version of the voxelizer. It rises whenever the same settings give other cells.
        resolution: Cells along one side of the grid, 1 to 1024.
        padding: Empty cells on each side of the longest extent of the mesh; less than half of ``resolution``.
        fill: ``solid`` fills the inside of a closed surface, ``surface`` marks only the cells that faces meet.
        rotations: Number of grids, 1 to 100: the mesh turned about z in steps of 360/rotations degrees, each time
            fitted into the grid anew.
        orientation: ``upright`` keeps the mesh as it stands; ``auto`` first turns it to its own axes.
        up: Axis of the mesh file that points up.
    """

    kind: Literal["voxels"] = "voxels"
    filling: Annotated[Literal[2], Whole] = 2
    resolution: int = Field(30, ge=1, le=1024)
    padding: int = Field(3, ge=0)
    fill: Fill = "solid"
    rotations: int = Field(1, ge=1, le=100)
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
        """Return the version that rises whenever the same settings give other cells, under its key."""
        return {"filling": self.filling}


class ImportedViewSettings(Settings):
    """Settings of grey pictures that another program made.

    Attributes:
        kind: Always ``views``.
        origin: Always ``imported``.
        views: Number of views of each shape, 1 to 360.
        size: Pixels along one side of a view, 8 to 4096.
    """

    kind: Literal["views"] = "views"
    origin: Literal["imported"] = "imported"
    views: ViewCount
    size: int = Field(ge=8, le=4096)


class ImportedVoxelSettings(Settings):
    """Settings of occupancy grids that another program made.

    Attributes:
        kind: Always ``voxels``.
        origin: Always ``imported``.
        resolution: Cells along one side of the grid, 1 to 1024.
    """

    kind: Literal["voxels"] = "voxels"
    origin: Literal["imported"] = "imported"
    resolution: int = Field(ge=1, le=1024)


InputSettings = ViewSettings | VoxelSettings | ImportedViewSettings | ImportedVoxelSettings


_KINDS: dict[tuple[str, str], type[InputSettings]] = {
    ("views", "own"): ViewSettings,
    ("voxels", "own"): VoxelSettings,
    ("views", "imported"): ImportedViewSettings,
    ("voxels", "imported"): ImportedVoxelSettings,
}


def input_settings(stored: Mapping[str, Any]) -> InputSettings:
    """Return the settings of pictures or grids from their JSON object.

    Args:
        stored: Content of ``settings.json``, or of :meth:`Settings.to_json`. The keys ``schema_version``, ``hash`` and
            ``layout`` are ignored.

    Raises:
        UsageError: The kind or the origin is unknown, a key is unknown, or a value is not allowed.
    """
    kind, origin = str(stored.get("kind")), str(stored.get("origin", "own"))
    if (kind, origin) not in _KINDS:
        raise UsageError(f"kind {quoted(kind)} with origin {quoted(origin)} is not known")
    return _KINDS[kind, origin].from_options(
        **{key: stored[key] for key in {*stored} - {"schema_version", "hash", "layout"}}
    )


def require_same(asked: Mapping[str, Any], stored: Mapping[str, Any], where: str, rebuild: str) -> None:
    """Raise an error unless two sets of settings have the same hash.

    Args:
        asked: Requested settings with their ``hash``, as :meth:`Settings.to_json` returns them.
        stored: Settings of the stored data with their ``hash``.
        where: Name of the stored data, with which the message begins.
        rebuild: Sentence that says what to do, with which the message ends.

    Raises:
        MismatchError: The hashes differ. The message names the first differing keys with both values.
    """
    if stored.get("hash") == asked["hash"]:
        return
    require_current(stored, where, rebuild)
    reasons = few(differences(asked, stored).values()) or "damaged hash"
    raise MismatchError(f"{where} was made with other settings ({reasons}). {rebuild}")


def require_current(stored: Mapping[str, Any], where: str, remedy: str) -> None:
    """Raise an error if a version of shapecnn made the data that gives other pixels or cells for the same settings.

    Args:
        stored: Settings of the stored data, with ``drawing`` or ``filling``. Imported data has neither and passes.
        where: Name of the stored data, with which the message begins.
        remedy: Sentence that says what to do, with which the message ends.

    Raises:
        MismatchError: ``drawing`` or ``filling`` differs from that of this version.
    """
    for key, current in {**ViewSettings().version(), **VoxelSettings().version()}.items():
        version = stored.get(key)
        if type(version) is not int or version == current:
            continue
        if version > current:
            program = "a later version of shapecnn"
        else:
            program = "an earlier version of shapecnn, which cut concave polygons into wrong triangles"
        raise MismatchError(f"{where} was made by {program} ({key} is {version} there and {current} here). {remedy}")
