"""Reader of the records of text PLY files: extracts vertex coordinates and vertex indices, skips other properties.

According to the format, the records are a stream of words, and line ends have no meaning. But in practice each record
has a line, so a record that ends within a line is an error: a line is missing, too short or too long. There are two
exceptions. If the very first record ends within a line, line ends are ignored. If all lines of an element have the same
number of undeclared numbers after the record, these numbers are skipped.
"""

from __future__ import annotations

import re
from mmap import mmap
from typing import NamedTuple

import numpy as np

from shapecnn.meshes.readers.ply_records import (
    CORNERS,
    END,
    FULL,
    INDEX,
    SKIPPED,
    WITHIN_LINE,
    Content,
    Records,
    allocate,
    record_error,
)
from shapecnn.meshes.readers.tokens import (
    MALFORMED,
    NOT_FINITE,
    OK,
    POWERS,
    line_number,
    number,
    skip_blanks,
    skip_space,
    skip_word,
)
from shapecnn.meshes.readers.triangles import enlarge
from shapecnn.shared.jit import numba

UNKNOWN, _LINES, _FLOWING = range(3)
"""Whether records end at line ends: not known yet; each record ends at a line end; line ends have no meaning."""

_LINE = re.compile(rb"[^\r\n]{0,65536}+")  # the rest of a line, at most 65536 bytes


def read_text(data: bytes | mmap, position: int, records: Records, lines: int) -> tuple[Content, int, int]:
    """Read all records of one element of a text PLY file.

    Args:
        data: The content of the file.
        position: Offset of the first record.
        records: Layout of the records.
        lines: Whether the records of earlier elements ended at line ends; UNKNOWN for the first element.

    Returns:
        The content of the records, the offset after the last record, and the new value of ``lines``.

    Raises:
        MeshError: A record is malformed or truncated, or has an invalid vertex index (kinds: format, truncated, index).
    """
    least = 2 * len(records.columns)  # smallest size of a record: a digit and a space for each number
    content = allocate(records, least, len(data) + 1 - position)
    result = _fill(data, position, records, lines, content)
    if result.status == WITHIN_LINE and result.record == 0:
        spare = _spare_numbers(data, position, records, content)
        by_lines = _fill(data, position, records, lines, content._replace(spare=spare)) if spare else result
        result = by_lines if by_lines.status == OK else result
    if result.status != OK:
        position = min(int(skip_space(np.frombuffer(data, np.uint8), result.position)), len(data) - 1)
        raise record_error(f"line {line_number(data, position)}: ", records, result.record, result.status)
    return result.content, result.position, result.lines


class _Result(NamedTuple):
    """Result of reading records until all were read or an error occurred.

    Attributes:
        content: Content of the records that were read.
        position: Offset after the last record; with an error: offset of the wrong record.
        record: Number of records read, which is also the number (from 0) of the wrong record.
        lines: Whether records end at line ends: UNKNOWN, _LINES or _FLOWING.
        status: Status code: OK or the error.
    """

    content: Content
    position: int
    record: int
    lines: int
    status: int


def _fill(data: bytes | mmap, position: int, records: Records, lines: int, content: Content) -> _Result:
    """Read all records into ``content``, and skip ``content.spare`` undeclared numbers after each record."""
    text = np.frombuffer(data, np.uint8)
    roles, _, lengths = records.arrays()
    index = corner_count = 0
    while True:
        position, index, corner_count, lines, status = _read_text(
            text, position, index, records.promised, roles, lengths, -int(records.strips), records.vertices,
            content.points, content.corners, content.sizes, corner_count, lines, content.spare, POWERS,
        )  # fmt: skip
        if status != FULL:
            return _Result(content._replace(corners=content.corners[:corner_count]), position, index, lines, status)
        content = content._replace(corners=enlarge(content.corners))


def _spare_numbers(data: bytes | mmap, position: int, records: Records, content: Content) -> int:
    """Count the undeclared words after the first record on the same line; 0 if the element has only one record."""
    first = _fill(data, position, records._replace(promised=min(records.promised, 1)), _FLOWING, content)
    rest = _LINE.match(data, first.position)
    return len(rest[0].split()) if rest and first.status == OK and records.promised > 1 else 0


