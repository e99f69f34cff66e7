"""A reader of binary STL that joins the corners of its triangles, in a small part of the memory that they take apart.

Format: https://www.fabbers.com/tech/STL_Format
"""

from __future__ import annotations

import re
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.corners import place_all
from shapecnn.meshes.readers.triangles import Triangles, ignored

_HEADER = 84  # bytes: 80 of any content, and the count of triangles
# Text may begin with white space and comments; what follows its name shows no byte that text does not have.
_TEXT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|#[^\r\n\0-\x06\x0e-\x19\x1b-\x1f]*+)*+(?:\Z|solid(?!\S)[^\0-\x06\x0e-\x19\x1b-\x1f]*+\Z)",
    re.IGNORECASE,
)
_TEXT_ONLY = re.compile(rb"[\t-\r -~\0]*")
_BLOCK, _SAMPLE = 1 << 16, 8  # records looked at together, and those that show what all of them are
_SMALLEST = 1e-7  # of the size of the solid: edges are longer
_THINNEST = 1e-6  # of the square of its longest edge: a triangle has more area
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<u4", (3, 3)), ("attribute", "<u2")])  # corners: bits of float32


def is_binary_stl(stl: bytes | mmap) -> bool:
    """Whether a file is binary STL: not text, or as long as its count of triangles calls for.

    Many a binary one begins with ``solid``, and many a one has bytes behind its triangles.
    """
    return len(stl) == _length(stl) or not _TEXT.match(stl[: 1 << 10])


def read_binary_stl(stl: bytes | mmap) -> Triangles:
    """The triangles of a binary STL.

    Returns:
        Faces are int32; no two vertices have the same bits; both are in order of appearance.

    Raises:
        MeshError: no-faces, truncated, format.
    """
    if len(stl) < _HEADER:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    promised = int.from_bytes(stl[_HEADER - 4 : _HEADER], "little")
    held = (len(stl) - _HEADER) // _FACET.itemsize
    found = f"it is not text, and as binary STL its header promises {promised} faces"
    if held < promised:
        raise MeshError("truncated", f"{found}, and it holds {held}")
    everything = np.frombuffer(stl, _FACET, held, _HEADER)
    facets, rest = everything[:promised], everything[promised:]
    if not _TEXT_ONLY.fullmatch(rest[:_SAMPLE].tobytes()) and _are_faces(rest, facets):
        raise MeshError("format", f"{found}, but more triangles follow: export it again")  # none is left out in silence
    if not promised:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    corners = facets["corners"].astype(np.uint32).reshape(-1, 3)
    faces = np.empty((len(facets), 3), np.int32)
    table = np.full(1 << (2 * len(corners)).bit_length(), -1, np.int32)
    count = place_all(corners, table, faces.reshape(-1))
    notes = ignored(len(stl) - _length(stl), f"the last of its {promised} faces")
    return Triangles(corners[:count].view(np.float32).astype(np.float64), faces, notes)


def _are_faces(rest: NDArray[np.void], facets: NDArray[np.void]) -> bool:
    """Whether the records behind those that were promised are triangles: the first few of them, or most of all.

    Padding has no area; compressed data, read as numbers, lie far outside of the solid or are far too small for it.
    """
    low, high = _bounds(facets if len(facets) else rest)
    size = (high - low).max()
    counted = faces = 0
    for start in range(0, len(rest), _BLOCK):
        corners = _corners(rest[start : start + _BLOCK])
        first, second, third = corners.swapaxes(0, 1)
        edges = np.linalg.norm([second - first, third - second, first - third], axis=2).max(axis=0)
        area = np.linalg.norm(np.cross(second - first, third - first), axis=1)
        near = ((corners >= low - size) & (corners <= high + size)).all(axis=(1, 2))  # which NaN is not
        triangles = near & (edges > _SMALLEST * size) & (area > _THINNEST * edges**2)
        triangles = triangles[(corners != 0).any(axis=(1, 2))]  # the others are padding
        counted += len(triangles)
        faces += int(np.count_nonzero(triangles))
        if not start and 2 * np.count_nonzero(triangles[:_SAMPLE]) > len(triangles[:_SAMPLE]):
            return True
    return 2 * faces > counted


def _bounds(facets: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest finite coordinates, (3,) each."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for start in range(0, len(facets), _BLOCK):
        points = _corners(facets[start : start + _BLOCK]).reshape(-1, 3)
        points = points[np.isfinite(points).all(axis=1)]
        low, high = (
            np.minimum(low, points.min(axis=0, initial=np.inf)),
            np.maximum(high, points.max(axis=0, initial=-np.inf)),
        )
    return low, high


def _corners(facets: NDArray[np.void]) -> NDArray[np.float64]:
    """(n, 3, 3)."""
    with np.errstate(invalid="ignore"):  # bytes that are no numbers may be signalling ones
        return facets["corners"].astype(np.uint32).view(np.float32).astype(np.float64)


def _length(stl: bytes | mmap) -> int:
    """Bytes that the count in the header calls for."""
    return _HEADER + int.from_bytes(stl[_HEADER - 4 : _HEADER], "little") * _FACET.itemsize
