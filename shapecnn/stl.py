"""A reader of binary STL that joins the corners of its triangles, in a small part of the memory that they take apart.

Format: https://www.fabbers.com/tech/STL_Format
"""

from __future__ import annotations

import re
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from shapecnn.corners import place_all
from shapecnn.errors import MeshError
from shapecnn.triangles import Triangles, ignored

_HEADER = 84  # bytes: 80 of any content, and the count of triangles
# Text may begin with white space and comments; what follows its name shows no byte that text does not have.
_TEXT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|#[^\r\n\0-\x06\x0e-\x19\x1b-\x1f]*+)*+(?:\Z|solid(?!\S)[^\0-\x06\x0e-\x19\x1b-\x1f]*+\Z)",
    re.IGNORECASE,
)
_SAMPLE = 8  # records that show what all of them are
_FAR = 1e6  # times the size of the solid: no face of it lies there
_THIN = 1e-12  # of the square of that size: faces have more area
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
    promised = int.from_bytes(stl[_HEADER - 4 : _HEADER], "little")
    held = max(len(stl) - _HEADER, 0) // _FACET.itemsize
    found = f"it is not text, and as binary STL its header promises {promised} faces"
    if held < promised:
        raise MeshError("truncated", f"{found}, and it holds {held}")
    everything = np.frombuffer(stl, _FACET, held, _HEADER) if held else np.empty(0, _FACET)
    facets = everything[:promised]
    if _are_faces(everything[promised:], facets):  # nobody would miss the faces that are left out
        raise MeshError("format", f"{found}, and {held - promised} more follow: export it again")
    if not promised:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    corners = facets["corners"].astype(np.uint32).reshape(-1, 3)
    faces = np.empty((len(facets), 3), np.int32)
    table = np.full(1 << (2 * len(corners)).bit_length(), -1, np.int32)
    count = place_all(corners, table, faces.reshape(-1))
    notes = ignored(len(stl) - _length(stl), f"the last of its {promised} faces")
    return Triangles(corners[:count].view(np.float32).astype(np.float64), faces, notes)


def _are_faces(rest: NDArray[np.void], facets: NDArray[np.void]) -> bool:
    """Whether most of the first records behind those that were promised are triangles, no larger than the solid.

    Padding has no area; text and compressed data, read as numbers, lie far outside of any solid.
    """
    corners, promised = _corners(rest), _corners(facets)
    if not len(corners):
        return False
    shown = promised if len(promised) else corners
    size = np.abs(shown).max(initial=0, where=np.isfinite(shown))
    near = corners[(np.abs(corners) <= _FAR * size).all(axis=(1, 2))]  # NaN is not
    areas = np.linalg.norm(np.cross(near[:, 1] - near[:, 0], near[:, 2] - near[:, 0]), axis=1)
    return bool(2 * np.count_nonzero(areas > _THIN * size**2) > len(corners))


def _corners(facets: NDArray[np.void]) -> NDArray[np.float64]:
    """(n, 3, 3), of the first few."""
    with np.errstate(invalid="ignore"):  # bytes that are no numbers may be signalling ones
        return facets["corners"][:_SAMPLE].astype(np.uint32).view(np.float32).astype(np.float64)


def _length(stl: bytes | mmap) -> int:
    """Bytes that the count in the header calls for."""
    return _HEADER + int.from_bytes(stl[_HEADER - 4 : _HEADER], "little") * _FACET.itemsize
