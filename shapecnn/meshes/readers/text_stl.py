"""A fast reader of text STL: the facets of all its solids as one mesh, their corners joined.

Takes what is out there: solids whose names hold anything, keywords in any case, ``end solid`` and ``end loop``, facets
on one line or many, LF, CRLF and CR line ends, normals of any kind, which are not looked at, and anything behind the
last ``endsolid``. A file that ends within a solid is cut short, and refused.

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
from shapecnn.meshes.readers.triangles import Triangles, grown, ignored
from shapecnn.shared.jit import numba

_FULL, _UNSOUND, _CUT = range(4, 7)  # what else a kernel may find
_VERTEX, _END_LOOP, _END_SOLID, _SOLID, _FACET, _LOOP, _END = (
    int.from_bytes(word, "big") for word in (b"vertex", b"endloop", b"endsolid", b"solid", b"facet", b"loop", b"end")
)
_COMMENT = ord("#")  # some writers begin with a line of it
_CLOSED = re.compile(rb"(?<!\S)end[ \t]*solid(?!\S)", re.IGNORECASE)


def read_text_stl(data: bytes | mmap) -> Triangles:
    """The triangles, one or more, of all solids of a text STL.

    Returns:
        Faces are int32; no two vertices have the same bits; both are in order of appearance. A coordinate that is not
        a finite number is NaN.

    Raises:
        MeshError: format, truncated, no-faces.
    """
    text = np.frombuffer(data, np.uint8)
    position = ended = len(codecs.BOM_UTF8) if data[:3] == codecs.BOM_UTF8 else 0
    vertices, faces = np.empty((1024, 3)), np.empty((1024, 3), np.int32)
    table, count, filled = _table(vertices[:0], len(vertices)), 0, 0
    while True:
        position, ended, count, filled, status = _read(
            text, position, ended, vertices.view(np.uint64), table, count, faces.reshape(-1), filled, POWERS
        )
        if status != _FULL:
            break
        if filled + 3 > faces.size:
            faces = grown(faces)
        if count + 3 > len(vertices):
            vertices = grown(vertices)
            table = _table(vertices[:count], len(vertices))
    if status == _CUT or (status == _UNSOUND and not _CLOSED.search(data, position)):
        raise MeshError("truncated", "it ends within a solid, without endsolid")
    if status == _UNSOUND:
        line = line_number(data, position)
        raise MeshError("format", f"line {line}: a facet has not three corners of three coordinates")
    if not filled:
        raise MeshError("no-faces", "no faces are found in it: it ends early, or is not STL")
    rest = data[ended:].strip(b" \t\r\n\v\f\0\x1a")
    return Triangles(vertices[:count], faces[: filled // 3], ignored(len(rest), "the last endsolid"))


def _table(vertices: NDArray[np.float64], room: int) -> NDArray[np.int32]:
    """Where :func:`corners.place` finds these vertices, all distinct, and more, up to ``room``."""
    table = np.full(1 << (2 * room).bit_length(), -1, np.int32)
    place_all(vertices.view(np.uint64), table, np.empty(len(vertices), np.int32))
    return table


@numba.njit(cache=True)
def _keyword(text, start, end):  # type: ignore[no-untyped-def]
    """The letters of a word in lower case as one number, its first the highest byte; 0 of more than eight."""
    word = 0
    if end - start <= 8:
        for k in range(start, end):
            word = word << 8 | text[k] | 32
    return word


@numba.njit(cache=True)
def _next_keyword(text, i):  # type: ignore[no-untyped-def]
    """The word at ``i`` and where it ends; ``end`` before ``solid`` or ``loop`` on the same line is one with it."""
    end = skip_word(text, i)
    word = _keyword(text, i, end)
    if word == _END:
        start = skip_blanks(text, end)
        behind = skip_word(text, start)
        following = _keyword(text, start, behind)
        if following == _SOLID:
            return _END_SOLID, behind
        if following == _LOOP:
            return _END_LOOP, behind
        if following == _FACET:
            return 0, behind
    return word, end


@numba.njit(cache=True)
def _ends_vertex(text, i):  # type: ignore[no-untyped-def]
    """Whether a vertex may end at ``i``: with its line, or where the next vertex or the end of the loop follows."""
    i = skip_blanks(text, i)
    if i >= text.size or 10 <= text[i] <= 13:
        return True
    word, _ = _next_keyword(text, i)
    return word in (_VERTEX, _END_LOOP)


@numba.njit(cache=True)
def _read(text, i, ended, vertices, table, count, faces, filled, powers):  # type: ignore[no-untyped-def]
    """Read on from ``i``, into ``vertices`` (as bits) from row ``count`` on and into ``faces`` from ``filled`` on.

    Returns (position, where the last solid ended, vertices, corners filled, status). With another status than OK the
    position is that of the word that is to blame, or of the first vertex that did not fit.
    """
    held = 0  # corners of the facet that is being read
    within = False  # a solid
    point = np.empty(3)
    bits = point.view(np.uint64)
    while True:
        i = skip_space(text, i)
        if i >= text.size:
            return i, ended, count, filled, (_CUT if within else OK)
        word, end = _next_keyword(text, i)
        if text[i] == _COMMENT:
            end = skip_line(text, end)
        elif word == _VERTEX:
            if held == 0 and (filled + 3 > faces.size or count + 3 > vertices.shape[0]):
                return i, ended, count, filled, _FULL
            if held == 3:
                return i, ended, count, filled, _UNSOUND
            within = True
            for axis in range(3):
                value, end, status = number(text, end, powers)
                if status == NOT_FINITE:
                    value, end, status = np.nan, skip_word(text, end), OK
                if status != OK:
                    return i, ended, count, filled, _UNSOUND
                point[axis] = value
            if not _ends_vertex(text, end):
                return i, ended, count, filled, _UNSOUND
            placed = place(vertices, count, table, bits[0], bits[1], bits[2])
            count += placed == count
            faces[filled + held] = placed
            held += 1
        elif word == _END_LOOP:
            if held != 3:
                return i, ended, count, filled, _UNSOUND
            filled += 3
            held = 0
        elif word in (_FACET, _SOLID, _END_SOLID):
            if held != 0:
                return i, ended, count, filled, _UNSOUND
            if word != _FACET:
                end = skip_line(text, end)  # the name, which may be anything
            if word == _END_SOLID:
                ended = end
                within = False
        i = end
