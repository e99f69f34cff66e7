"""A reader of binary STL that joins the corners of its triangles, in a small part of the memory that they take apart.

Each triangle has three corners of its own there: six of them at a vertex, on average. Of 10 million triangles the
vertices would be 720 MB of float64, and again for each copy; joined they are 120 MB.

Format: https://www.fabbers.com/tech/STL_Format
"""

from __future__ import annotations

import numpy as np

from shapecnn.jit import numba
from shapecnn.triangles import Triangles

_HEADER = 84  # bytes: 80 of any content, and the count of triangles
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<u4", (3, 3)), ("attribute", "<u2")])  # corners: bits of float32


def is_binary_stl(stl: bytes) -> bool:
    """Whether its length is that which its count of triangles calls for: many a binary one begins with ``solid``."""
    count = int.from_bytes(stl[_HEADER - 4 : _HEADER], "little")
    return len(stl) == _HEADER + count * _FACET.itemsize


def read_binary_stl(stl: bytes) -> Triangles:
    """Its triangles, faces int32; no two vertices of the same bits, in order of appearance.

    ``stl`` satisfies :func:`is_binary_stl`.
    """
    facets = np.frombuffer(stl, _FACET, offset=_HEADER)
    corners = facets["corners"].astype(np.uint32).reshape(-1, 3)
    faces = np.empty((len(facets), 3), np.int32)
    table = np.full(1 << (2 * len(corners)).bit_length(), -1, np.int32)
    count = _join(corners, table, faces.reshape(-1))
    return Triangles(corners[:count].view(np.float32).astype(np.float64), faces)


@numba.njit(cache=True)
def _join(corners, table, numbers):  # type: ignore[no-untyped-def]
    """Move distinct ``corners`` (k, 3) to the front, and give each corner its number (k,); how many they are.

    table: -1, a power of two of them, more than k; it comes to hold the number of each distinct corner at its hash.
    """
    last = np.uint64(table.size - 1)
    count = 0
    for i in range(corners.shape[0]):
        x, y, z = corners[i, 0], corners[i, 1], corners[i, 2]
        h = np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)
        h = ((h ^ (h >> np.uint64(32))) + np.uint64(y)) * np.uint64(0xBF58476D1CE4E5B9)
        h = ((h ^ (h >> np.uint64(32))) + np.uint64(z)) * np.uint64(0x94D049BB133111EB)
        slot = (h ^ (h >> np.uint64(32))) & last
        while True:
            k = table[slot]
            if k < 0:
                k = table[slot] = count
                corners[k, 0], corners[k, 1], corners[k, 2] = x, y, z
                count += 1
                break
            if corners[k, 0] == x and corners[k, 1] == y and corners[k, 2] == z:
                break
            slot = (slot + np.uint64(1)) & last
        numbers[i] = k
    return count
