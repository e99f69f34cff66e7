"""Measure continuous quantities of a shape: the area of its surface and the volume that the surface encloses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.mesh import Mesh

_BLOCK = 1 << 18  # number of faces whose corners are in memory at a time
_MOST_FACES = 2_000_000  # largest mesh whose edges are compared; comparing them takes some 200 bytes for each face

Corners = NDArray[np.float64]
Faces = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Quantities:
    """Continuous quantities of a shape, in the coordinates of its mesh.

    A normalized mesh just fits into a sphere of radius 1. The quantities of different shapes are then comparable.

    Attributes:
        area: Area of the surface: the sum of the areas of all faces, also of faces inside the shape.
        volume: Volume that the surface encloses; None if the surface is not closed, see :func:`enclosed_volume`.
    """

    area: float
    volume: float | None


def measure(mesh: Mesh) -> Quantities:
    """Measure the surface area and the enclosed volume of a mesh.

    Args:
        mesh: The mesh.

    Returns:
        The quantities, in the unit of the coordinates: area in its square, volume in its cube.

    Example:
        >>> corners = np.array([(0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2)], np.float64)
        >>> faces = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)], np.int32)
        >>> tetrahedron = measure(Mesh(corners, faces))
        >>> round(tetrahedron.area, 3), round(tetrahedron.volume, 3)
        (9.464, 1.333)
        >>> measure(Mesh(corners, faces[1:])).volume is None  # one face is missing
        True
    """
    return Quantities(surface_area(mesh), enclosed_volume(mesh))


def surface_area(mesh: Mesh) -> float:
    """Return the area of a mesh: the sum of the areas of all its faces.

    Args:
        mesh: The mesh.
    """
    total = 0.0
    for a, b, c in _blocks(mesh.vertices, mesh.faces):
        total += float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())
    return total / 2


def enclosed_volume(mesh: Mesh) -> float | None:
    """Compute the volume that a mesh encloses, by the divergence theorem.

    Vertices with the same coordinates are one vertex, and faces that have the same vertex twice are ignored.

    Args:
        mesh: The mesh.

    Returns:
        The volume, above 0. If parts of the surface overlap, what lies in several parts counts several times. None if
        the volume is not defined or not known:

        - The surface is open or not consistently oriented: each edge a → b of a face needs another face with the
          edge b → a.
        - Two faces have the same three vertices.
        - Some parts of the surface face outwards and others inwards.
        - The mesh has more than 2,000,000 faces.
    """
    if len(mesh.faces) > _MOST_FACES:
        return None
    faces = _welded_faces(mesh)
    if not len(faces) or not _closed(faces, len(mesh.vertices)) or _repeated(faces):
        return None
    volumes = _volumes_of_parts(mesh.vertices, faces)
    if (volumes > 0).all() or (volumes < 0).all():
        return float(abs(volumes.sum()))
    return None


def is_closed(mesh: Mesh) -> bool | None:
    """Return whether the surface of a mesh is closed and consistently oriented, as a watertight one is.

    Vertices with the same coordinates are one vertex, and faces that have the same vertex twice are ignored.

    Args:
        mesh: The mesh.

    Returns:
        Whether each edge a → b of a face has a partner, the edge b → a of another face; None if the mesh has more than
        2,000,000 faces, whose edges are not compared.
    """
    if len(mesh.faces) > _MOST_FACES:
        return None
    faces = _welded_faces(mesh)
    return bool(len(faces)) and _closed(faces, len(mesh.vertices))


def _welded_faces(mesh: Mesh) -> Faces:
    """Return the faces (k, 3), with one index for vertices of the same coordinates; none has the same vertex twice."""
    faces = _places(mesh.vertices)[mesh.faces]
    a, b, c = faces.T
    distinct: Faces = faces[(a != b) & (b != c) & (c != a)]
    return distinct


def _blocks(vertices: Corners, faces: Faces) -> Iterator[tuple[Corners, Corners, Corners]]:
    """Yield the corners a, b and c, each (n, 3), of up to 2¹⁸ faces at a time."""
    for start in range(0, len(faces), _BLOCK):
        corners = vertices[faces[start : start + _BLOCK]]
        yield corners[:, 0], corners[:, 1], corners[:, 2]


def _places(vertices: Corners) -> NDArray[np.int32]:
    """Return for each of n vertices the number of one vertex with the same coordinates, (n,), from 0 to n − 1."""
    order = np.lexsort(vertices.T)
    ranked = vertices[order]
    new = np.append(True, (ranked[1:] != ranked[:-1]).any(axis=1))
    places = np.empty(len(vertices), np.int32)
    places[order] = order[new][np.cumsum(new) - 1]
    return places


def _closed(faces: Faces, vertices: int) -> bool:
    """Return whether each edge a → b occurs exactly as often as the edge b → a."""
    first, second = (corners.ravel().astype(np.int64) for corners in (faces, np.roll(faces, -1, axis=1)))
    there, back = first * vertices + second, second * vertices + first
    there.sort()
    back.sort()
    return bool((there == back).all())


def _repeated(faces: Faces) -> bool:
    """Return whether two faces have the same vertices, in any order."""
    ordered = np.sort(faces, axis=1)
    ordered = ordered[np.lexsort(ordered.T)]
    return bool((ordered[1:] == ordered[:-1]).all(axis=1).any())


def _volumes_of_parts(vertices: Corners, faces: Faces) -> NDArray[np.float64]:
    """Return the signed volume of each connected part of a closed surface, above 0 if the part faces outwards."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.ones(2 * len(faces), np.int8), (np.repeat(faces[:, 0], 2), faces[:, 1:].ravel())
    count, parts = connected_components(coo_array(edges, shape=(len(vertices),) * 2), directed=False)
    signed = [np.einsum("fi,fi->f", a, np.cross(b, c)) for a, b, c in _blocks(vertices, faces)]
    volumes: NDArray[np.float64] = np.bincount(parts[faces[:, 0]], np.concatenate(signed), count) / 6
    used = np.bincount(parts[faces[:, 0]], minlength=count) > 0  # a vertex without faces is a part too
    return volumes[used]
