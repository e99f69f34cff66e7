"""Settings of views and voxel grids that shapecnn computed from meshes, or that were imported.

The settings are stored with their hash in ``settings.json``, in the folder of the views or grids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from shapecnn.errors import MismatchError, UsageError, quoted
from shapecnn.settings.base import Settings, Whole, differences, few

Up = Literal["x", "y", "z"]
Fit = Literal["sphere", "view"]
Fill = Literal["solid", "surface"]
Renderer = Literal["raster", "pyrender", "open3d"]
Layout = Literal["sheet", "files"]
Orientation = Literal["upright", "auto"]

FEWEST_FACES = 4  # fewest faces to which a mesh may be simplified: a tetrahedron, the smallest closed mesh
ALL_SIDES = (
    20,
    24,
    80,
)  # with these numbers of views, the cameras are on all sides; otherwise they form a ring around the up axis
MOST_VIEWS = 360  # largest number of views of a shape
SILHOUETTES = 100  # silhouettes of a light field: 10 from each of 10 rotated systems of cameras

ViewCount = Annotated[int, Field(ge=1, le=MOST_VIEWS)]


@dataclass(frozen=True, slots=True)
class FaceLimit:
    """Limit on the number of faces of a mesh. A mesh with more faces is either simplified or refused.

    Attributes:
        most: Largest number of faces; None for no limit.
        simplify: True to simplify a mesh with more faces to ``most`` faces; False to refuse the mesh.
    """

    most: int | None = None
    simplify: bool = False

    @property
    def target(self) -> int | None:
        """Number of faces to which larger meshes are simplified; None if meshes are not simplified."""
        return self.most if self.simplify else None


NO_LIMIT = FaceLimit()


class ReadingSettings(Settings):
    """Settings for reading a mesh file, before the mesh is rendered or voxelized.

    Attributes:
        simplify: Number of faces to which larger meshes are simplified, at least 4; None to keep all faces.
    """

    later: ClassVar[frozenset[str]] = frozenset({"simplify"})

    simplify: int | None = Field(None, ge=FEWEST_FACES)


class DrawingSettings(ReadingSettings):
    """Settings for reading a mesh file and scaling the mesh, before it is rendered or voxelized.

    Attributes:
        keep_scale: Size of a shape that fills the views or the grid, in units of the mesh files: the diameter of the
            sphere around the shape. Smaller shapes are drawn smaller, and larger ones fill the views or the grid too.
            None to scale all shapes to the same size.
    """

    later: ClassVar[frozenset[str]] = ReadingSettings.later | {"keep_scale"}

    keep_scale: float | None = Field(None, gt=0)


def require_one_scale(fit: Fit, keep_scale: float | None) -> None:
    """Raise ValueError if views are to keep the sizes of shapes, and to be cropped to each shape."""
    if fit == "view" and keep_scale is not None:
        raise ValueError("fit view draws all shapes equally large; with keep_scale, use fit sphere")


class Viewpoints(ReadingSettings):
    """Settings of the cameras around a mesh: their number, and whether they form a ring or are on all sides.

    Attributes:
        orientation: ``upright`` does not rotate the mesh. The cameras form a ring around its up axis, or are on all
            sides with 20, 24 or 80 views. ``auto`` is for meshes whose up axis is unknown: the mesh is first rotated to
            canonical axes (:mod:`shapecnn.meshes.orientation`), and the cameras are on all sides.
        views: Number of views, 1 to 360. With orientation ``auto``: 20, 24 or 80. The default is 12, or 24 with
            ``auto``.
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


