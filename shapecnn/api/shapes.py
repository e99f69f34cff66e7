"""Read one mesh, draw its views, and voxelize it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.prepare import encode_png
from shapecnn.meshes.mesh import Mesh
from shapecnn.meshes.source import MeshSource, require_mesh
from shapecnn.report.grids import draw_grid
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Up, ViewSettings, VoxelSettings
from shapecnn.shared.checks import require_settings
from shapecnn.views import contact_sheet, render_views
from shapecnn.views.cameras import cameras_of
from shapecnn.voxels import binvox, occupancy_grids

_SIDE = 160  # width and height in pixels of the picture of a grid in a notebook


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Rendered views of one mesh; a notebook shows the views as a contact sheet.

    Attributes:
        pictures: (V, S, S) uint8, V grey pictures of S × S pixels; 255 is the background.
        settings: Settings that the views were drawn with.
    """

    pictures: NDArray[np.uint8]
    settings: ViewSettings

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self.pictures)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Iterate over the views, each a grey picture of S × S pixels."""
        return iter(self.pictures)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        """Return one view by its number, from 0: a grey picture of S × S pixels."""
        picture: NDArray[np.uint8] = self.pictures[number]
        return picture

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Convert the views to a numpy array, (V, S, S): V views of S × S pixels."""
        return np.array(self.pictures, dtype=dtype, copy=copy is not False)

    def __repr__(self) -> str:
        """Return the number and the size of the views, for display."""
        return f"<Views: {len(self.pictures)} of {self.pictures.shape[1]} × {self.pictures.shape[2]} pixels>"

    @property
    def azimuths(self) -> NDArray[np.float64]:
        """Camera azimuths of the V views, (V,): degrees from 0 to 360, counter-clockwise from +x as seen from above."""
        return cameras_of(self.settings).azimuths

    @property
    def elevations(self) -> NDArray[np.float64]:
        """Camera elevations of the V views, (V,): degrees above the horizon, from -90 to 90."""
        return cameras_of(self.settings).elevations

    def save(self, path: str | Path) -> None:
        """Write all views as one contact sheet in a PNG file.

        Args:
            path: File to write; an existing file is replaced.
        """
        Path(path).write_bytes(self._repr_png_())

    def _repr_png_(self) -> bytes:
        return encode_png(contact_sheet(self.pictures))


@dataclass(frozen=True, slots=True, eq=False)
class Grids:
    """Occupancy grids of one mesh, one grid for each rotation about the up axis; a notebook shows a picture of each.

    Attributes:
        occupancy: (R, N, N, N) bool, R rotations of N × N × N cells, indexed [rotation, x, y, z] with z up.
        settings: Settings that the grids were filled with.
    """

    occupancy: NDArray[np.bool_]
    settings: VoxelSettings

    def __len__(self) -> int:
        """Return the number of rotations, which is the number of grids."""
        return len(self.occupancy)

    def __iter__(self) -> Iterator[NDArray[np.bool_]]:
        """Iterate over the grids, each an array of N × N × N cells."""
        return iter(self.occupancy)

    def __getitem__(self, number: int) -> NDArray[np.bool_]:
        """Return the grid of one rotation by its number, from 0: an array of N × N × N cells."""
        grid: NDArray[np.bool_] = self.occupancy[number]
        return grid

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Convert the grids to a numpy array, (R, N, N, N): R rotations of N × N × N cells."""
        return np.array(self.occupancy, dtype=dtype, copy=copy is not False)

    def __repr__(self) -> str:
        """Return the number and the size of the grids and the fraction of filled cells, for display."""
        side, share = self.occupancy.shape[1], float(self.occupancy.mean())
        return f"<Grids: {len(self.occupancy)} of {side} × {side} × {side} cells, {share:.1%} filled>"

    def save(self, path: str | Path, rotation: int = 0) -> None:
        """Write one grid as a binvox file.

        Args:
            path: File to write; an existing file is replaced.
            rotation: Number of the rotation, from 0.
        """
        Path(path).write_bytes(binvox.write(self.occupancy[rotation]))

    def _repr_png_(self) -> bytes:
        pictures = [draw_grid(grid.view(np.uint8), _SIDE).grey for grid in self.occupancy]
        return encode_png(np.concatenate(pictures, axis=1))


def load_mesh(mesh: MeshSource, up: Up = "z", limit: FaceLimit = NO_LIMIT) -> Mesh:
    """Read and check a mesh, turn it upright, centre it and scale it to radius 1.

    Args:
        mesh: Path of an OFF, OBJ, STL, PLY, GLB or glTF file, a ``trimesh.Trimesh``, or a pair of arrays (vertices,
            faces).
        up: Axis that points up in the mesh file; it becomes +z.
        limit: Largest number of faces, and whether a larger mesh is simplified or refused.

    Returns:
        The mesh, with n ``vertices`` (n, 3) float64 and m ``faces`` (m, 3) int32.

    Raises:
        MeshError: The mesh cannot be used.
        UsageError: ``mesh`` is not a mesh.

    Example:
        >>> import shapecnn
        >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
        >>> mesh = shapecnn.load_mesh((corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]))
        >>> mesh.vertices.shape, mesh.faces.shape
        ((4, 3), (4, 3))
    """
    return require_mesh(mesh, up, limit)


def draw_views(mesh: MeshSource, settings: ViewSettings | None = None) -> Views:
    """Draw views of a mesh from cameras placed around it.

    Args:
        mesh: Path of a mesh file, mesh in memory, or result of :func:`load_mesh`.
        settings: Settings of the views; None: 12 views of 224 × 224 pixels.

    Returns:
        The views, with the settings that they were drawn with.

    Raises:
        MeshError: The mesh cannot be used.
        MissingLibraryError: A library that the renderer needs cannot be loaded.

    Example:
        >>> import shapecnn
        >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
        >>> tetrahedron = corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
        >>> shapecnn.draw_views(tetrahedron, shapecnn.ViewSettings(views=6, size=64))
        <Views: 6 of 64 × 64 pixels>
    """
    settings = require_settings(settings or ViewSettings(), ViewSettings)
    return Views(render_views(require_mesh(mesh, settings.up, _limit(settings)), settings), settings)


def voxelize(mesh: MeshSource, settings: VoxelSettings | None = None) -> Grids:
    """Voxelize a mesh into occupancy grids.

    Args:
        mesh: Path of a mesh file, mesh in memory, or result of :func:`load_mesh`.
        settings: Settings of the grids; None: one solid grid of 30 × 30 × 30 cells.

    Returns:
        The grids, with the settings that they were filled with.

    Raises:
        MeshError: The mesh cannot be used.

    Example:
        >>> import shapecnn
        >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
        >>> tetrahedron = corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
        >>> shapecnn.voxelize(tetrahedron).occupancy.shape
        (1, 30, 30, 30)
    """
    settings = require_settings(settings or VoxelSettings(), VoxelSettings)
    return Grids(occupancy_grids(require_mesh(mesh, settings.up, _limit(settings)), settings), settings)


def _limit(settings: ViewSettings | VoxelSettings) -> FaceLimit:
    return FaceLimit(settings.simplify, simplify=True) if settings.simplify else NO_LIMIT
