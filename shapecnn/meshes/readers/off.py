"""Reader of Geomview OFF files, text and binary: the format of ModelNet and the Princeton Shape Benchmark.

The reader accepts the variants that occur in practice: a header without a space before the counts (``OFF490 518 0``),
CRLF and CR line ends, comments, blank lines, normals, colours, texture coordinates, homogeneous coordinates, polygons
(cut into triangles), vertices and faces on several lines, no OFF keyword, and anything after the last face. It checks
the counts in the header against the size of the file before it allocates memory. Missing lines are an error.

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
from shapecnn.meshes.readers.triangles import Triangles, enlarge, note_ignored, triangulate
from shapecnn.shared.jit import numba

# All quantifiers are possessive: a malformed header with a million spaces or comments is then refused in one pass.
_BLANK = rb"(?:[ \t\f\v\r\n]++|#[^\r\n]*+)*+"
_KEYWORD = re.compile(
    # the letters occur in any order, as MeshLab writes NCOFF
    rb"(?:\xef\xbb\xbf)?" + _BLANK + rb"(?:((?:ST|C|N)*+)(4)?(n)?(?:OFF|off)(?:[ \t]*+(BINARY)[ \t]*+\r?+\n)?)?"
)
_COUNTS = re.compile(
    _BLANK + rb"(\d{1,18})(?=[\s#])" + _BLANK + rb"(\d{1,18})"
    # the optional number of edges, which may be on a separate line
    rb"(?:[ \t]++-?\d++|[ \t]*+(?:#[^\r\n]*+)?[\r\n]++[ \t]*+\d++(?=[ \t]*+[\r\n#]))?"
    rb"[ \t]*+(?:#[^\r\n]*+)?(?=[\r\n]|\Z)"
)  # fmt: skip
_EXTRAS = {b"N": 3, b"C": 4, b"ST": 2}  # number of floats of a normal, a colour, a texture coordinate
_END, _INDEX, _FULL = range(4, 7)  # status codes of the kernels in addition to those of number()


def read_off(data: bytes | mmap) -> Triangles:
    """Read the triangles of an OFF file.

    Numbers with up to 15 digits and 22 decimal places are parsed exactly, others with a tiny rounding error.

    Args:
        data: The content of the file.

    Returns:
        n vertices, (n, 3) float64; m ≥ 0 faces, (m, 3) int32; and a note if bytes after the last face were ignored.

    Raises:
        MeshError: The file cannot be read (kinds: format, truncated, not-finite, index).
    """
    keyword = _KEYWORD.match(data)
    assert keyword is not None  # all parts of the pattern are optional
    if keyword[3]:
        raise MeshError("format", "the nOFF variant (any dimension) is not supported: convert the file to plain OFF")
    width = 4 if keyword[2] else 3
    if keyword[4]:
        extra = sum(floats for letter, floats in _EXTRAS.items() if letter in keyword[1])
        vertices, corners, sizes, position = _read_binary(data, keyword.end(), width, extra)
    else:
        vertices, corners, sizes, position = _read_text(data, keyword.end(), width)
    if width == 4:
        with np.errstate(all="ignore"):  # infinite results become errors later
            vertices = vertices[:, :3] / vertices[:, 3:]
    faces = triangulate(vertices, corners, sizes)
    rest = data[position:].strip(b" \t\r\n\f\v\0\x1a")  # padding of some programs
    return Triangles(vertices, faces, note_ignored(len(rest), f"the last of the {len(sizes)} faces"))


_Polygons = tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32], int]
"""Vertices, (n, 3 or 4); all k vertex indices of the faces, (k,); corners of each of p faces, (p,); end offset."""


def _read_text(data: bytes | mmap, position: int, width: int) -> _Polygons:
    header = _COUNTS.match(data, position)
    if header is None:
        raise MeshError("format", "not OFF text: the file does not begin with OFF and the counts of vertices and faces")
    nv, nf = int(header[1]), int(header[2])
    text = np.frombuffer(data, np.uint8)
    _require_room(nv, nf, nv * 6 + nf * 2, len(data) - header.end(), len(data))  # shortest: "\n0 0 0", "\n0"
    vertices = np.empty((nv, width))
    position, vertex, status = _read_vertices(text, header.end(), vertices, POWERS)
    if status != OK:
        raise _error("vertex", vertex, nv, status, nv)
    sizes = np.empty(nf, np.int32)
    corners = np.empty(3 * nf, np.int32)
    face = count = 0
    while True:
        position, face, count, status = _read_faces(text, position, face, nv, sizes, corners, count, POWERS)
        if status != _FULL:
            break
        corners = enlarge(corners)  # not all faces are triangles
    if status != OK:
        raise _error("face", face, nf, status, nv)
    return vertices, corners[:count], sizes, _skip_to_content(text, position)


def _read_binary(data: bytes | mmap, position: int, width: int, extra: int) -> _Polygons:
    """Read the content of a binary OFF file, in the layout of Geomview or of OpenMesh and pmp-library.

    All numbers have 32 bits. After the ``width`` coordinates of each vertex, ``extra`` floats follow. Geomview writes
    big-endian numbers, and colours after each face. OpenMesh and pmp-library write native byte order and no colours.
    The second layout is tried only if Geomview's does not fit the file. It must then fit up to the last byte.
    """
    words = np.frombuffer(data, ">i4", (len(data) - position) // 4, position)
    if not _fits(words, width + extra) and _fits(words.view("<i4"), width + extra):
        words = words.view("<i4")
    if len(words) < 3 or min(words[:2]) < 0:
        raise MeshError("format", "not a valid binary OFF file: the header lacks the counts of vertices and faces")
    nv, nf = int(words[0]), int(words[1])
    _require_room(nv, nf, 4 * (nv * (width + extra) + 2 * nf), 4 * (len(words) - 3), len(data))
    last = 3 + nv * (width + extra)
    floats = words[3:last].view(words.dtype.str.replace("i", "f")).reshape(nv, width + extra)
    words = words[last:].astype(np.int32)
    sizes = np.empty(nf, np.int32)
    corners = np.empty(len(words), np.int32)
    end, face, corner_count, status = _walk_faces(words, nv, True, sizes, corners)
    if status != OK:
        end, _, corner_count, colourless = _walk_faces(words, nv, False, sizes, corners)
        if colourless != OK or end < len(words) or sizes.min() < 3:  # a size of 0 is a count of colours
            raise _error("face", face, nf, status, nv)
    return floats[:, :width].astype(np.float64), corners[:corner_count], sizes, position + 4 * (last + end)


def _fits(words: NDArray[np.int32], width: int) -> bool:
    """Return whether the counts at the start of a binary file fit its length, given ``width`` numbers per vertex."""
    if len(words) < 3:
        return False
    nv, nf = map(int, words[:2])
    return min(nv, nf) >= 0 and nv * width + 2 * nf <= len(words) - 3


def _require_room(nv: int, nf: int, least: int, room: int, size: int) -> None:
    """Raise MeshError (truncated) if the vertices and faces need ``least`` bytes, but only ``room`` bytes follow."""
    if least > room:
        promise = f"the header declares {counted(nv, 'vertex', 'vertices')} and {counted(nf, 'face')}"
        raise MeshError("truncated", f"{promise}, more than a file of {size} bytes can hold")


def _error(what: str, index: int, total: int, status: int, nv: int) -> MeshError:
    """Return the error for an invalid ``what``, vertex or face: number ``index``, counted from 0, of ``total``."""
    place = f"{what} {index + 1} of {total}"
    if status == _END:
        promise = counted(total, what, "vertices" if what == "vertex" else "faces")
        return MeshError("truncated", f"the header declares {promise}, but the file contains only {index}")
    if status == NOT_FINITE:
        return MeshError("not-finite", f"{place} contains a number that is not finite")
    if status == _INDEX:
        return MeshError("index", f"{place} refers to a vertex that does not exist: the file has {nv} vertices")
    if status == SHORT:
        return MeshError("truncated", f"the line of {place} has too few numbers")
    wanted = "a number" if what == "vertex" else "a valid whole number"
    return MeshError("format", f"{place} contains a value that is not {wanted}")


@numba.njit(cache=True)
def _skip_to_content(text, i):  # type: ignore[no-untyped-def]
    """Return the offset of the first byte from ``i`` on that is neither white space nor part of a comment."""
    n = text.size
    while i < n:
        c = text[i]
        if c == 35:  # '#'
            i = skip_line(text, i)
        elif c == 32 or 9 <= c <= 13:
            i += 1
        else:
            break
    return i


@numba.njit(cache=True)
def _next_number(text, i, powers, over):  # type: ignore[no-untyped-def]
    """Parse the next number; return value, offset after it, status code, and whether it is on a later line."""
    value, after, status = number(text, i, powers)
    if status == SHORT:
        below = _skip_to_content(text, i)
        if below < text.size:
            value, after, status = number(text, below, powers)
            over = True
    return value, after, status, over


@numba.njit(cache=True)
def _end_of_record(text, i, over):  # type: ignore[no-untyped-def]
    """Skip the rest of the line after a vertex or face, such as colours; return the offset of its end and the status.

    If the numbers began on an earlier line (``over``), more text means that the earlier line is too short: SHORT.
    """
    end = skip_line(text, i)
    if over:
        i = skip_blanks(text, i)
        if i < end and text[i] != 35:
            return end, SHORT
    return end, OK


@numba.njit(cache=True)
def _read_vertices(text, i, out, powers):  # type: ignore[no-untyped-def]
    """Read vertex coordinates into ``out``, without normals and colours; return offset, number of vertices, status."""
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
def _read_faces(text, i, face, nv, sizes, out, corner_count, powers):  # type: ignore[no-untyped-def]
    """Read the faces in the text at offset ``i``, after ``face`` faces with ``corner_count`` corners in all were read.

    Append the number of corners of each face to ``sizes``, and its vertex indices to ``out``. Return the offset
    at the end (at the next face if ``out`` is full), the numbers of faces and corners read so far, and the status.
    """
    while face < sizes.size:
        start = i = _skip_to_content(text, i)
        if i >= text.size:
            return i, face, corner_count, _END
        size, i = whole(text, i)
        if size < 0:
            value, i, status = number(text, i, powers)
            if status != OK:
                return i, face, corner_count, status
            if value < 0 or value != np.floor(value):
                return i, face, corner_count, MALFORMED
            size = int(min(value, 4e9))
        if size > text.size - i:
            return i, face, corner_count, SHORT
        if corner_count + size > out.size:
            return start, face, corner_count, _FULL
        over = False
        for k in range(size):
            corner, i = whole(text, i)
            if corner < 0:
                value, i, status, over = _next_number(text, i, powers, over)
                if status != OK:
                    return i, face, corner_count, status
                if value != np.floor(value):
                    return i, face, corner_count, MALFORMED
                corner = int(max(min(value, 4e9), -1.0))
            if not 0 <= corner < nv:
                return i, face, corner_count, _INDEX
            out[corner_count + k] = corner
        i, status = _end_of_record(text, i, over)
        if status != OK:
            return i, face, corner_count, status
        sizes[face] = size
        corner_count += size
        face += 1
    return i, face, corner_count, OK


@numba.njit(cache=True)
def _walk_faces(words, nv, coloured, sizes, out):  # type: ignore[no-untyped-def]
    """Read all faces of a binary file (with colours if ``coloured``): offset, face count, corner count and status."""
    i = corner_count = 0
    for face in range(sizes.size):
        if i >= words.size:
            return i, face, corner_count, _END
        size = words[i]
        if size < 0:
            return i, face, corner_count, MALFORMED
        if size > words.size - i - (2 if coloured else 1):
            return i, face, corner_count, _END
        for k in range(size):
            corner = words[i + 1 + k]
            if not 0 <= corner < nv:
                return i, face, corner_count, _INDEX
            out[corner_count + k] = corner
        i += 1 + size
        if coloured:
            if words[i] < 0:
                return i, face, corner_count, MALFORMED
            if words[i] > words.size - i - 1:
                return i, face, corner_count, _END
            i += 1 + words[i]
        sizes[face] = size
        corner_count += size
    return i, sizes.size, corner_count, OK
