"""Network input: views or grids of a shape, read from artefacts or made from a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import MismatchError
from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.source import MeshInput, load_mesh_input
from shapecnn.settings.artefacts import (
    FaceLimit,
    ImportedViewSettings,
    ImportedVoxelSettings,
    InputSettings,
    Orientation,
    Up,
    ViewSettings,
    VoxelSettings,
    input_settings,
)
from shapecnn.settings.core import Settings, differences, options, settings_hash

InputArray = NDArray[np.uint8]
"""Views (V, S, S), grey from 0 to 255, or grids (R, N, N, N) of 0 and 1, [rotation, x, y, z] with z up."""

_COUNTS = {"views", "rotations"}  # networks pool over any number of them


@dataclass(frozen=True, slots=True)
class Input:
    """Kind and settings of the views or grids that a network takes.

    Attributes:
        settings: Settings of the artefacts that it was trained on; their ``up`` is not used.
        turns: 1, 2 or 4: number of rotations about z in which the network takes a single grid, to pool over them.
    """

    settings: InputSettings
    turns: int = 1

    @classmethod
    def of(cls, stored: Mapping[str, Any], turns: int = 1) -> Input:
        """Return the input that stored settings describe.

        Args:
            stored: ``settings.json`` of artefacts, or the value of :meth:`to_json`.
            turns: 1, 2 or 4: number of rotations of a single grid.

        Raises:
            UsageError: The settings are not valid.
        """
        return cls(input_settings({key: value for key, value in stored.items() if key != "up"}), turns)

    def to_json(self) -> dict[str, Any]:
        """Return the settings without ``up``, with a ``hash`` of them."""
        values = self.settings.model_dump(mode="json", exclude={"up"})
        return {**values, "hash": settings_hash(values)}

    @property
    def kind(self) -> str:
        """Kind of the artefacts: ``views`` or ``voxels``."""
        return self.settings.kind

    @property
    def side(self) -> int:
        """Number of pixels or cells along one side."""
        settings = self.settings
        return settings.size if isinstance(settings, ViewSettings | ImportedViewSettings) else settings.resolution

    @property
    def imported(self) -> bool:
        """Whether the network was trained on imported artefacts, which another program made."""
        return isinstance(self.settings, ImportedViewSettings | ImportedVoxelSettings)

    def note(self, name: str) -> str:
        """Return a note for users of a model that was trained on imported artefacts.

        Args:
            name: Name of the model.
        """
        how = "drawn by shapecnn's own camera and shading" if self.kind == "views" else "filled by shapecnn"
        return (
            f"Note: {name} was trained on {self.kind} that others made. Meshes are {how}, which may differ from how "
            f"those were made."
        )

    def require(self, artefacts: Artefacts, name: str = "the model") -> None:
        """Raise an error unless artefacts have the settings that the network was trained on.

        The number of views or rotations may differ: networks pool over any number.

        Args:
            artefacts: Folder of views or grids.
            name: Name of the model, for the message.

        Raises:
            MismatchError: Another setting differs.
        """
        here, there = (_compared(i.settings) for i in (self, Input.of(artefacts.settings)))
        different = differences(here, there)
        if not different:
            return
        text = ", ".join(different.values())
        if name.startswith("@") and not different.keys() & {"origin", "kind"}:
            settings = " ".join(f"--set {key}={there.get(key)}" for key in different)
            raise MismatchError(
                f"{artefacts.folder} was made with other settings than {name} takes ({text}). To use these artefacts: "
                f"{settings}"
            )
        verb = "takes" if name.startswith("@") else "was trained on"
        raise MismatchError(
            f"{artefacts.folder} was made with other settings than {name} {verb} ({text}). {self.remedy()}"
        )

    def remedy(self) -> str:
        """Return a sentence with the command that makes artefacts for this network."""
        if self.imported:
            return (
                "Import artefacts that were made like its training data: shapecnn data import SRC OUT --layout LAYOUT"
            )
        defaults = ViewSettings() if self.kind == "views" else VoxelSettings()
        values = self.settings.model_dump()
        changed = [
            key for key, value in values.items() if key not in ("kind", "up") and value != getattr(defaults, key)
        ]
        command = "render" if self.kind == "views" else "voxelize"
        return f"To make matching ones: shapecnn {command} COLLECTION OUT {options(values, changed)}".rstrip()

    def require_orientation(self, asked: Orientation | None, name: str) -> None:
        """Raise an error if an orientation is asked for that the model does not use.

        Args:
            asked: ``upright`` or ``auto``; None if none was asked for.
            name: Name of the model, for the message.

        Raises:
            MismatchError: The model uses another one.
        """
        orientation = self.drawing().orientation
        if asked not in (None, orientation):
            command = "render" if self.kind == "views" else "voxelize"
            raise MismatchError(
                f"{name} takes meshes with --orientation {orientation}, not {asked}. Leave the option out, or use a "
                f"model for artefacts of `shapecnn {command} --orientation {asked}`."
            )

    def read(self, artefacts: Artefacts, entry: Entry) -> InputArray:
        """Read the views or grids of one shape from artefacts.

        Args:
            artefacts: Folder of views or grids.
            entry: Row of its manifest.

        Returns:
            Views (V, S, S) or grids (R, N, N, N), uint8.

        Raises:
            StoredDataError: They are missing or damaged.
            UsageError: The artefacts are of the other kind.
        """
        if self.kind == "views":
            return artefacts.pictures(entry)
        return self._turned(artefacts.grids(entry))

    def load(self, mesh: MeshInput, up: Up, limit: FaceLimit) -> InputArray:
        """Read a mesh, and draw or fill it.

        Args:
            mesh: Path of its file, or its arrays.
            up: Axis that points up in it.
            limit: How many faces it may have. Where it does not simplify, the mesh is simplified as the training
                meshes were.

        Returns:
            Views (V, S, S) or grids (R, N, N, N), uint8.

        Raises:
            MeshError: The mesh cannot be used.
        """
        trained = self.drawing().simplify
        if trained is not None and not limit.simplify:
            limit = FaceLimit(trained, simplify=True)
        return self.draw(load_mesh_input(mesh, up, limit))

    def draw(self, mesh: Mesh) -> InputArray:
        """Draw or fill a normalized mesh.

        Args:
            mesh: Mesh with z up, centred, of radius 1.

        Returns:
            Views (V, S, S) or grids (R, N, N, N), uint8.

        Raises:
            MeshError: The mesh cannot be drawn or filled.
        """
        settings = self.drawing()
        if isinstance(settings, ViewSettings):
            from shapecnn.views import render_views

            return render_views(mesh, settings)
        from shapecnn.voxels import occupancy_grids

        return self._turned(np.stack(list(occupancy_grids(mesh, settings))))

    def drawing(self, up: Up = "z", simplify: int | None = None) -> ViewSettings | VoxelSettings:
        """Return the settings to draw or fill a mesh with for this network.

        For imported artefacts these are shapecnn's defaults with their size, as how they were made is unknown.

        Args:
            up: Axis that points up in the mesh.
            simplify: Number of faces that larger meshes are simplified to; None: as for the training artefacts.
        """
        match self.settings:
            case ImportedViewSettings(views=views, size=size):
                return ViewSettings(views=views, size=size, up=up, simplify=simplify)
            case ImportedVoxelSettings(resolution=resolution):
                padding = min(3, (resolution - 1) // 2)
                return VoxelSettings(resolution=resolution, padding=padding, up=up, simplify=simplify)
            case settings:
                return settings.model_copy(update={"up": up, "simplify": simplify or settings.simplify})

    def _turned(self, grids: NDArray[np.bool_]) -> InputArray:
        if len(grids) == 1 and self.turns > 1:
            step = 4 // self.turns
            grids = np.concatenate([np.rot90(grids, step * turn, axes=(1, 2)) for turn in range(self.turns)])
        return grids.view(np.uint8)


def _compared(settings: Settings) -> dict[str, Any]:
    return {key: value for key, value in settings.model_dump(mode="json").items() if key != "up" and key not in _COUNTS}
