"""A reader of binary STL that joins the corners of its triangles, in a small part of the memory that they take apart.

Format: https://www.fabbers.com/tech/STL_Format
"""

from __future__ import annotations

import re
from mmap import mmap

import numpy as np

from shapecnn.corners import place_all
from shapecnn.errors import MeshError
from shapecnn.triangles import Triangles, ignored

_HEADER = 84  # bytes: 80 of any content, and the count of triangles
# Text may begin with white space; what follows its name shows no byte that text does not have.
_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*+solid(?![^\s])[^\0-\x06\x0e-\x19\x1b-\x1f]*+\Z", re.IGNORECASE)
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
    if len(stl) < _HEADER or not promised:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    held, rest = divmod(len(stl) - _HEADER, _FACET.itemsize)
    if held < promised or (held > promised and not rest):  # more of them: which count is right?
        found = f"as binary STL its header promises {promised} faces, and it holds {held}"
        raise MeshError("truncated" if held < promised else "format", f"it is not text, and {found}")
    facets = np.frombuffer(stl, _FACET, promised, _HEADER)
    corners = facets["corners"].astype(np.uint32).reshape(-1, 3)
    faces = np.empty((len(facets), 3), np.int32)
    table = np.full(1 << (2 * len(corners)).bit_length(), -1, np.int32)
    count = place_all(corners, table, faces.reshape(-1))
    notes = ignored(len(stl) - _length(stl), f"the last of its {promised} faces")
    return Triangles(corners[:count].view(np.float32).astype(np.float64), faces, notes)


def _length(stl: bytes | mmap) -> int:
    """Bytes that the count in the header calls for."""
    return _HEADER + int.from_bytes(stl[_HEADER - 4 : _HEADER], "little") * _FACET.itemsize
