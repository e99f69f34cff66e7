"""Compute views, grids and engineered descriptors from a mesh, in a worker process."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh
from shapecnn.settings.networks import DescriptorName
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings


def draw_mesh(mesh: Mesh, settings: ViewSettings | VoxelSettings) -> NDArray[np.uint8]:
    """Render or voxelize a normalized mesh.

    Args:
        mesh: Mesh with z up, centred, of radius 1.
        settings: Settings of the views or grids.

    Returns:
        V views (V, S, S) of S pixels a side, values 0 to 255; or R rotations of a grid (R, N, N, N) of N cells a side,
        values 0 and 1.

    Raises:
        MeshError: The mesh cannot be rendered or voxelized.
    """
    if isinstance(settings, ViewSettings):
        from shapecnn.views import render_views

        return render_views(mesh, settings)
    from shapecnn.voxels import occupancy_grids

    return np.stack(list(occupancy_grids(mesh, settings))).view(np.uint8)


class MeshDescriptor(NamedTuple):
    """Engineered descriptor that a model computes of each mesh, in addition to the feature of its network.

    Attributes:
        name: Name of the descriptor, such as ``sph``.
        settings: Settings of the views or grids that the descriptor is computed from.
    """

    name: DescriptorName
    settings: ViewSettings | VoxelSettings

    def of(self, mesh: Mesh) -> NDArray[np.float32]:
        """Compute the descriptor of a normalized mesh.

        Args:
            mesh: Mesh with z up, centred, of radius 1.

        Returns:
            (D,) float32, the D values of the descriptor.

        Raises:
            MeshError: The mesh cannot be rendered or voxelized.
        """
        from shapecnn.descriptors import describe

        return describe(self.name, draw_mesh(mesh, self.settings))
