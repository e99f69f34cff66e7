"""Distances between light fields: the smallest over all alignments of their systems of silhouettes.

A light field has 10 systems of 10 silhouettes. The directions of a system are one of each pair of opposite vertices of
a dodecahedron. The 60 rotations of the dodecahedron permute these pairs. Two systems can therefore be aligned in 60
ways, and two light fields in 10 × 10 × 60.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.jit import numba
from shapecnn.views.cameras import dodecahedron

SYSTEMS = 10  # systems of a light field
DIRECTIONS = 10  # silhouettes of a system
VALUES = 45  # values of a silhouette


@cache
def dodecahedron_rotations() -> NDArray[np.float64]:
    """Return the 60 rotations that map a dodecahedron onto itself.

    Returns:
        Rotation matrices, (60, 3, 3) float64; the first is the identity. They map the vertices of
        :func:`shapecnn.views.cameras.dodecahedron` to each other.
    """
    vertices = dodecahedron()
    cosines = vertices @ vertices.T
    neighbours = cosines > np.sort(cosines[0])[-4] - 1e-6  # three vertices are nearest to a vertex, beside itself
    edges = [(a, b) for a, b in itertools.product(range(len(vertices)), repeat=2) if a != b and neighbours[a, b]]
    frames = np.stack([_frame(vertices[a], vertices[b]) for a, b in edges])  # each rotation maps edge 0 to another one
    rotations: NDArray[np.float64] = frames @ frames[0].T
    return rotations


@cache
def alignments() -> NDArray[np.int64]:
    """Return the 60 permutations of the directions of a system by the rotations of a dodecahedron.

    Returns:
        (60, 10) int64: rotation r maps the axis of direction d to the axis of direction ``alignments()[r, d]``.
    """
    axes = dodecahedron()[:DIRECTIONS]
    turned = np.einsum("rij,dj->rdi", dodecahedron_rotations(), axes)
    return np.asarray(np.abs(turned @ axes.T).argmax(axis=2))


def light_field_distances(queries: NDArray[np.uint8], gallery: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Compute the distances of light fields: the smallest sum of the L1 distances of 10 pairs of silhouettes.

    The sum is smallest over all pairs of a system of the one and a system of the other light field, and over the 60
    permutations of :func:`alignments`. The distance is symmetric, and 0 for equal light fields. The function releases
    the interpreter lock.

    Args:
        queries: Q light fields, (Q, 4500) uint8: 10 systems of 10 silhouettes of 45 values.
        gallery: N light fields, (N, 4500) uint8.

    Returns:
        (Q, N) int32, from 0 to 114,750.
    """
    distances = np.empty((len(queries), len(gallery)), np.int32)
    shape = (-1, SYSTEMS * DIRECTIONS, VALUES)
    _distances(queries.reshape(shape), gallery.reshape(shape), alignments(), distances)
    return distances


def _frame(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the right-handed frame (3, 3) of two unit vectors: columns a, the normal of a and b, and their product."""
    normal = np.cross(a, b)
    normal /= np.linalg.norm(normal)
    return np.stack([a, normal, np.cross(a, normal)], axis=1)


@numba.njit(cache=True, nogil=True)
def _distances(queries, gallery, permutations, distances):  # type: ignore[no-untyped-def]
    """Write the distances of Q queries (Q, 100, 45) and N gallery rows (N, 100, 45) to ``distances``, (Q, N).

    The innermost loops run over 100 neighbouring numbers, so that the compiler uses vector instructions.
    """
    columns = np.empty((VALUES, DIRECTIONS * SYSTEMS), np.uint8)  # [value, (direction, system)] of a gallery row
    tables = np.empty((DIRECTIONS, DIRECTIONS, SYSTEMS * SYSTEMS), np.uint16)
    for n in range(len(gallery)):
        for j in range(SYSTEMS):
            for b in range(DIRECTIONS):
                for value in range(VALUES):
                    columns[value, b * SYSTEMS + j] = gallery[n, j * DIRECTIONS + b, value]
        for q in range(len(queries)):
            _fill_tables(queries[q], columns, tables)
            distances[q, n] = _smallest(tables, permutations)


@numba.njit(cache=True, nogil=True)
def _fill_tables(query, columns, tables):  # type: ignore[no-untyped-def]
    """Write the L1 distance of each silhouette of a query (100, 45) and each of a gallery row to ``tables``.

    The distance of direction a of system i and direction b of system j is ``tables[a, b, i * 10 + j]``. A distance of
    at most 45 · 255 fits into 16 bits.
    """
    sums = np.empty(DIRECTIONS * SYSTEMS, np.uint16)
    for i in range(SYSTEMS):
        for a in range(DIRECTIONS):
            sums[:] = 0
            for value in range(VALUES):
                own, others = query[i * DIRECTIONS + a, value], columns[value]
                for lane in range(DIRECTIONS * SYSTEMS):
                    sums[lane] += max(own, others[lane]) - min(own, others[lane])
            for b in range(DIRECTIONS):
                for j in range(SYSTEMS):
                    tables[a, b, i * SYSTEMS + j] = sums[b * SYSTEMS + j]


@numba.njit(cache=True, nogil=True)
def _smallest(tables, permutations):  # type: ignore[no-untyped-def]
    """Return the smallest sum over the permutations (60, 10) and the 100 pairs of systems."""
    smallest = np.full(SYSTEMS * SYSTEMS, 2**31 - 1, np.int32)
    for r in range(len(permutations)):
        p = permutations[r]
        t0, t1, t2, t3, t4 = tables[0, p[0]], tables[1, p[1]], tables[2, p[2]], tables[3, p[3]], tables[4, p[4]]
        t5, t6, t7, t8, t9 = tables[5, p[5]], tables[6, p[6]], tables[7, p[7]], tables[8, p[8]], tables[9, p[9]]
        for pair in range(SYSTEMS * SYSTEMS):
            # Written out, because a loop over the directions would keep the compiler from using vector instructions.
            first = (
                np.int32(t0[pair]) + np.int32(t1[pair]) + np.int32(t2[pair]) + np.int32(t3[pair]) + np.int32(t4[pair])
            )
            last = (
                np.int32(t5[pair]) + np.int32(t6[pair]) + np.int32(t7[pair]) + np.int32(t8[pair]) + np.int32(t9[pair])
            )
            smallest[pair] = min(smallest[pair], np.int32(first + last))
    return smallest.min()
