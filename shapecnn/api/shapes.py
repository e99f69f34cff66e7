"""One mesh: read, drawn into views, filled into a grid."""

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
from shapecnn.views import contact_sheet, render_views
from shapecnn.views.cameras import cameras
from shapecnn.voxels import binvox, occupancy_grids

_SIDE = 160  # pixels of a grid in a notebook


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Views of a mesh; a notebook shows them as a contact sheet.

    Attributes:
        pictures: (V, S, S) uint8, grey from 0 to 255; 255 where there is nothing.
        settings: How they were drawn.
    """

    pictures: NDArray[np.uint8]
    settings: ViewSettings

    def __len__(self) -> int:
        """Return V, the number of views."""
        return len(self.pictures)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Return the views one after the other, (S, S) each."""
        return iter(self.pictures)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        """Return one view, (S, S)."""
        picture: NDArray[np.uint8] = self.pictures[number]
        return picture

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return (V, S, S), so that numpy takes the views as an array."""
        return np.array(self.pictures, dtype=dtype, copy=copy is not False)

    def __repr__(self) -> str:
        """Return count and size."""
        return f"<Views: {len(self.pictures)} of {self.pictures.shape[1]} × {self.pictures.shape[2]} pixels>"

    @property
    def azimuths(self) -> NDArray[np.float64]:
        """(V,) degrees from 0 to 360, counter-clockwise from +x as seen from above."""
        return cameras(len(self.pictures)).azimuths

    @property
    def elevations(self) -> NDArray[np.float64]:
        """(V,) degrees from -90 to 90 above the horizon."""
        return cameras(len(self.pictures)).elevations

    def save(self, path: str | Path) -> None:
        """Write the contact sheet as a PNG file.

        Args:
            path: File to write; one that is there is replaced.
        """
        Path(path).write_bytes(self._repr_png_())

    def _repr_png_(self) -> bytes:
        return encode_png(contact_sheet(self.pictures))


@dataclass(frozen=True, slots=True, eq=False)
class Grids:
    """Occupancy grids of a mesh, one for each rotation; a notebook shows them as pictures.

    Attributes:
        occupancy: (R, N, N, N) bool, indexed [rotation, x, y, z] with z up.
        settings: How they were filled.
    """

    occupancy: NDArray[np.bool_]
    settings: VoxelSettings

    def __len__(self) -> int:
        """Return R, the number of rotations."""
        return len(self.occupancy)

    def __iter__(self) -> Iterator[NDArray[np.bool_]]:
        """Return the grids one after the other, (N, N, N) each."""
        return iter(self.occupancy)

    def __getitem__(self, number: int) -> NDArray[np.bool_]:
        """Return the grid of one rotation, (N, N, N)."""
        grid: NDArray[np.bool_] = self.occupancy[number]
        return grid

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return (R, N, N, N), so that numpy takes the grids as an array."""
        return np.array(self.occupancy, dtype=dtype, copy=copy is not False)

    def __repr__(self) -> str:
        """Return count, size and the share of cells that are filled."""
        side, share = self.occupancy.shape[1], float(self.occupancy.mean())
        return f"<Grids: {len(self.occupancy)} of {side} × {side} × {side} cells, {share:.1%} filled>"

    def save(self, path: str | Path, rotation: int = 0) -> None:
        """Write one grid as a binvox file.

        Args:
            path: File to write; one that is there is replaced.
            rotation: Number of the grid.
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
        up: Axis that points up in it; it becomes +z.
        limit: How many faces it may have, and whether it is simplified if it has more.

    Returns:
        The mesh: ``vertices`` (n, 3) float64 and ``faces`` (m, 3) int32.

    Raises:
        MeshError: It cannot be used.
        UsageError: It is not a mesh.

    Example:
        >>> import shapecnn
        >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
        >>> mesh = shapecnn.load_mesh((corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]))
        >>> mesh.vertices.shape, mesh.faces.shape
        ((4, 3), (4, 3))
    """
    return require_mesh(mesh, up, limit)


def draw_views(mesh: MeshSource, settings: ViewSettings | None = None) -> Views:
    """Draw a mesh from cameras around it.

    Args:
        mesh: A mesh as :func:`load_mesh` takes it, or what that returned.
        settings: How to draw it; by default 12 views of 224 × 224 pixels.

    Raises:
        MeshError: The mesh cannot be used.
        MissingLibraryError: The renderer that the settings name does not load.

    Example:
        >>> import shapecnn
        >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
        >>> tetrahedron = corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
        >>> shapecnn.draw_views(tetrahedron, shapecnn.ViewSettings(views=6, size=64))
        <Views: 6 of 64 × 64 pixels>
    """
    settings = settings or ViewSettings()
    return Views(render_views(require_mesh(mesh, settings.up, _limit(settings)), settings), settings)


def voxelize(mesh: MeshSource, settings: VoxelSettings | None = None) -> Grids:
    """Fill a mesh into occupancy grids.

    Args:
        mesh: A mesh as :func:`load_mesh` takes it, or what that returned.
        settings: How to fill it; by default one solid grid of 30 × 30 × 30 cells.

    Raises:
        MeshError: The mesh cannot be used.

    Example:
        >>> import shapecnn
        >>> corners = [(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
        >>> tetrahedron = corners, [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
        >>> shapecnn.voxelize(tetrahedron).occupancy.shape
        (1, 30, 30, 30)
    """
    settings = settings or VoxelSettings()
    return Grids(occupancy_grids(require_mesh(mesh, settings.up, _limit(settings)), settings), settings)


def _limit(settings: ViewSettings | VoxelSettings) -> FaceLimit:
    return FaceLimit(settings.simplify, simplify=True) if settings.simplify else NO_LIMIT
