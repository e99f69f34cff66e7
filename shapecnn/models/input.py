"""What a network sees of a shape: pictures or grids, from artefacts or straight from a mesh."""

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
"""(V, S, S) grey pictures, or (R, N, N, N) grids of 0 and 1."""

_COUNTS = {"views", "rotations"}  # networks pool over any number of them


@dataclass(frozen=True, slots=True)
class Input:
    """settings: those of the artefacts; ``up`` says nothing here.  turns: quarter turns about z that a single grid is
    shown in, to vote."""

    settings: InputSettings
    turns: int = 1

    @classmethod
    def of(cls, stored: Mapping[str, Any], turns: int = 1) -> Input:
        """That of artefacts with this ``settings.json``, or as :meth:`to_json` gave it.  Raises UsageError."""
        return cls(input_settings({key: value for key, value in stored.items() if key != "up"}), turns)

    def to_json(self) -> dict[str, Any]:
        """The settings that a network was trained on, and their hash; which axis was up in the meshes is none."""
        values = self.settings.model_dump(mode="json", exclude={"up"})
        return {**values, "hash": settings_hash(values)}

    @property
    def kind(self) -> str:
        """views or voxels."""
        return self.settings.kind

    @property
    def side(self) -> int:
        """Pixels or cells along one side."""
        settings = self.settings
        return settings.size if isinstance(settings, ViewSettings | ImportedViewSettings) else settings.resolution

    @property
    def imported(self) -> bool:
        """Whether others made what the network was trained on."""
        return isinstance(self.settings, ImportedViewSettings | ImportedVoxelSettings)

    def note(self, name: str) -> str:
        """Return the note that meshes cannot be shown to a model as its imported training data was made.

        Args:
            name: Name of the model.
        """
        how = "drawn by shapecnn's own camera and shading" if self.kind == "views" else "filled by shapecnn"
        return (
            f"Note: {name} was trained on {self.kind} that others made. Meshes are {how}, which may differ from how "
            f"those were made."
        )

    def require(self, artefacts: Artefacts, name: str = "the model") -> None:
        """Raise MismatchError unless the artefacts were made like those the network was trained on.

        The number of views or rotations may differ: networks pool over any number.
        """
        here, there = (_compared(i.settings) for i in (self, Input.of(artefacts.settings)))
        found = differences(here, there)
        if not found:
            return
        told = ", ".join(found.values())
        if name.startswith("@") and not found.keys() & {"origin", "kind"}:
            alike = " ".join(f"--set {key}={there.get(key)}" for key in found)
            raise MismatchError(
                f"{artefacts.folder} was made with other settings than {name} sees ({told}). To see what is there: "
                f"{alike}"
            )
        knows = "sees" if name.startswith("@") else "was trained on"
        raise MismatchError(
            f"{artefacts.folder} was made with other settings than {name} {knows} ({told}). {self.remedy()}"
        )

    def remedy(self) -> str:
        """The sentence that tells how to make artefacts for this network."""
        if self.imported:
            return "Import what was made like its training data: shapecnn data import SRC OUT --layout LAYOUT"
        plain = ViewSettings() if self.kind == "views" else VoxelSettings()
        own = self.settings.model_dump()
        changed = [key for key, value in own.items() if key not in ("kind", "up") and value != getattr(plain, key)]
        command = "render" if self.kind == "views" else "voxelize"
        return f"To make such: shapecnn {command} COLLECTION OUT {options(own, changed)}".rstrip()

    def require_orientation(self, asked: Orientation | None, name: str) -> None:
        """Raise MismatchError if ``asked`` is another orientation than the model ``name`` sees meshes in."""
        own = self.drawing().orientation
        if asked not in (None, own):
            raise MismatchError(
                f"{name} sees meshes with --orientation {own}, and not {asked}: leave the option out, or train or "
                f"index anew with what `shapecnn {'render' if self.kind == 'views' else 'voxelize'} --orientation "
                f"{asked}` makes."
            )

    def read(self, artefacts: Artefacts, entry: Entry) -> InputArray:
        """Pictures or grids of one shape from its artefacts.  Raises StoredDataError, UsageError."""
        if self.kind == "views":
            return artefacts.pictures(entry)
        return self._turned(artefacts.grids(entry))

    def load(self, mesh: MeshInput, up: Up, limit: FaceLimit) -> InputArray:
        """Read a mesh, and draw or fill it.

        Args:
            mesh: Path of its file, or its arrays.
            up: Axis that points up in it.
            limit: How many faces it may have. Unless it says how, the mesh is simplified as the training meshes were.

        Raises:
            MeshError: The mesh cannot be used.
        """
        trained = self.drawing().simplify
        if trained is not None and not limit.simplify:
            limit = FaceLimit(trained, simplify=True)
        return self.draw(load_mesh_input(mesh, up, limit))

    def draw(self, mesh: Mesh) -> InputArray:
        """Pictures or grids of a normalized mesh.  Raises MeshError."""
        settings = self.drawing()
        if isinstance(settings, ViewSettings):
            from shapecnn.views import render_views

            return render_views(mesh, settings)
        from shapecnn.voxels import occupancy_grids

        return self._turned(np.stack(list(occupancy_grids(mesh, settings))))

    def drawing(self, up: Up = "z", simplify: int | None = None) -> ViewSettings | VoxelSettings:
        """How a mesh is drawn or filled for this network; ``simplify`` replaces that of what it was trained on.

        For a network trained on what others made that is our own way with their size, which is as near as we know.
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
