"""Reader of the records of a text PLY: coordinates and lists of corners; the rest is skipped.

The format is a stream of words in which line ends have no meaning. But programs end a line with each record, so a
record that ends within a line is a sign that a line is missing, short or too much. Only if the first record already
ends within a line, line ends are ignored. If each record of an element has its own line, with the same number of
further numbers that the header does not declare, those are skipped.
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
"""Relation of records and lines: not known yet; each record ends with a line; line ends have no meaning."""

_LINE = re.compile(rb"[^\r\n]{0,65536}+")  # longest line that is examined


def read_text(data: bytes | mmap, position: int, records: Records, lines: int) -> tuple[Content, int, int]:
    """Read the records of one element.

    Args:
        data: The content of the file.
        position: Where the records begin.
        records: Their layout.
        lines: Relation of records and lines so far, UNKNOWN for the first element.

    Returns:
        The content of the records, the position after them, and the relation of records and lines.

    Raises:
        MeshError: format, truncated, index.
    """
    least = 2 * len(records.columns)  # bytes of a record: a digit and a space for each number
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
    """Content of the records before number ``record``, where reading stopped, and the status there."""

    content: Content
    position: int
    record: int
    lines: int
    status: int


def _fill(data: bytes | mmap, position: int, records: Records, lines: int, content: Content) -> _Result:
    """Read all records, with ``content.spare`` further numbers after each."""
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
    """Return the number of words after the first record on its line; 0 if it is the only record."""
    first = _fill(data, position, records._replace(promised=min(records.promised, 1)), _FLOWING, content)
    rest = _LINE.match(data, first.position)
    return len(rest[0].split()) if rest and first.status == OK and records.promised > 1 else 0


@numba.njit(cache=True)
def _read_text(  # type: ignore[no-untyped-def]
    text, i, first, count, roles, lengths, lowest, vertices, points, corners, sizes, corner_count, lines, spare, powers
):
    """Read records from number ``first`` on into ``points``, ``sizes``, and ``corners`` from ``corner_count`` on.

    With ``spare`` > 0 each record has its own line, with as many further numbers after it.

    Return (position, records read, corners read, lines, status). Unless the status is OK, the position is that of the
    record at fault, or of the one that did not fit.
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
            if value > n - i:  # each value takes at least one byte
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
    """Return the end of the ``spare`` numbers after ``i``; -1 if the record from ``start`` on exceeds one line."""
    for k in range(skip_space(text, start), i):
        if text[k] == 10 or text[k] == 13:
            return -1
    for _ in range(spare):
        _, end, status = number(text, i, powers)
        if status != OK and status != NOT_FINITE:
            return -1
        i = skip_word(text, end)
    return i
