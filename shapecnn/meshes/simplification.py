"""Reduce the number of faces of a mesh to a limit, with the package fast-simplification.

The method is edge collapse with quadric error metrics (Garland & Heckbert, "Surface Simplification Using Quadric Error
Metrics", SIGGRAPH 1997), which needs half a kilobyte of memory per face. To save memory, a mesh of more than
1.5 million faces is first reduced by vertex clustering (Rossignac & Borrel, "Multi-Resolution 3D Approximations for
Rendering Complex Scenes", 1993).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError

_COLLAPSED = 1_500_000  # most faces given to edge collapse, which then needs 2 GB of memory for a file of 500 MB
_COARSEST = 16  # cells along half a side of the coarsest grid: coarser cells would merge the parts of a shape
_LEAST_AREA = 0.5  # least area of the result, as a fraction of the original area; edge collapse keeps nearly all area


def simplify(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Reduce a mesh to at most ``most`` faces; the same input gives the same output, bit for bit.

    Vertices with equal coordinates are merged first, because edge collapse needs triangles that share vertices.

    Args:
        vertices: Coordinates of the n vertices, (n, 3) float64.
        faces: Vertex indices of the m triangles, (m, 3) int32.
        most: Largest number of faces of the result.

    Returns:
        The n' vertices, (n', 3) float64, and the m' ≤ ``most`` faces, (m', 3), of the simplified mesh.

    Raises:
        MeshError: The mesh cannot be reduced to ``most`` faces, or would lose more than half of its area, as happens
            with unconnected triangles.
    """
    import fast_simplification

    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    points = vertices - centre
    scale = float(max(points.max(), -points.min()))  # fast-simplification has thresholds in absolute units
    points /= scale
    points, faces = _weld(points, faces)
    area = _area(points, faces)
    count = len(faces)
    points, faces = _cluster(points, faces, max(most, _COLLAPSED))
    if len(faces) > most:
        points, faces = fast_simplification.simplify(points, faces, target_count=most)
    if len(faces) > most:
        raise _error(count, f"edge collapse cannot get below {len(faces)} faces")
    if _area(points, faces) < _LEAST_AREA * area:
        raise _error(count, "the mesh would lose more than half of its area")
    return points * scale + centre, faces


def _error(count: int, why: str) -> MeshError:
    return MeshError(
        "too-large", f"a mesh of {count} faces cannot be simplified to the limit, because {why}: raise --max-faces"
    )


def _weld(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Merge vertices with equal coordinates; return the vertices and the faces with new vertex indices."""
    order = np.lexsort(vertices.T)
    first = np.ones(len(vertices), bool)
    first[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(axis=1)
    place = np.empty(len(vertices), np.int32)
    place[order] = np.cumsum(first, dtype=np.int32) - 1
    return vertices[order[first]], place[faces]


def _cluster(
    points: NDArray[np.float64], faces: NDArray[np.int32], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Merge the vertices in each cell of a grid into their mean; repeat with larger cells to reach ``most`` faces.

    The coordinates of the vertices lie within [-1, 1]. The number of faces may stay above ``most`` even on the coarsest
    grid, because triangles larger than a cell do not vanish.
    """
    cells = 4096.0
    while len(faces) > most and cells > _COARSEST:
        cells /= 2**0.5
        keys = np.floor(points * cells).astype(np.int64) @ np.array([1 << 40, 1 << 20, 1])
        _, place, count = np.unique(keys, return_inverse=True, return_counts=True)
        points = np.stack([np.bincount(place, column) / count for column in points.T], axis=1)
        faces = place.astype(np.int32)[faces]
        a, b, c = faces.T
        faces = faces[(a != b) & (b != c) & (c != a)]
    return points, faces


def _area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    """Return the total area of all faces of a mesh."""
    total = 0.0
    for part in np.array_split(faces, 1 + len(faces) // 65536):  # in parts, to bound memory
        a, b, c = vertices[part].swapaxes(0, 1)
        total += float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    return total