class ViewSettings(Viewpoints, DrawingSettings):
    """Settings for rendering the views (grey pictures) of a mesh.

    Attributes:
        kind: Always ``views``.
        drawing: Version of the renderers. It increases whenever the same settings result in different pixels.
        size: Pixels along one side of a view, 8 to 4096.
        samples: Samples along one side of a pixel, 1 to 8, for anti-aliasing.
        fit: ``sphere`` scales all views alike, so that the unit sphere fits; ``view`` crops each view to the mesh.
        renderer: ``raster`` (the rasterizer of shapecnn), ``pyrender`` (OpenGL) or ``open3d`` (Embree).
        up: Axis of the mesh file that points up.
        silhouettes: True for the silhouettes of a light field (Chen et al. 2003): 100 pictures in black (0) and white
            (255) from all sides, by parallel projection. Views, size and samples are then 100, 256 and 1 by default;
            views and samples have no other value, and the orientation is ``upright``.
    """

    later: ClassVar[frozenset[str]] = DrawingSettings.later | {"silhouettes"}

    kind: Literal["views"] = "views"
    drawing: Annotated[Literal[2], Whole] = 2
    size: int = Field(224, ge=8, le=4096)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"
    silhouettes: bool = False

    @model_validator(mode="before")
    @classmethod
    def _light_field(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("silhouettes") is not True:
            return values
        only = {"views": SILHOUETTES, "samples": 1, "orientation": "upright"}
        asked = {key: values.get(key, value) for key, value in only.items()}
        wrong = [f"{key} {value}" for key, value in asked.items() if type(value) is int and value != only[key]]
        wrong += ["orientation auto"] if asked["orientation"] == "auto" else []
        if wrong:
            raise ValueError(
                f"silhouettes need views {SILHOUETTES}, samples 1 and orientation upright, not {few(wrong)}"
            )
        return {**only, "size": 256, **values}

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        require_one_scale(self.fit, self.keep_scale)
        return self

    def version(self) -> dict[str, int]:
        """Return the version of the renderers as ``{"drawing": version}``; it changes whenever pixels change."""
        return {"drawing": self.drawing}


class VoxelSettings(DrawingSettings):
    """Settings for voxelizing a mesh to occupancy grids.

    Attributes:
        kind: Always ``voxels``.
        filling: Version of the voxelizer. It increases whenever the same settings result in different cells.
        resolution: Cells along one side of the grid, 1 to 1024.
        padding: Empty cells at both ends of the longest side of the mesh; less than half of ``resolution``.
        fill: ``solid`` also fills the inside of a closed surface; ``surface`` fills only the cells that faces meet.
        rotations: Number of grids of a shape, 1 to 100. For each grid the mesh is turned about z by a further
            360/rotations degrees and fitted into the grid again.
        orientation: ``upright`` does not rotate the mesh; ``auto`` first rotates the mesh to canonical axes.
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
                f"resolution {self.resolution} leaves no cell inside a padding of {self.padding} on both sides; "
                "use a smaller padding"
            )
        return self

    def version(self) -> dict[str, int]:
        """Return the version of the voxelizer as ``{"filling": version}``; it changes whenever cells change."""
        return {"filling": self.filling}


class ImportedViewSettings(Settings):
    """Settings of imported views: grey pictures that another program rendered.

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
    """Settings of imported grids: occupancy grids that another program computed.

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
    """Create the settings of views or grids from their JSON object.

    Args:
        stored: Content of ``settings.json``, or the result of :meth:`Settings.to_json`. The keys ``schema_version``,
            ``hash`` and ``layout`` are ignored.

    Raises:
        UsageError: The combination of kind and origin is unknown, a key is unknown, or a value is not allowed.
    """
    kind, origin = str(stored.get("kind")), str(stored.get("origin", "own"))
    if (kind, origin) not in _KINDS:
        raise UsageError(f"unknown kind of data: kind is {quoted(kind)} and origin is {quoted(origin)}")
    return _KINDS[kind, origin].from_options(
        **{key: stored[key] for key in {*stored} - {"schema_version", "hash", "layout"}}
    )


def require_same(asked: Mapping[str, Any], stored: Mapping[str, Any], where: str, rebuild: str) -> None:
    """Raise MismatchError if stored data was computed with settings that differ from the requested settings.

    Args:
        asked: Requested settings with their ``hash``, as :meth:`Settings.to_json` returns them.
        stored: Settings of the stored data with their ``hash``.
        where: Path or name of the stored data, which begins the message.
        rebuild: Sentence that tells the user what to do, which ends the message.

    Raises:
        MismatchError: The hashes differ. The message names up to 5 differing keys with both values.
    """
    if stored.get("hash") == asked["hash"]:
        return
    require_current(stored, where, rebuild)
    reasons = few(differences(asked, stored).values()) or "the stored hash is wrong"
    raise MismatchError(f"{where} was made with other settings ({reasons}). {rebuild}")


def require_current(stored: Mapping[str, Any], where: str, remedy: str) -> None:
    """Raise MismatchError if the stored data was computed by another version of the renderers or the voxelizer.

    Args:
        stored: Settings of the stored data, with the version ``drawing`` of the renderers or ``filling`` of the
            voxelizer. Imported data has no such version and is accepted.
        where: Path or name of the stored data, which begins the message.
        remedy: Sentence that tells the user what to do, which ends the message.

    Raises:
        MismatchError: The stored version of the renderers or the voxelizer differs from the current version.
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
