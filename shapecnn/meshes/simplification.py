"""A mesh with fewer faces, through fast-simplification: its only door.

Edges are collapsed where that costs least (Garland & Heckbert, "Surface Simplification Using Quadric Error Metrics",
SIGGRAPH 1997). That takes half a kilobyte a face, so of a mesh too large for it vertices near each other are made one
before (Rossignac & Borrel, "Multi-Resolution 3D Approximations for Rendering Complex Scenes", 1993).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError

_COLLAPSED = 1_500_000  # faces, at most: what it can hold within 2 GB, beside a file of 500 MB
_COARSEST = 16  # cells along half a side of a grid that still tells one part of a shape from another
_KEPT = 0.5  # of the surface's area, at least: edge collapse keeps nearly all of it


def simplify(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices (n, 3) and faces (m, 3), m ≤ ``most``, of the mesh with fewer faces; the same bits every time.

    Vertices at the same place are made one: an STL file gives each triangle three of its own, which no collapse joins.
    Raises MeshError (too-large) where it does not come out: loose triangles can only be dropped.
    """
    import fast_simplification

    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    points = vertices - centre
    scale = float(max(points.max(), -points.min()))  # its quadrics are in absolute units
    points /= scale
    points, faces = _welded(points, faces)
    area = _area(points, faces)
    count = len(faces)
    points, faces = _thinned(points, faces, max(most, _COLLAPSED))
    if len(faces) > most:
        points, faces = fast_simplification.simplify(points, faces, target_count=most)
    if len(faces) > most:
        raise _stays(count, f"only to {len(faces)}")
    if _area(points, faces) < _KEPT * area:
        raise _stays(count, "without losing half its surface")
    return points * scale + centre, faces


def _stays(count: int, why: str) -> MeshError:
    return MeshError("too-large", f"its {count} faces cannot be simplified as far as asked, {why}: raise --max-faces")


def _welded(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    order = np.lexsort(vertices.T)
    first = np.ones(len(vertices), bool)
    first[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(axis=1)
    place = np.empty(len(vertices), np.int32)
    place[order] = np.cumsum(first, dtype=np.int32) - 1
    return vertices[order[first]], place[faces]


def _thinned(
    points: NDArray[np.float64], faces: NDArray[np.int32], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices within [-1, 1] joined to their mean in the cells of a grid, ever larger, until few enough faces stay; of
    large loose triangles more do."""
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
    total = 0.0
    for part in np.array_split(faces, 1 + len(faces) // 65536):  # a part at a time, for the memory
        a, b, c = vertices[part].swapaxes(0, 1)
        total += float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    return total
