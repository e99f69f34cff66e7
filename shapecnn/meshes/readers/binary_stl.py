"""Reader of binary STL files, which merges equal triangle corners into shared vertices to save memory.

Format: https://www.fabbers.com/tech/STL_Format
"""

from __future__ import annotations

import re
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.corners import place_all
from shapecnn.meshes.readers.triangles import Triangles, note_ignored

_HEADER = 84  # size of the header in bytes: 80 bytes with any content, then the count of triangles
# Text STL may begin with white space and comments. After the word solid, it has no control characters.
_TEXT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|#[^\r\n\0-\x06\x0e-\x19\x1b-\x1f]*+)*+(?:\Z|solid(?!\S)[^\0-\x06\x0e-\x19\x1b-\x1f]*+\Z)",
    re.IGNORECASE,
)
_TEXT_ONLY = re.compile(rb"[\t-\r -~\0]*")
_BLOCK, _SAMPLE = 1 << 16, 8  # number of records checked at a time, and number of first records judged alone
_SMALLEST = 1e-7  # least length of the longest edge of a triangle, relative to the size of the solid
_THINNEST = 1e-6  # least area of a triangle, relative to its longest edge squared
_FACET = np.dtype(
    [("normal", "<f4", 3), ("corners", "<u4", (3, 3)), ("attribute", "<u2")]
)  # one triangle; the corners are the bits of float32 coordinates


def is_binary_stl(stl: bytes | mmap) -> bool:
    """Return whether an STL file is binary.

    A file is binary if it is not text, or if its length is exactly what the count of triangles in its header requires.
    The word ``solid`` at the beginning does not prove that a file is text: many binary files begin with it, too.
    """
    return len(stl) == _length(stl) or not _TEXT.match(stl[: 1 << 10])


def read_binary_stl(stl: bytes | mmap) -> Triangles:
    """Read the triangles of a binary STL file.

    Args:
        stl: The content of the file.

    Returns:
        The n distinct vertices, (n, 3) float64, and the m faces, (m, 3) int32. Both are in the order in which they
        first appear in the file. If bytes after the last face were ignored, ``notes`` says so.

    Raises:
        MeshError: The file has no faces, is truncated, or has more faces than its header declares (kinds: no-faces,
            truncated, format).
    """
    if len(stl) < _HEADER:
        raise MeshError("no-faces", "no faces found: the file ends early, or is not STL")
    promised = int.from_bytes(stl[_HEADER - 4 : _HEADER], "little")
    complete = (len(stl) - _HEADER) // _FACET.itemsize
    promise = f"the file is not text, and as binary STL its header declares {promised} faces"
    if complete < promised:
        raise MeshError("truncated", f"{promise}, but only {complete} faces follow")
    records = np.frombuffer(stl, _FACET, complete, _HEADER)
    facets, rest = records[:promised], records[promised:]
    if not _TEXT_ONLY.fullmatch(rest[:_SAMPLE].tobytes()) and _are_faces(rest, facets):
        # no face is dropped silently
        raise MeshError("format", f"{promise}, but more faces follow: export the mesh again")
    if not promised:
        raise MeshError("no-faces", "no faces found: the file ends early, or is not STL")
    corners = facets["corners"].astype(np.uint32).reshape(-1, 3)
    faces = np.empty((len(facets), 3), np.int32)
    table = np.full(1 << (2 * len(corners)).bit_length(), -1, np.int32)
    count = place_all(corners, table, faces.reshape(-1))
    notes = note_ignored(len(stl) - _length(stl), f"the last of the {promised} faces")
    return Triangles(corners[:count].view(np.float32).astype(np.float64), faces, notes)


def _are_faces(rest: NDArray[np.void], facets: NDArray[np.void]) -> bool:
    """Return whether the file has more triangles than its header declares, rather than other data, after the last.

    The result is True if more than half of the first few further records, or of all of them, are plausible triangles.
    Padding has no area. Other data read as coordinates lie far outside the solid or are far too small for it.

    Args:
        rest: The further records, which the header does not declare.
        facets: The triangles that the header declares.
    """
    low, high = _bounds(facets if len(facets) else rest)
    size = (high - low).max()
    total = faces = 0
    for start in range(0, len(rest), _BLOCK):
        corners = _corners(rest[start : start + _BLOCK])
        first, second, third = corners.swapaxes(0, 1)
        edges = np.linalg.norm([second - first, third - second, first - third], axis=2).max(axis=0)
        area = np.linalg.norm(np.cross(second - first, third - first), axis=1)
        near = ((corners >= low - size) & (corners <= high + size)).all(axis=(1, 2))  # NaN counts as far away
        triangles = near & (edges > _SMALLEST * size) & (area > _THINNEST * edges**2)
        triangles = triangles[(corners != 0).any(axis=(1, 2))]  # all zeros are padding
        total += len(triangles)
        faces += int(np.count_nonzero(triangles))
        if not start and 2 * np.count_nonzero(triangles[:_SAMPLE]) > len(triangles[:_SAMPLE]):
            return True
    return 2 * faces > total


def _bounds(facets: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounding box of the finite corners of triangles: lowest and highest coordinates, two arrays (3,)."""
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
    """Return the corner coordinates of n triangles, (n, 3, 3): triangle, corner, axis."""
    with np.errstate(invalid="ignore"):  # arbitrary bytes may be signalling NaNs
        return facets["corners"].astype(np.uint32).view(np.float32).astype(np.float64)


def _length(stl: bytes | mmap) -> int:
    """Compute the file length in bytes that the count of triangles in the header requires."""
    return _HEADER + int.from_bytes(stl[_HEADER - 4 : _HEADER], "little") * _FACET.itemsize
