"""Reader of text STL files: all solids become one mesh, and equal corners become shared vertices.

The reader accepts the variants that occur in practice: any solid names, keywords in upper and lower case,
``end solid`` and ``end loop``, facets on one or several lines, LF, CRLF and CR line ends, any normals (ignored), and
anything after the last ``endsolid``. It refuses a file that ends inside a solid.

Format: https://www.fabbers.com/tech/STL_Format
"""

from __future__ import annotations

import codecs
import re
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.corners import place, place_all
from shapecnn.meshes.readers.tokens import (
    NOT_FINITE,
    OK,
    POWERS,
    line_number,
    number,
    skip_blanks,
    skip_line,
    skip_space,
    skip_word,
)
from shapecnn.meshes.readers.triangles import Triangles, enlarge, note_ignored
from shapecnn.shared.jit import numba

_FULL, _BAD_FACET, _TRUNCATED = range(4, 7)  # status codes of _read in addition to those of number()
_VERTEX, _END_LOOP, _END_SOLID, _SOLID, _FACET, _LOOP, _END = (
    int.from_bytes(word, "big") for word in (b"vertex", b"endloop", b"endsolid", b"solid", b"facet", b"loop", b"end")
)
_COMMENT = ord("#")  # some programs write a comment line at the beginning
_CLOSED = re.compile(rb"(?<!\S)end[ \t]*solid(?!\S)", re.IGNORECASE)


