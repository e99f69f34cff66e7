"""A fast reader of Geomview OFF, the format of ModelNet and the Princeton Shape Benchmark, as text and binary.

Takes what is out there: the header glued to the counts (``OFF490 518 0``), CRLF and CR line ends, comments,
blank lines, normals, colours and texture coordinates, homogeneous coordinates, polygons (cut into triangles:
:mod:`triangles`), vertices and faces over several lines, no header at all, and anything behind the last face.
The counts of the header are promises, not facts: nothing is allocated on their word, and a file that holds fewer lines
is an error that says so.

Format: http://www.geomview.org/docs/html/OFF.html
"""

from __future__ import annotations

import re
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, counted
from shapecnn.meshes.readers.tokens import (
    MALFORMED,
    NOT_FINITE,
    OK,
    POWERS,
    SHORT,
    number,
    skip_blanks,
    skip_line,
    whole,
)
from shapecnn.meshes.readers.triangles import Triangles, grown, ignored, triangulate
from shapecnn.shared.jit import numba

# Possessive throughout: a header of a million spaces or comments is refused in one pass.
_BLANK = rb"(?:[ \t\f\v\r\n]++|#[^\r\n]*+)*+"
_KEYWORD = re.compile(
    # MeshLab writes NCOFF
    rb"(?:\xef\xbb\xbf)?" + _BLANK + rb"(?:((?:ST|C|N)*+)(4)?(n)?(?:OFF|off)(?:[ \t]*+(BINARY)[ \t]*+\r?+\n)?)?"
)
_COUNTS = re.compile(
    _BLANK + rb"(\d{1,18})(?=[\s#])" + _BLANK + rb"(\d{1,18})"
    # edges, which may stand on a line of their own
    rb"(?:[ \t]++-?\d++|[ \t]*+(?:#[^\r\n]*+)?[\r\n]++[ \t]*+\d++(?=[ \t]*+[\r\n#]))?"
    rb"[ \t]*+(?:#[^\r\n]*+)?(?=[\r\n]|\Z)"
)  # fmt: skip
_BESIDE = {b"N": 3, b"C": 4, b"ST": 2}  # floats of a normal, a colour, a place in a texture
_END, _INDEX, _FULL = range(4, 7)  # what else a kernel may find


def read_off(data: bytes | mmap) -> Triangles:
    """The triangles of an OFF file, faces int32.

    Numbers of up to 15 digits and 22 decimal places are read exactly, others to within a few units in the last place.
    Raises MeshError: format, truncated, not-finite, index.
    """
    keyword = _KEYWORD.match(data)
    assert keyword is not None  # every part of it is optional
    if keyword[3]:
        raise MeshError(
            "format", "it is nOFF, whose vertices may have any number of dimensions: convert it to plain OFF"
        )
    width = 4 if keyword[2] else 3
    if keyword[4]:
        beside = sum(floats for letter, floats in _BESIDE.items() if letter in keyword[1])
        vertices, corners, sizes, position = _read_binary(data, keyword.end(), width, beside)
    else:
        vertices, corners, sizes, position = _read_text(data, keyword.end(), width)
    if width == 4:
        with np.errstate(all="ignore"):  # what becomes infinite is found later
            vertices = vertices[:, :3] / vertices[:, 3:]
    faces = triangulate(vertices, corners, sizes)
    rest = data[position:].strip(b" \t\r\n\f\v\0\x1a")  # some exporters pad, or end the file as CP/M did
    return Triangles(vertices, faces, ignored(len(rest), f"the last of its {len(sizes)} faces"))


_Polygons = tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32], int]
"""Vertices (n, 3 or 4), corners of all faces one after the other (k,), corners of each face (p,), where they end."""


