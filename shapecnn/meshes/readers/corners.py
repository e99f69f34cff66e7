"""Corners of triangles that come one by one, as STL has them, joined into vertices: one for each place.

Six corners meet at a vertex, on average. Joined as they come, ten million triangles take a sixth of the memory.

numba looks at the file of a calling kernel alone when it decides whether cached code is stale: whoever changes a kernel
here edits (or touches) the modules that call it, too.
"""

from __future__ import annotations

import numpy as np

from shapecnn.shared.jit import numba


@numba.njit(cache=True)
def place(vertices, count, table, x, y, z):  # type: ignore[no-untyped-def]
    """The number of the vertex at x, y, z, which is put at the end, as number ``count``, where there is none.

    vertices: (n, 3) unsigned integers, the bits of floats; n > count.  table: -1, a power of two of them, more than
    count; it holds the number of each vertex at its hash.
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
    """Move distinct ``corners`` (k, 3) to the front, and give each corner its number (k,); how many they are."""
    count = 0
    for i in range(corners.shape[0]):
        number = place(corners, count, table, corners[i, 0], corners[i, 1], corners[i, 2])
        numbers[i] = number
        count += number == count
    return count