def read_text_stl(data: bytes | mmap) -> Triangles:
    """Read the triangles of all solids of a text STL file.

    Args:
        data: The content of the file.

    Returns:
        The n distinct vertices, (n, 3) float64, and the m ≥ 1 faces, (m, 3) int32. Both are in the
        order in which they first appear in the file. A coordinate that is not a finite number becomes NaN. If bytes
        after the last solid were ignored, the result has a note that says so.

    Raises:
        MeshError: The file is malformed, truncated, or has no faces (kinds: format, truncated, no-faces).
    """
    text = np.frombuffer(data, np.uint8)
    position = solid_end = len(codecs.BOM_UTF8) if data[:3] == codecs.BOM_UTF8 else 0
    vertices, faces = np.empty((1024, 3)), np.empty((1024, 3), np.int32)
    table, count, corner_count = _table(vertices[:0], len(vertices)), 0, 0
    while True:
        position, solid_end, count, corner_count, status = _read(
            text, position, solid_end, vertices.view(np.uint64), table, count, faces.reshape(-1), corner_count, POWERS
        )
        if status != _FULL:
            break
        if corner_count + 3 > faces.size:
            faces = enlarge(faces)
        if count + 3 > len(vertices):
            vertices = enlarge(vertices)
            table = _table(vertices[:count], len(vertices))
    if status == _TRUNCATED or (status == _BAD_FACET and not _CLOSED.search(data, position)):
        raise MeshError("truncated", "the file ends inside a solid, without endsolid")
    if status == _BAD_FACET:
        line = line_number(data, position)
        raise MeshError("format", f"line {line}: a facet does not have three corners with three coordinates each")
    if not corner_count:
        raise MeshError("no-faces", "no faces found: the file ends early, or is not STL")
    rest = data[solid_end:].strip(b" \t\r\n\v\f\0\x1a")
    return Triangles(vertices[:count], faces[: corner_count // 3], note_ignored(len(rest), "the last endsolid line"))


def _table(vertices: NDArray[np.float64], room: int) -> NDArray[np.int32]:
    """Build a hash table of distinct vertices for :func:`corners.place`.

    Args:
        vertices: The n distinct vertices to enter, (n, 3).
        room: Number of vertices for which the table must have space.
    """
    table = np.full(1 << (2 * room).bit_length(), -1, np.int32)
    place_all(vertices.view(np.uint64), table, np.empty(len(vertices), np.int32))
    return table


@numba.njit(cache=True)
def _keyword(text, start, end):  # type: ignore[no-untyped-def]
    """Convert a word, in lower case, to a number, so that words can be compared fast; 0 for more than eight letters.

    The letters, from offset ``start`` to ``end``, are the bytes of the number in big-endian order.
    """
    word = 0
    if end - start <= 8:
        for k in range(start, end):
            word = word << 8 | text[k] | 32
    return word


@numba.njit(cache=True)
def _next_keyword(text, i):  # type: ignore[no-untyped-def]
    """Return the keyword at offset ``i`` as a number (see ``_keyword``), and the offset after it.

    ``end solid`` and ``end loop`` on one line count as one keyword each. The number is 0 for ``end facet``.
    """
    end = skip_word(text, i)
    word = _keyword(text, i, end)
    if word == _END:
        start = skip_blanks(text, end)
        second_end = skip_word(text, start)
        second = _keyword(text, start, second_end)
        if second == _SOLID:
            return _END_SOLID, second_end
        if second == _LOOP:
            return _END_LOOP, second_end
        if second == _FACET:
            return 0, second_end
    return word, end


@numba.njit(cache=True)
def _ends_vertex(text, i):  # type: ignore[no-untyped-def]
    """Return whether a vertex may end at offset ``i``: a line end, ``vertex`` or ``endloop`` must follow."""
    i = skip_blanks(text, i)
    if i >= text.size or 10 <= text[i] <= 13:
        return True
    word, _ = _next_keyword(text, i)
    return word in (_VERTEX, _END_LOOP)


@numba.njit(cache=True)
def _read(text, i, solid_end, vertices, table, count, faces, corner_count, powers):  # type: ignore[no-untyped-def]
    """Read solids until the text ends, an error occurs or an output array is full.

    Args:
        text: The bytes of the file, uint8.
        i: Offset at which to start.
        solid_end: Offset after the last solid that has been read.
        vertices: Output array of vertices, (n, 3) uint64: the bits of float64 coordinates.
        table: Hash table of the vertices for :func:`corners.place`.
        count: Number of vertices so far: the first free row of ``vertices``.
        faces: Output array of vertex indices, three for each face.
        corner_count: Number of vertex indices so far: the first free position in ``faces``.
        powers: :data:`tokens.POWERS`.

    Returns:
        The offset where reading stopped, then the new values of ``solid_end``, ``count`` and ``corner_count``, then the
        status. With status _FULL, reading stopped before the first vertex that did not fit. With OK, it
        stopped at the end of the text; with any other status, at the word that caused the error.
    """
    corner = 0  # number of corners of the current facet so far
    in_solid = False
    point = np.empty(3)
    bits = point.view(np.uint64)
    while True:
        i = skip_space(text, i)
        if i >= text.size:
            return i, solid_end, count, corner_count, (_TRUNCATED if in_solid else OK)
        word, end = _next_keyword(text, i)
        if text[i] == _COMMENT:
            end = skip_line(text, end)
        elif word == _VERTEX:
            if corner == 0 and (corner_count + 3 > faces.size or count + 3 > vertices.shape[0]):
                return i, solid_end, count, corner_count, _FULL
            if corner == 3:
                return i, solid_end, count, corner_count, _BAD_FACET
            in_solid = True
            for axis in range(3):
                value, end, status = number(text, end, powers)
                if status == NOT_FINITE:
                    value, end, status = np.nan, skip_word(text, end), OK
                if status != OK:
                    return i, solid_end, count, corner_count, _BAD_FACET
                point[axis] = value
            if not _ends_vertex(text, end):
                return i, solid_end, count, corner_count, _BAD_FACET
            vertex = place(vertices, count, table, bits[0], bits[1], bits[2])
            count += vertex == count
            faces[corner_count + corner] = vertex
            corner += 1
        elif word == _END_LOOP:
            if corner != 3:
                return i, solid_end, count, corner_count, _BAD_FACET
            corner_count += 3
            corner = 0
        elif word in (_FACET, _SOLID, _END_SOLID):
            if corner != 0:
                return i, solid_end, count, corner_count, _BAD_FACET
            if word != _FACET:
                end = skip_line(text, end)  # skip the name, which may be anything
            if word == _END_SOLID:
                solid_end = end
                in_solid = False
        i = end
