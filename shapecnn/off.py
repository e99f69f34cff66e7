"""A fast reader of Geomview OFF text, the format of ModelNet and the Princeton Shape Benchmark.

Takes what is out there: the header glued to the counts (``OFF490 518 0``), CRLF and CR line ends, comments,
blank lines, vertex normals and colours, face colours, polygons (cut into a fan of triangles), and no header
at all. The counts of the header are promises, not facts: nothing is allocated on their word, and a file that
holds fewer or more lines is an error that says so.

Format: http://www.geomview.org/docs/html/OFF.html
"""

from __future__ import annotations

import re

import numpy as np

from shapecnn.errors import MeshError
from shapecnn.jit import numba
from shapecnn.tokens import MALFORMED, NOT_FINITE, OK, POWERS, SHORT, number, skip_line
from shapecnn.triangles import Triangles

# Possessive throughout: a header of a million spaces or comments is refused in one pass.
_BLANK = rb"(?:[ \t\f\v\r\n]++|#[^\r\n]*+)*+"
_KEYWORD = re.compile(rb"(?:\xef\xbb\xbf)?" + _BLANK + rb"(?:(?:ST)?C?N?(4)?(n)?OFF(?:[ \t]*+(BINARY))?)?" + _BLANK)
_COUNTS = re.compile(rb"(\d{1,18})[ \t\r\n]++(\d{1,18})(?:[ \t]++\d++)?[ \t]*+(?:#[^\r\n]*+)?(?=[\r\n]|\Z)")

_END, _INDEX, _FULL = range(4, 7)  # what else a kernel may find


def read_off(data: bytes) -> Triangles:
    """The triangles of an OFF file, faces int32.

    Numbers of up to 15 digits and 22 decimal places are read exactly, others to within a few units in the last place.
    Raises MeshError: format, truncated, not-finite, index.
    """
    keyword = _KEYWORD.match(data)
    assert keyword is not None  # every part of it is optional
    if any(keyword.groups()):
        raise MeshError("format", "binary and four-dimensional OFF are not supported: convert it to plain OFF")
    header = _COUNTS.match(data, keyword.end())
    if header is None:
        raise MeshError("format", "not OFF text: it does not begin with OFF and the counts of vertices and faces")
    nv, nf = int(header[1]), int(header[2])
    text = np.frombuffer(data, np.uint8)
    if nv * 6 + nf * 2 > len(data) - header.end():  # "\n0 0 0" and "\n0" are the shortest lines there are
        promise = f"the header promises {nv} vertices and {nf} faces"
        raise MeshError("truncated", f"{promise}, more than its {len(data)} bytes can hold")

    vertices = np.empty((nv, 3))
    position, done, status = _read_vertices(text, header.end(), vertices, POWERS)
    if status != OK:
        raise _complaint("vertex", done, nv, status, nv)

    faces = np.empty((nf, 3), np.int32)
    done = filled = 0
    while True:
        position, done, filled, status = _read_faces(text, position, done, nf, nv, faces, filled, POWERS)
        if status != _FULL:
            break
        # Polygons: more triangles than faces.
        faces = np.concatenate([faces, np.empty((max(len(faces), 64), 3), np.int32)])
    if status != OK:
        raise _complaint("face", done, nf, status, nv)
    if not _only_space(text, position):
        promise = f"the {nv} vertices and {nf} faces its header promises"
        raise MeshError("format", f"the file goes on after {promise}")
    return Triangles(vertices, faces[:filled])


def _complaint(what: str, done: int, promised: int, status: int, nv: int) -> MeshError:
    place = f"{what} {done + 1} of {promised}"
    if status == _END:
        plural = "vertices" if what == "vertex" else "faces"
        return MeshError("truncated", f"the header promises {promised} {plural}, the file ends after {done}")
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
def _only_space(text, i):  # type: ignore[no-untyped-def]
    i = _skip_to_content(text, i)
    return i >= text.size or text[i] == 0  # some exporters pad with NUL


@numba.njit(cache=True)
def _read_vertices(text, i, out, powers):  # type: ignore[no-untyped-def]
    """Fill ``out``, passing over normals and colours; returns (position, vertices read, status)."""
    for v in range(out.shape[0]):
        i = _skip_to_content(text, i)
        if i >= text.size:
            return i, v, _END
        for k in range(3):
            value, i, status = number(text, i, powers)
            if status != OK:
                return i, v, status
            out[v, k] = value
        i = skip_line(text, i)
    return i, out.shape[0], OK


@numba.njit(cache=True)
def _read_faces(text, i, done, nf, nv, out, filled, powers):  # type: ignore[no-untyped-def]
    """Read faces from number ``done`` on into ``out`` from row ``filled`` on.

    Returns (position, faces read, rows filled, status). With status _FULL the position is that of the face
    that did not fit.
    """
    while done < nf:
        start = i = _skip_to_content(text, i)
        if i >= text.size:
            return i, done, filled, _END
        value, i, status = number(text, i, powers)
        if status != OK:
            return i, done, filled, status
        if value < 0 or value != np.floor(value):
            return i, done, filled, MALFORMED
        corners = int(min(value, 4e9))
        if corners > text.size - i:
            return i, done, filled, SHORT
        if filled + corners - 2 > out.shape[0]:
            return start, done, filled, _FULL
        first = previous = 0
        for k in range(corners):
            value, i, status = number(text, i, powers)
            if status != OK:
                return i, done, filled, status
            if value < 0 or value >= nv:
                return i, done, filled, _INDEX
            if value != np.floor(value):
                return i, done, filled, MALFORMED
            corner = int(value)
            if k == 0:
                first = corner
            elif k >= 2:
                out[filled, 0] = first
                out[filled, 1] = previous
                out[filled, 2] = corner
                filled += 1
            previous = corner
        i = skip_line(text, i)
        done += 1
    return i, done, filled, OK
