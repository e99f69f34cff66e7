"""Input of a model: views or voxel grids of a shape, read from disk or computed from a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import MismatchError
from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.source import MeshInput, load_mesh_input
from shapecnn.models.drawing import MeshDescriptor, draw_mesh
from shapecnn.settings.base import differences, options, settings_hash
from shapecnn.settings.networks import InputKind
from shapecnn.settings.views_and_grids import (
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

InputArray = NDArray[np.uint8]
"""Input of a network for one shape: views or grids, uint8.

Views are (V, S, S): V grey pictures of S pixels a side, values 0 to 255.
Grids are (R, N, N, N): R rotations of N cells a side, values 0 and 1, indexed [rotation, x, y, z] with z up.
"""

_COUNTS = {
    "views",
    "rotations",
}  # settings that may differ from training: most networks pool over any number of views or rotations


class Prepared(NamedTuple):
    """What a worker process computes of one mesh for a model.

    Attributes:
        array: Views or grids for the network; see :data:`InputArray`.
        descriptor: (D,) float32, the descriptor that the model joins with the feature of its network; None for a model
            that joins none.
    """

    array: InputArray
    descriptor: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Input:
    """Kind and settings of the views or grids that a network expects.

    Attributes:
        settings: Settings of the views or grids that the network was trained on; the value of ``up`` is not used.
        turns: Number of rotations about z (1, 2 or 4) that are computed for a shape with a single stored grid. The
            network pools over all rotations.
        neighbours: Whether the network reads each view together with its neighbours. The number of views is then that
            of training, because it decides how far neighbours are apart.
        adjustable: Settings that the user can change with ``--set``, to use artefacts with other settings.
        joined: Descriptor that is computed of each mesh as well; None except for the model of a joined index.
    """

    settings: InputSettings
    turns: int = 1
    neighbours: bool = False
    adjustable: frozenset[str] = field(default=frozenset(), compare=False)
    joined: MeshDescriptor | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any], turns: int = 1, *, neighbours: bool = False) -> Input:
        """Build an :class:`Input` from settings that were read from JSON.

        Args:
            stored: Content of ``settings.json`` of a folder of views or grids, or a value of :meth:`to_json`.
            turns: Number of rotations about z that are computed for a shape with a single stored grid: 1, 2 or 4.
            neighbours: Whether the network reads each view together with its neighbours.

        Raises:
            UsageError: A setting is unknown or has an invalid value.
        """
        return cls(input_settings({key: value for key, value in stored.items() if key != "up"}), turns, neighbours)

    def to_json(self) -> dict[str, Any]:
        """Return all settings except ``up`` as a JSON object, in which the key ``hash`` has the hash of the others."""
        values = self.settings.model_dump(mode="json", exclude={"up"})
        return {**values, "hash": settings_hash(values)}

    @property
    def kind(self) -> InputKind:
        """Kind of the network input: ``views`` or ``voxels``."""
        return self.settings.kind

    @property
    def side(self) -> int:
        """Number of pixels along one side of a view, or of cells along one side of a grid."""
        settings = self.settings
        return settings.size if isinstance(settings, ViewSettings | ImportedViewSettings) else settings.resolution

    @property
    def imported(self) -> bool:
        """Whether the network was trained on imported views or grids, which another program has made."""
        return isinstance(self.settings, ImportedViewSettings | ImportedVoxelSettings)

    def note(self, name: str) -> str:
        """Return a note for the user: meshes may look different from the imported training data of the model.

        Args:
            name: Name of the model, which the note contains.
        """
        how = "rendered with shapecnn's own camera and shading" if self.kind == "views" else "voxelized by shapecnn"
        return (
            f"Note: {name} was trained on imported {self.kind}. Meshes are {how}, and may look different from the "
            f"training data."
        )

    def require(self, artefacts: Artefacts, name: str = "the model") -> None:
        """Raise MismatchError unless views or grids have the same settings as the training data of the network.

        The number of views or rotations may differ, unless the network reads neighbouring views.

        Args:
            artefacts: Opened folder of views or grids.
            name: Name of the model, for the message.

        Raises:
            MismatchError: A setting differs.
        """
        ignored = {"up"} if self.neighbours else {"up", *_COUNTS}
        here, there = (
            each.settings.model_dump(mode="json", exclude=ignored) for each in (self, Input.of(artefacts.settings))
        )
        different = differences(here, there)
        if not different:
            return
        text = ", ".join(different.values())
        if different.keys() <= self.adjustable - {"kind"}:
            settings = " ".join(f"--set {key}={there.get(key)}" for key in different)
            raise MismatchError(
                f"{artefacts.folder} was made with other settings than {name} expects ({text}). "
                f"To use these artefacts: {settings}"
            )
        verb = "expects" if name.startswith("@") else "was trained on"
        raise MismatchError(
            f"{artefacts.folder} was made with other settings than {name} {verb} ({text}). {self.remedy()}"
        )

    def remedy(self) -> str:
        """Return advice for the user: the command that makes views or grids with the settings of this network."""
        if self.imported:
            return "Import artefacts made like the training data: shapecnn data import SRC OUT --layout LAYOUT"
        defaults = ViewSettings() if self.kind == "views" else VoxelSettings()
        values = self.settings.model_dump()
        changed = [
            key for key, value in values.items() if key not in ("kind", "up") and value != getattr(defaults, key)
        ]
        command = "render" if self.kind == "views" else "voxelize"
        return f"To make matching artefacts: shapecnn {command} COLLECTION OUT {options(values, changed)}".rstrip()

    def require_orientation(self, asked: Orientation | None, name: str) -> None:
        """Raise MismatchError if the option ``--orientation`` differs from the orientation that the model uses.

        Args:
            asked: Value of the option, ``upright`` or ``auto``; None if the user did not set the option.
            name: Name of the model, for the message.

        Raises:
            MismatchError: The model uses the other orientation.
        """
        orientation = self.drawing().orientation
        if asked not in (None, orientation):
            command = "render" if self.kind == "views" else "voxelize"
            raise MismatchError(
                f"{name} uses --orientation {orientation}, not {asked}. Leave the option out, or use a model that was "
                f"trained on artefacts of `shapecnn {command} --orientation {asked}`."
            )

    def read(self, artefacts: Artefacts, entry: Entry) -> InputArray:
        """Read the views or grids of one shape from disk.

        Args:
            artefacts: Opened folder of views or grids.
            entry: Row of the manifest for the shape.

        Returns:
            Views or grids; see :data:`InputArray`.

        Raises:
            StoredDataError: The files of the shape are missing or damaged.
            UsageError: The folder contains grids but the network expects views, or the folder contains views but the
                network expects grids.
        """
        if self.kind == "views":
            return artefacts.pictures(entry)
        return self._turned(artefacts.grids(entry).view(np.uint8))

    def load(self, mesh: MeshInput, up: Up, limit: FaceLimit) -> Prepared:
        """Read a mesh, and compute what the model needs of it.

        Args:
            mesh: Path of the mesh file, or arrays of vertices and faces.
            up: Axis of the mesh that points up.
            limit: Largest number of faces, and whether larger meshes are simplified. If ``limit.simplify`` is False
                but the training meshes were simplified, this mesh is simplified in the same way.

        Returns:
            Views or grids, and the descriptor if the model joins one.

        Raises:
            MeshError: The mesh cannot be read, rendered or voxelized.
        """
        trained = self.drawing().simplify
        if trained is not None and not limit.simplify:
            limit = FaceLimit(trained, simplify=True)
        return self.prepare(load_mesh_input(mesh, up, limit))

    def prepare(self, mesh: Mesh) -> Prepared:
        """Compute what the model needs of a normalized mesh: views or grids, and the descriptor if it joins one.

        Args:
            mesh: Mesh with z up, centred, of radius 1.

        Raises:
            MeshError: The mesh cannot be rendered or voxelized.
        """
        return Prepared(self.draw(mesh), self.joined and self.joined.of(mesh))

    def draw(self, mesh: Mesh) -> InputArray:
        """Render or voxelize a normalized mesh for this network.

        Args:
            mesh: Mesh with z up, centred, of radius 1.

        Returns:
            Views or grids; see :data:`InputArray`.

        Raises:
            MeshError: The mesh cannot be rendered or voxelized.
        """
        array = draw_mesh(mesh, self.drawing())
        return array if self.kind == "views" else self._turned(array)

    def drawing(self, up: Up = "z", simplify: int | None = None) -> ViewSettings | VoxelSettings:
        """Return the settings for rendering or voxelizing a mesh for this network.

        For a network trained on imported views or grids, only their size and number are known; all other settings
        are defaults.

        Args:
            up: Axis of the mesh that points up.
            simplify: Number of faces to which larger meshes are simplified; None for the number used in training.
        """
        match self.settings:
            case ImportedViewSettings(views=views, size=size):
                return ViewSettings(views=views, size=size, up=up, simplify=simplify)
            case ImportedVoxelSettings(resolution=resolution):
                padding = min(3, (resolution - 1) // 2)
                return VoxelSettings(resolution=resolution, padding=padding, up=up, simplify=simplify)
            case settings:
                return settings.model_copy(update={"up": up, "simplify": simplify or settings.simplify})

    def _turned(self, grids: InputArray) -> InputArray:
        if len(grids) == 1 and self.turns > 1:
            step = 4 // self.turns
            grids = np.concatenate([np.rot90(grids, step * turn, axes=(1, 2)) for turn in range(self.turns)])
        return grids
