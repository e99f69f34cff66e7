"""Compiled functions (numba kernels) that merge equal triangle corners into shared vertices, for STL files.

STL stores three separate corners per triangle. On average six corners coincide in one vertex, so merging during reading
cuts the memory for ten million triangles to a sixth.

After a change in this module, edit or touch the modules that call the kernels, too: numba recompiles a cached caller
only if the caller's own file has changed.
"""

from __future__ import annotations

import numpy as np

from shapecnn.shared.jit import numba


@numba.njit(cache=True)
def place(vertices, count, table, x, y, z):  # type: ignore[no-untyped-def]
    """Find the vertex with the coordinates x, y, z, or add it as vertex number ``count``, and return its index.

    Coordinates are compared by their bits.

    Args:
        vertices: Array of vertices (n, 3), n > count: the bits of float coordinates as unsigned integers. The first
            ``count`` rows are in use. A new vertex is written to the next row.
        count: Number of vertices so far. The caller increases it if the returned index equals it.
        table: Hash table of vertex indices, with -1 in free slots. Its size is a power of two greater than count.
        x: Bits of the x coordinate as an unsigned integer.
        y: Bits of the y coordinate as an unsigned integer.
        z: Bits of the z coordinate as an unsigned integer.
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
    """Merge equal corners in place and return n, the number of distinct corners.

    Args:
        corners: Array (k, 3) with k corners: the bits of float coordinates as unsigned integers. Rows 0 to n - 1 are
            overwritten with the distinct corners.
        table: Empty hash table for :func:`place`, filled with -1.
        numbers: Output array (k,): for each corner, the row of its distinct copy.
    """
    count = 0
    for i in range(corners.shape[0]):
        number = place(corners, count, table, corners[i, 0], corners[i, 1], corners[i, 2])
        numbers[i] = number
        count += number == count
    return count
