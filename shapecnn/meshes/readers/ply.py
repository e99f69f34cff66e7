"""Reader of PLY files, text and binary: parses the header, then reads vertices, faces and triangle strips.

The reader accepts the variants that occur in practice: elements and properties in any order, unknown elements and
properties; lists of any type and length; polygons of mixed sizes; both byte orders; LF, CRLF and CR line ends; the type
names of all versions. Text is read word by word, as the format prescribes, but each record must end at a line end.
Otherwise a missing or wrong line would spoil all records after it (see :mod:`ply_text`).

Format: https://paulbourke.net/dataformats/ply/
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted, visible
from shapecnn.meshes.readers.ply_binary import read_binary
from shapecnn.meshes.readers.ply_records import CORNERS, SKIPPED, Column, Records
from shapecnn.meshes.readers.ply_text import UNKNOWN, read_text
from shapecnn.meshes.readers.tokens import line_number
from shapecnn.meshes.readers.triangles import Triangles, note_ignored, strip_triangles, triangulate

_LONGEST_HEADER = 1 << 20  # largest size of a header in bytes
_BYTE_ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"int64": "i8", "uint64": "u8"},  # 64-bit types: not in the format, but in use
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
_AXES = ("x", "y", "z")
_KEYWORDS = ("format", "element", "property")  # a header line that begins with one of these is never ignored
_INDICES = ("vertex_indices", "vertex_index")
_USED = (*_AXES, *_INDICES)
_PADDING = b" \t\r\n\v\f\0\x1a"


@dataclass
class _Property:
    name: str
    type: str  # NumPy type name without byte order
    length: str | None = None  # NumPy type name of the list length; None for a scalar


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)

    def columns(self) -> list[Column]:
        """Return one column for each property, with its role: a coordinate, vertex indices, or skipped."""
        lists = {p.name for p in self.properties if p.length}
        indices = next((name for name in _INDICES if name in lists), None)
        columns = []
        for p in self.properties:
            role = SKIPPED
            if self.name == "vertex" and p.name in _AXES and not p.length:
                role = _AXES.index(p.name)
            elif self.name in ("face", "tristrips") and p.name == indices:
                role = CORNERS
            columns.append(Column(role, p.type, p.length))
        return columns


def read_ply(data: bytes | mmap) -> Triangles:
    """Read the triangles of a PLY file.

    Args:
        data: The content of the file.

    Returns:
        The n vertices, (n, 3) float64, the m ≥ 1 faces, (m, 3) int32, and notes on ignored bytes and numbers. A
        coordinate that is not finite is not an error here, because perhaps no face uses the vertex. In a text file,
        such a coordinate is read as NaN.

    Raises:
        MeshError: The file is malformed, truncated, has a face with an invalid vertex index, or has no faces (kinds:
            format, truncated, index, no-faces).
    """
    encoding, elements, position, notes = _read_header(data)
    order = _BYTE_ORDERS[encoding]
    count = next((element.count for element in elements if element.name == "vertex"), 0)
    points: NDArray[np.float64] = np.empty((0, 3))
    polygons, strips = [], []
    lines, last = UNKNOWN, "header"
    for element in elements:
        if not element.properties or not element.count:
            continue
        records = Records(element.name, element.count, element.columns(), count, strips=element.name == "tristrips")
        if order is None:
            content, position, lines = read_text(data, position, records, lines)
        else:
            content, position = read_binary(data, position, records, order)
        if element.name == "vertex":
            points = content.points
        elif element.name == "face":
            polygons.append((content.corners, content.sizes))
        elif element.name == "tristrips":
            strips.append(strip_triangles(content.corners, content.sizes))
        notes += _note_spare(content.spare, element.name)
        last = element.name
    notes += _check_rest(data, position, last, text=order is None)
    faces = [triangulate(points, *polygon) for polygon in polygons] + strips
    if not any(map(len, faces)):
        raise MeshError(
            "no-faces", "no faces found: the file contains only points, or does not list the vertices of its faces"
        )
    return Triangles(points, faces[0] if len(faces) == 1 else np.concatenate(faces), notes)


def _read_header(data: bytes | mmap) -> tuple[str, list[_Element], int, tuple[str, ...]]:
    """Parse the header of a PLY file.

    Returns:
        The encoding (a key of ``_BYTE_ORDERS``), the elements, the offset after the header, and notes on ignored lines.

    Raises:
        MeshError: The header is malformed (kind: format).
    """
    start = len(codecs.BOM_UTF8) if data[:3] == codecs.BOM_UTF8 else 0
    head = data[start : start + _LONGEST_HEADER]
    first = re.match(rb"\s*+ply[ \t]*+(\r\n|\r|\n)", head)
    # If lines end with CR alone, an LF after the last CR of the header belongs to the binary records.
    end = first and re.compile(
        rb"[\r\n][ \t]*+end_header[ \t]*+(?:%s|\Z)" % (rb"\r" if first[1] == b"\r" else rb"\r\n|\r|\n")
    ).search(head, first.end() - 1)
    if first is None or end is None:
        raise _unreadable("the file does not begin with a ply line and a header up to end_header")
    encoding = ""
    elements: list[_Element] = []
    notes: tuple[str, ...] = ()
    for line in re.split(rb"\r\n|\r|\n", head[first.end() : end.start()]):
        words = line.decode("ascii", "replace").split()
        match words:
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", name, *_] if name in _BYTE_ORDERS and not encoding:
                encoding = name
                continue
            case [word, *_] if not elements and word not in _KEYWORDS:  # Blender 2.4 writes such comments
                notes = notes or (f"the header line {quoted(line.decode('ascii', 'replace'))} was ignored",)
                continue
            case ["element", name, number] if re.fullmatch(r"\d{1,15}", number) and _is_new(name, elements):
                elements.append(_Element(name, int(number)))
                continue
            case ["property", "list", length, kind, name] if elements and length in _TYPES and kind in _TYPES:
                new = _Property(name, _TYPES[kind], _TYPES[length])
            case ["property", kind, name] if elements and kind in _TYPES:
                new = _Property(name, _TYPES[kind])
            case _:
                raise _unreadable(f"invalid header line {quoted(line.decode('ascii', 'replace'))}")
        if new.name in _USED and not _is_new(new.name, elements[-1].properties):
            raise _unreadable(f"the header line {quoted(line.decode('ascii', 'replace'))} repeats a property")
        elements[-1].properties.append(new)
    if not encoding:
        raise _unreadable("the header has no format line with ascii or binary")
    for element in elements:
        scalars = {p.name for p in element.properties if p.length is None}
        if element.name == "vertex" and not scalars.issuperset(_AXES):
            raise _unreadable("the header declares no x, y and z for the vertices")
    return encoding, elements, start + end.end(), notes


def _is_new(name: str, items: list[_Element] | list[_Property]) -> bool:
    return name not in [each.name for each in items]


def _unreadable(why: str) -> MeshError:
    return MeshError("format", f"not a valid PLY file: {why}")


def _note_spare(count: int, name: str) -> tuple[str, ...]:
    """Return a tuple with one note that undeclared numbers after each record were ignored; empty if ``count`` is 0.

    Args:
        count: Number of ignored numbers after each record.
        name: Name of the element, such as ``face``.
    """
    if not count:
        return ()
    some = "1 number" if count == 1 else f"{count} numbers"
    were = "was" if count == 1 else "were"
    return (f"{some} at the end of the line of each {visible(name)} {were} ignored: the header declares fewer numbers",)


def _check_rest(data: bytes | mmap, position: int, last: str, text: bool) -> tuple[str, ...]:
    """Check the bytes after the last record.

    Args:
        data: The content of the file.
        position: Offset after the last record.
        last: Name of the last element, such as ``face``.
        text: Whether the file is text.

    Returns:
        A note on ignored bytes, in a tuple; an empty tuple if nothing follows.

    Raises:
        MeshError: Further records follow in a text file (kind: format).
    """
    rest = data[position:].strip(_PADDING) if text else data[position:]
    if not rest:
        return ()
    if text and len(rest) > 2 and re.match(rb"[-+.]?\d", rest):
        line = line_number(data, data.find(rest, position))
        raise MeshError("format", f"line {line}: the file has more records than its header declares")
    return note_ignored(len(rest), f"the last {last}")
