"""Kernels that merge equal corners of separate triangles, as in STL, into shared vertices.

Six corners meet at a vertex on average: merged while reading, ten million triangles take a sixth of the memory.

numba checks only the file of the calling kernel when it decides whether cached code is stale. After a change here, edit
or touch the modules that call these kernels, too.
"""

from __future__ import annotations

import numpy as np

from shapecnn.shared.jit import numba


@numba.njit(cache=True)
def place(vertices, count, table, x, y, z):  # type: ignore[no-untyped-def]
    """Return the index of the vertex at x, y, z; a new vertex is stored at index ``count``.

    Args:
        vertices: (n, 3) unsigned integers, the bits of floats; n > count.
        count: Number of vertices so far.
        table: Hash table of vertex indices, -1 where free; its size is a power of two greater than count.
        x: Bits of a coordinate, as y and z.
        y: See x.
        z: See x.
    """
    last = np.uint64(table.size - 1)
    h = np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)
    h = ((h ^ (h >> np.uint64(32))) + np.uint64(y)) * np.uint64(0xBF58476D1CE4E5B9)
    h = ((h ^ (h >> np.uint64(32))) + np.uint64(z)) * np.uint64(0x94D049BB133111EB)
    slot = (h ^ (h >> np.uint64(32))) & last
    while True:
        k = table[slot]
        if k < 0:
            table[slot] = count
            vertices[count, 0], vertices[count, 1], vertices[count, 2] = x, y, z
            return count
        if vertices[k, 0] == x and vertices[k, 1] == y and vertices[k, 2] == z:
            return k
        slot = (slot + np.uint64(1)) & last


@numba.njit(cache=True)
def place_all(corners, table, numbers):  # type: ignore[no-untyped-def]
    """Merge equal corners in place and return the number of distinct ones, n.

    Args:
        corners: (k, 3) unsigned integers, the bits of floats; rows [0, n) receive the distinct corners.
        table: Hash table as :func:`place` needs it, all -1.
        numbers: (k,) receives the row of each corner.
    """
    count = 0
    for i in range(corners.shape[0]):
        number = place(corners, count, table, corners[i, 0], corners[i, 1], corners[i, 2])
        numbers[i] = number
        count += number == count
    return count
