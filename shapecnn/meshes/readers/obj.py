"""Reader of Wavefront OBJ files: all vertices (``v``) and faces (``f``) of a file become one mesh.

The reader accepts the variants that occur in practice: texture and normal indices after slashes, negative indices
that count back from the last vertex, weights or colours after coordinates, lines continued with a backslash, comments,
and LF, CRLF and CR line ends. All other statements (groups, materials, lines, points, curves) are skipped.

Format: https://paulbourke.net/dataformats/obj/
"""

from __future__ import annotations

import codecs
from mmap import mmap

import numpy as np

from shapecnn.errors import MeshError
from shapecnn.meshes.readers.tokens import (
    MALFORMED,
    NOT_FINITE,
    OK,
    POWERS,
    SHORT,
    line_number,
    number,
    skip_line,
    skip_word,
)
from shapecnn.meshes.readers.triangles import Triangles, triangulate
from shapecnn.shared.jit import numba

_INDEX = 4  # status code in addition to those of number(): a face refers to a vertex that does not exist
_FAR = 1 << 40  # larger vertex indices are clipped to this number, which exceeds any vertex count


def read_obj(data: bytes | mmap) -> Triangles:
    """Read the triangles of an OBJ file.

    Args:
        data: The content of the file.

    Returns:
        The n vertices, (n, 3) float64, and the m ≥ 1 faces, (m, 3) int32. A coordinate that is not a finite number
        becomes NaN. This is not an error here, because perhaps no face uses the vertex.

    Raises:
        MeshError: The file is malformed, has a face with an invalid vertex index, or has no faces (kinds: format,
            index, no-faces).
    """
    text = np.frombuffer(data, np.uint8)
    begin = len(codecs.BOM_UTF8) if data[:3] == codecs.BOM_UTF8 else 0
    vertex_count, face_count, corner_count = _measure(text, begin)
    vertices = np.empty((vertex_count, 3))
    corners = np.empty(corner_count, np.int32)
    sizes = np.empty(face_count, np.int32)
    face_count, corner_count, position, vertices_above, index, status = _read(
        text, begin, vertices, corners, sizes, POWERS
    )
    if status != OK:
        line = f"line {line_number(data, position)}"
        raise _error(line, status, vertices_above, index, vertex_count)
    if not face_count:
        raise MeshError("no-faces", "no faces found: the file contains only points, ends early, or is not OBJ")
    return Triangles(vertices, triangulate(vertices, corners[:corner_count], sizes[:face_count]))


def _error(line: str, status: int, vertices_above: int, index: int, count: int) -> MeshError:
    """Return the error for an invalid vertex or face.

    Args:
        line: The line of the error, such as ``line 5``.
        status: Status code that :func:`_read` returned.
        vertices_above: Number of vertices in the file before this line.
        index: The invalid vertex index as written in the file; 0 for other errors.
        count: Number of vertices in the file.
    """
    if status == SHORT:
        return MeshError("format", f"{line}: a vertex has fewer than three coordinates")
    if status == _INDEX and index > 0:
        return MeshError(
            "index", f"{line}: a face refers to a vertex that does not exist: the file has {count} vertices"
        )
    if status == _INDEX:
        told = f"a face refers to vertex {index}, which does not exist: {vertices_above} vertices precede the face"
        return MeshError("index", f"{line}: {told}")
    return MeshError("format", f"{line}: a coordinate is not a number, or a corner of a face is not a vertex number")


@numba.njit(cache=True)
def _skip_blanks(text, i):  # type: ignore[no-untyped-def]
    """Return the offset of the first byte from ``i`` on that is not blank.

    A backslash before a line end continues the line, so both count as blank.
    """
    n = text.size
    while i < n:
        c = text[i]
        if c == 32 or c == 9 or c == 11 or c == 12:
            i += 1
        elif c == 92 and i + 1 < n and (text[i + 1] == 10 or text[i + 1] == 13):
            i += 3 if text[i + 1] == 13 and i + 2 < n and text[i + 2] == 10 else 2
        else:
            break
    return i


@numba.njit(cache=True)
def _skip_reference(text, i):  # type: ignore[no-untyped-def]
    """Return the offset after the face corner (such as ``3/1/2``) that begins at offset ``i``.

    White space, a comment, or a backslash before a line end ends the corner.
    """
    n = text.size
    while i < n:
        c = text[i]
        if c == 32 or 9 <= c <= 13 or c == 35:
            break
        if c == 92 and i + 1 < n and (text[i + 1] == 10 or text[i + 1] == 13):
            break
        i += 1
    return i


