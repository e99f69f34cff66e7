"""A mesh with fewer faces, through fast-simplification: its only door.

Edges are collapsed where that costs least (Garland & Heckbert, "Surface Simplification Using Quadric Error Metrics",
SIGGRAPH 1997).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError

_KEPT = 0.5  # of the surface's area, at least: edge collapse keeps nearly all of it


def simplify(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], most: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices (n, 3) and faces (m, 3), m ≤ ``most``, of the mesh with fewer faces; the same bits every time.

    Vertices at the same place are made one: an STL file gives each triangle three of its own, which no collapse joins.
    Raises MeshError (too-large) where it does not come out: loose triangles can only be dropped.
    """
    import fast_simplification

    scale = float(np.abs(vertices).max())  # its quadrics are in absolute units
    points, faces = _welded(vertices / scale, faces)
    area = _area(points, faces)
    points, left = fast_simplification.simplify(points, faces, target_count=most)
    if len(left) > most:
        raise _stays(len(faces), f"only to {len(left)}")
    if _area(points, left) < _KEPT * area:
        raise _stays(len(faces), "without losing half its surface")
    return points * scale, left


def _stays(count: int, why: str) -> MeshError:
    return MeshError("too-large", f"its {count} faces cannot be simplified as far as asked, {why}: raise --max-faces")


def _welded(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    order = np.lexsort(vertices.T)
    first = np.ones(len(vertices), bool)
    first[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(axis=1)
    place = np.empty(len(vertices), np.int32)
    place[order] = np.cumsum(first, dtype=np.int32) - 1
    return vertices[order[first]], place[faces]


def _area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    total = 0.0
    for part in np.array_split(faces, 1 + len(faces) // 65536):  # a part at a time, for the memory
        a, b, c = vertices[part].swapaxes(0, 1)
        total += float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    return total
