"""Reader of text STL: the facets of all solids as one mesh, with equal corners merged.

It accepts the variants that occur in practice: any names of solids, keywords in any case, ``end solid`` and
``end loop``, facets on one line or many, LF, CRLF and CR line ends, any normals, which are ignored, and anything after
the last ``endsolid``. A file that ends within a solid is truncated and refused.

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

_FULL, _BAD_FACET, _TRUNCATED = range(4, 7)  # further statuses of the kernel
_VERTEX, _END_LOOP, _END_SOLID, _SOLID, _FACET, _LOOP, _END = (
    int.from_bytes(word, "big") for word in (b"vertex", b"endloop", b"endsolid", b"solid", b"facet", b"loop", b"end")
)
_COMMENT = ord("#")  # some writers begin with a comment line
_CLOSED = re.compile(rb"(?<!\S)end[ \t]*solid(?!\S)", re.IGNORECASE)


def read_text_stl(data: bytes | mmap) -> Triangles:
    """Read the triangles of all solids of a text STL file.

    Args:
        data: The content of the file.

    Returns:
        Vertices (n, 3) float64, no two with the same bits, and faces (m, 3) int32, m ≥ 1, both in order of appearance;
        a note if bytes after the last solid were ignored. A coordinate that is not a finite number is NaN.

    Raises:
        MeshError: format, truncated, no-faces.
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
    """Return a hash table for :func:`corners.place` with these distinct vertices, and space for ``room`` in all."""
    table = np.full(1 << (2 * room).bit_length(), -1, np.int32)
    place_all(vertices.view(np.uint64), table, np.empty(len(vertices), np.int32))
    return table


@numba.njit(cache=True)
def _keyword(text, start, end):  # type: ignore[no-untyped-def]
    """Return the letters of a word, in lower case, as the bytes of one big-endian number; 0 for more than eight."""
    word = 0
    if end - start <= 8:
        for k in range(start, end):
            word = word << 8 | text[k] | 32
    return word


@numba.njit(cache=True)
def _next_keyword(text, i):  # type: ignore[no-untyped-def]
    """Return the keyword at ``i`` and its end; ``end solid`` and ``end loop`` on one line are one keyword each."""
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
    """Return whether a vertex may end at ``i``: at a line end, or before the next vertex or the end of the loop."""
    i = skip_blanks(text, i)
    if i >= text.size or 10 <= text[i] <= 13:
        return True
    word, _ = _next_keyword(text, i)
    return word in (_VERTEX, _END_LOOP)


@numba.njit(cache=True)
def _read(text, i, solid_end, vertices, table, count, faces, corner_count, powers):  # type: ignore[no-untyped-def]
    """Read from ``i`` on into ``vertices`` (as bits) from row ``count`` on and into ``faces`` from ``corner_count`` on.

    Return (position, end of the last solid, vertices, corners, status). Unless the status is OK, the position is that
    of the word at fault, or of the first vertex that did not fit.
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