@numba.njit(cache=True)
def _read_text(  # type: ignore[no-untyped-def]
    text, i, first, count, roles, lengths, lowest, vertices, points, corners, sizes, corner_count, lines, spare, powers
):
    """Read the remaining records of an element: from record number ``first``, at offset ``i``, to the last record.

    Args:
        text: The bytes of the file, uint8.
        i: Offset of record number ``first``.
        first: Number (from 0) of the first record to read.
        count: Number of records of the element.
        roles: Role of each column: 0, 1 or 2 for the coordinate x, y or z, CORNERS for vertex indices, or SKIPPED.
        lengths: For each column with lists, the type of the list length, as an index in TYPES; -1 for other columns.
        lowest: Lowest valid vertex index: 0, or -1 for triangle strips, where -1 separates strips.
        vertices: Number of vertices in the file.
        points: Output array of vertex coordinates.
        corners: Output array of the vertex indices of all records one after the other.
        sizes: Output array with the number of vertex indices of each record.
        corner_count: Number of vertex indices so far: the first free position in ``corners``.
        lines: Whether records end at line ends: UNKNOWN, _LINES or _FLOWING.
        spare: Number of undeclared numbers after each record. If it is not 0, each record must have its own line.
        powers: :data:`tokens.POWERS`.

    Returns:
        The offset, the number of records read, the number of vertex indices read, the new value of ``lines``, and the
        status. If the status is not OK, the offset is the beginning of the first unread record.
    """
    n = text.size
    for record in range(first, count):
        start, corners_before = i, corner_count
        for p in range(roles.size):
            i = skip_space(text, i)
            if i >= n:
                return start, record, corners_before, lines, END
            if lengths[p] < 0 and roles[p] == SKIPPED:
                i = skip_word(text, i)
                continue
            value, end, status = number(text, i, powers)
            if lengths[p] < 0:
                if status == NOT_FINITE:
                    value, end, status = np.nan, skip_word(text, i), OK
                if status != OK:
                    return start, record, corners_before, lines, status
                points[record, roles[p]] = value
                i = end
                continue
            if status != OK or value < 0 or value != np.floor(value):
                return start, record, corners_before, lines, MALFORMED
            i = end
            if value > n - i:  # each value of the list takes at least one byte
                return start, record, corners_before, lines, END
            length = int(value)
            if roles[p] == CORNERS:
                if corner_count + length > corners.size:
                    return start, record, corners_before, lines, FULL
                sizes[record] = length
            for _ in range(length):
                i = skip_space(text, i)
                if i >= n:
                    return start, record, corners_before, lines, END
                if roles[p] == SKIPPED:
                    i = skip_word(text, i)
                    continue
                value, i, status = number(text, i, powers)
                if status != OK or value != np.floor(value):
                    return start, record, corners_before, lines, MALFORMED
                if not lowest <= value < vertices:
                    return start, record, corners_before, lines, INDEX
                corners[corner_count] = int(value)
                corner_count += 1
        if spare:
            i = _skip_spare(text, start, i, spare, powers)
            if i < 0:
                return start, record, corners_before, lines, WITHIN_LINE
        i = skip_blanks(text, i)
        at_line_end = i >= n or 10 <= text[i] <= 13 or text[i] == 0 or text[i] == 26
        if lines == UNKNOWN:
            lines = _LINES if at_line_end else _FLOWING
        elif lines == _LINES and not at_line_end:
            return start, record, corners_before, lines, WITHIN_LINE
    return i, count, corner_count, lines, OK


@numba.njit(cache=True)
def _skip_spare(text, start, i, spare, powers):  # type: ignore[no-untyped-def]
    """Skip the undeclared numbers after a record and return the offset after them; -1 if they are not on one line.

    Args:
        text: The bytes of the file, uint8.
        start: Offset of the record.
        i: Offset after the declared values of the record.
        spare: Number of undeclared numbers.
        powers: :data:`tokens.POWERS`.
    """
    for k in range(skip_space(text, start), i):
        if text[k] == 10 or text[k] == 13:
            return -1
    for _ in range(spare):
        _, end, status = number(text, i, powers)
        if status != OK and status != NOT_FINITE:
            return -1
        i = skip_word(text, end)
    return i