def _read_text(data: bytes | mmap, position: int, width: int) -> _Polygons:
    header = _COUNTS.match(data, position)
    if header is None:
        raise MeshError("format", "not OFF text: it does not begin with OFF and the counts of vertices and faces")
    nv, nf = int(header[1]), int(header[2])
    text = np.frombuffer(data, np.uint8)
    _require_room(nv, nf, nv * 6 + nf * 2, len(data) - header.end(), len(data))  # "\n0 0 0" and "\n0" are the shortest
    vertices = np.empty((nv, width))
    position, done, status = _read_vertices(text, header.end(), vertices, POWERS)
    if status != OK:
        raise _complaint("vertex", done, nv, status, nv)
    sizes = np.empty(nf, np.int32)
    corners = np.empty(3 * nf, np.int32)
    done = filled = 0
    while True:
        position, done, filled, status = _read_faces(text, position, done, nv, sizes, corners, filled, POWERS)
        if status != _FULL:
            break
        corners = grown(corners)  # polygons
    if status != OK:
        raise _complaint("face", done, nf, status, nv)
    return vertices, corners[:filled], sizes, _skip_to_content(text, position)


def _read_binary(data: bytes | mmap, position: int, width: int, beside: int) -> _Polygons:
    """All numbers are of 32 bits.  beside: how many floats follow the coordinates of a vertex.

    Geomview's are big-endian, and behind each face stands how many colours it has. OpenMesh and pmp-library write the
    byte order of their machine, and no colours: so are read those that have no other meaning, to the last number.
    """
    words = np.frombuffer(data, ">i4", (len(data) - position) // 4, position)
    if not _fits(words, width + beside) and _fits(words.view("<i4"), width + beside):
        words = words.view("<i4")
    if len(words) < 3 or min(words[:2]) < 0:
        raise MeshError("format", "not binary OFF: its header does not go on with the counts of vertices and faces")
    nv, nf = int(words[0]), int(words[1])
    _require_room(nv, nf, 4 * (nv * (width + beside) + 2 * nf), 4 * (len(words) - 3), len(data))
    last = 3 + nv * (width + beside)
    floats = words[3:last].view(words.dtype.str.replace("i", "f")).reshape(nv, width + beside)
    words = words[last:].astype(np.int32)
    sizes = np.empty(nf, np.int32)
    corners = np.empty(len(words), np.int32)
    used, done, filled, status = _walk_faces(words, nv, True, sizes, corners)
    if status != OK:
        used, _, filled, without = _walk_faces(words, nv, False, sizes, corners)
        if without != OK or used < len(words) or sizes.min() < 3:  # 0 would be a count of colours
            raise _complaint("face", done, nf, status, nv)
    return floats[:, :width].astype(np.float64), corners[:filled], sizes, position + 4 * (last + used)


def _fits(words: NDArray[np.int32], width: int) -> bool:
    """Whether the numbers that a binary file begins with can be its counts."""
    if len(words) < 3:
        return False
    nv, nf = map(int, words[:2])
    return min(nv, nf) >= 0 and nv * width + 2 * nf <= len(words) - 3


def _require_room(nv: int, nf: int, least: int, room: int, size: int) -> None:
    if least > room:
        promise = f"the header promises {counted(nv, 'vertex', 'vertices')} and {counted(nf, 'face')}"
        raise MeshError("truncated", f"{promise}, more than its {size} bytes can hold")


def _complaint(what: str, done: int, promised: int, status: int, nv: int) -> MeshError:
    place = f"{what} {done + 1} of {promised}"
    if status == _END:
        several = "vertices" if what == "vertex" else "faces"
        told = counted(promised, what, several)
        return MeshError("truncated", f"the header promises {told}, the file ends after {done}")
    if status == NOT_FINITE:
        return MeshError("not-finite", f"{place} is not a finite number")
    if status == _INDEX:
        return MeshError("index", f"{place} names a vertex that does not exist (there are {nv})")
    if status == SHORT:
        return MeshError("truncated", f"the line of {place} ends early")
    return MeshError("format", f"{place} is not made of {'numbers' if what == 'vertex' else 'whole numbers'}")


@numba.njit(cache=True)
def _skip_to_content(text, i):  # type: ignore[no-untyped-def]
    """The first position from ``i`` that is neither white space nor in a comment."""
    n = text.size
    while i < n:
        c = text[i]
        if c == 35:  # '#'
            while i < n and text[i] != 10 and text[i] != 13:
                i += 1
        elif c == 32 or 9 <= c <= 13:
            i += 1
        else:
            break
    return i


@numba.njit(cache=True)
def _next_number(text, i, powers, over):  # type: ignore[no-untyped-def]
    """As :func:`number`, on the lines below if there is none on this one; ``over`` comes back True then."""
    value, after, status = number(text, i, powers)
    if status == SHORT:
        below = _skip_to_content(text, i)
        if below < text.size:
            value, after, status = number(text, below, powers)
            over = True
    return value, after, status, over


@numba.njit(cache=True)
def _end_of_record(text, i, over):  # type: ignore[no-untyped-def]
    """The end of the line, past colours and the like, and whether a record may end so.

    One over several lines ends with its last line: else a line that is too short would take from the next one.
    """
    end = skip_line(text, i)
    if over:
        i = skip_blanks(text, i)
        if i < end and text[i] != 35:
            return end, SHORT
    return end, OK


@numba.njit(cache=True)
def _read_vertices(text, i, out, powers):  # type: ignore[no-untyped-def]
    """Fill ``out``, passing over normals and colours; returns (position, vertices read, status)."""
    for v in range(out.shape[0]):
        i = _skip_to_content(text, i)
        if i >= text.size:
            return i, v, _END
        over = False
        for k in range(out.shape[1]):
            value, i, status, over = _next_number(text, i, powers, over)
            if status != OK:
                return i, v, status
            out[v, k] = value
        i, status = _end_of_record(text, i, over)
        if status != OK:
            return i, v, status
    return i, out.shape[0], OK


@numba.njit(cache=True)
def _read_faces(text, i, done, nv, sizes, out, filled, powers):  # type: ignore[no-untyped-def]
    """Read faces from number ``done`` on, their ``sizes`` and their corners into ``out`` from place ``filled`` on.

    Returns (position, faces read, places filled, status). With status _FULL the position is that of the face
    that did not fit.
    """
    while done < sizes.size:
        start = i = _skip_to_content(text, i)
        if i >= text.size:
            return i, done, filled, _END
        corners, i = whole(text, i)
        if corners < 0:
            value, i, status = number(text, i, powers)
            if status != OK:
                return i, done, filled, status
            if value < 0 or value != np.floor(value):
                return i, done, filled, MALFORMED
            corners = int(min(value, 4e9))
        if corners > text.size - i:
            return i, done, filled, SHORT
        if filled + corners > out.size:
            return start, done, filled, _FULL
        over = False
        for k in range(corners):
            corner, i = whole(text, i)
            if corner < 0:
                value, i, status, over = _next_number(text, i, powers, over)
                if status != OK:
                    return i, done, filled, status
                if value != np.floor(value):
                    return i, done, filled, MALFORMED
                corner = int(max(min(value, 4e9), -1.0))
            if not 0 <= corner < nv:
                return i, done, filled, _INDEX
            out[filled + k] = corner
        i, status = _end_of_record(text, i, over)
        if status != OK:
            return i, done, filled, status
        sizes[done] = corners
        filled += corners
        done += 1
    return i, done, filled, OK


@numba.njit(cache=True)
def _walk_faces(words, nv, coloured, sizes, out):  # type: ignore[no-untyped-def]
    """As :func:`_read_faces`, all faces of a binary file: each its size, its corners, and where they are ``coloured``
    how many colours, and the colours."""
    i = filled = 0
    for done in range(sizes.size):
        if i >= words.size:
            return i, done, filled, _END
        corners = words[i]
        if corners < 0:
            return i, done, filled, MALFORMED
        if corners > words.size - i - (2 if coloured else 1):
            return i, done, filled, _END
        for k in range(corners):
            corner = words[i + 1 + k]
            if not 0 <= corner < nv:
                return i, done, filled, _INDEX
            out[filled + k] = corner
        i += 1 + corners
        if coloured:
            if words[i] < 0:
                return i, done, filled, MALFORMED
            if words[i] > words.size - i - 1:
                return i, done, filled, _END
            i += 1 + words[i]
        sizes[done] = corners
        filled += corners
    return i, sizes.size, filled, OK