@numba.njit(cache=True)
def _ends_line(text, i):  # type: ignore[no-untyped-def]
    return i >= text.size or text[i] == 10 or text[i] == 13 or text[i] == 35


@numba.njit(cache=True)
def _next_statement(text, i):  # type: ignore[no-untyped-def]
    """Find the next line with a vertex or a face, from the line beginning at offset ``i`` on.

    Returns:
        The character code of the keyword, ``v`` or ``f``, and the offset after the keyword. At the end of the text the
        code is 0.
    """
    n = text.size
    while i < n:
        while i < n and (text[i] == 32 or 9 <= text[i] <= 13):
            i += 1
        end = skip_word(text, i)
        if end == i + 1 and (text[i] == 118 or text[i] == 102):
            return int(text[i]), end
        if end == i + 2 and text[i] == 102 and text[i + 1] == 111:  # "fo" is an old keyword for faces
            return 102, end
        i = skip_line(text, end)
    return 0, i


@numba.njit(cache=True)
def _measure(text, i):  # type: ignore[no-untyped-def]
    """Count the vertices, the faces and the corners of all faces from offset ``i`` on, to allocate arrays.

    The counts are upper bounds, because the lines are not checked.
    """
    vertices = faces = corners = 0
    while True:
        kind, i = _next_statement(text, i)
        if kind == 0:
            return vertices, faces, corners
        if kind == 118:
            vertices += 1
        else:
            faces += 1
            i = _skip_blanks(text, i)
            while not _ends_line(text, i):
                corners += 1
                i = _skip_blanks(text, _skip_reference(text, i))
        i = skip_line(text, i)


@numba.njit(cache=True)
def _whole(text, i):  # type: ignore[no-untyped-def]
    """Parse the vertex index at offset ``i``, which a slash may follow; return its value and the status."""
    n = text.size
    negative = text[i] == 45
    if negative or text[i] == 43:
        i += 1
    start = i
    value = 0
    while i < n and 48 <= text[i] <= 57:
        value = min(value * 10 + int(text[i]) - 48, _FAR)
        i += 1
    valid = i > start and (i == n or text[i] == 47 or _skip_reference(text, i) == i)
    return (-value if negative else value), (OK if valid else MALFORMED)


@numba.njit(cache=True)
def _read(text, i, vertices, corners, sizes, powers):  # type: ignore[no-untyped-def]
    """Read all vertices and faces from offset ``i`` on, except faces with fewer than three corners.

    Args:
        text: The bytes of the file, uint8.
        i: Offset at which to start.
        vertices: Output array of vertex coordinates, one row for each vertex of the file.
        corners: Output array of vertex indices (from 0) of all faces one after the other.
        sizes: Output array with the number of corners of each face.
        powers: :data:`tokens.POWERS`.

    Returns:
        The number of faces read, the number of corners read, the offset where reading stopped (after an error: an
        offset in the invalid line), the number of vertices read, the invalid vertex index (0 if none), and the status.
    """
    vertex_count = face_count = corner_count = 0
    while True:
        kind, i = _next_statement(text, i)
        if kind == 0:
            return face_count, corner_count, i, vertex_count, 0, OK
        line = i
        if kind == 118:
            for axis in range(3):
                i = _skip_blanks(text, i)
                value, end, status = number(text, i, powers)
                if status == NOT_FINITE:
                    value, end, status = np.nan, skip_word(text, i), OK
                if status != OK:
                    return face_count, corner_count, line, vertex_count, 0, status
                vertices[vertex_count, axis] = value
                i = end
            vertex_count += 1
        else:
            start = corner_count
            wrong = False
            index = 0
            i = _skip_blanks(text, i)
            while not _ends_line(text, i):
                value, status = _whole(text, i)
                if status != OK:
                    return face_count, corner_count, line, vertex_count, 0, status
                corner = value - 1 if value > 0 else vertex_count + value
                if value == 0 or not 0 <= corner < vertices.shape[0]:
                    if not wrong:
                        index = value
                    wrong = True
                    corner = 0
                corners[corner_count] = corner
                corner_count += 1
                i = _skip_blanks(text, _skip_reference(text, i))
            if corner_count - start < 3:
                corner_count = start
            elif wrong:
                return face_count, corner_count, line, vertex_count, index, _INDEX
            else:
                sizes[face_count] = corner_count - start
                face_count += 1
        i = skip_line(text, i)
