"""The records of a text PLY: coordinates and lists of corners, all else passed over.

Text is a stream of words, whose line ends mean nothing to the format. Yet programs end a line with each record, so that
a record ending within a line tells of lines that are missing, short or too many. Only where already the first record
does so, the text flows freely, and words are all there is to go by. Where each record of a later element has a line of
its own and as many numbers behind it, which the header does not declare, those are left out.
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
    Found,
    Records,
    complaint,
    room_for,
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
from shapecnn.meshes.readers.triangles import grown
from shapecnn.shared.jit import numba

UNKNOWN, _LINES, _FLOWING = range(3)
"""Whether the records of a text end where lines end."""

_LINE = re.compile(rb"[^\r\n]{0,65536}+")  # as far as anybody would write one


def read_text(data: bytes | mmap, position: int, records: Records, lines: int) -> tuple[Found, int, int]:
    """The records at a position, the position behind them, and whether they end where lines end.

    ``lines`` is that of the records before them, UNKNOWN for the first.  Raises MeshError: format, truncated, index.
    """
    least = 2 * len(records.columns)  # bytes of a record: a digit and a space for each number
    room = room_for(records, least, len(data) + 1 - position)
    read = _fill(data, position, records, lines, room)
    if read.status == WITHIN_LINE and read.done == 0 and (spare := _spare_numbers(data, position, records, room)):
        by_lines = _fill(data, position, records, lines, room._replace(spare=spare))
        read = by_lines if by_lines.status == OK else read
    if read.status != OK:
        position = min(int(skip_space(np.frombuffer(data, np.uint8), read.position)), len(data) - 1)
        raise complaint(f"line {line_number(data, position)}: ", records, read.done, read.status)
    return read.found, read.position, read.lines


class _Read(NamedTuple):
    """How far records of text were read."""

    found: Found
    position: int
    done: int
    lines: int
    status: int


def _fill(data: bytes | mmap, position: int, records: Records, lines: int, found: Found) -> _Read:
    """Read as many records as there are, with ``found.spare`` numbers behind each."""
    text = np.frombuffer(data, np.uint8)
    roles, _, lengths = records.arrays()
    done = filled = 0
    while True:
        position, done, filled, lines, status = _read_text(
            text, position, done, records.promised, roles, lengths, -int(records.strips), records.vertices,
            found.points, found.corners, found.sizes, filled, lines, found.spare, POWERS,
        )  # fmt: skip
        if status != FULL:
            return _Read(found._replace(corners=found.corners[:filled]), position, done, lines, status)
        found = found._replace(corners=grown(found.corners))


def _spare_numbers(data: bytes | mmap, position: int, records: Records, room: Found) -> int:
    """How many words stand behind the first record on its line; 0 of a record that is alone, and so tells nothing."""
    first = _fill(data, position, records._replace(promised=min(records.promised, 1)), _FLOWING, room)
    rest = _LINE.match(data, first.position)
    return len(rest[0].split()) if rest and first.status == OK and records.promised > 1 else 0


@numba.njit(cache=True)
def _read_text(  # type: ignore[no-untyped-def]
    text, i, first, count, roles, lengths, lowest, vertices, points, corners, sizes, filled, lines, spare, powers
):
    """Read records from number ``first`` on into ``points`` and ``sizes``, and from ``filled`` on into ``corners``.

    spare: how many numbers stand behind each record, which then has a line of its own; 0: records may flow.

    Returns (position, records read, corners filled, lines, status). With another status than OK the position is that
    of the record that is to blame, or that did not fit.
    """
    n = text.size
    for record in range(first, count):
        start, begun = i, filled
        for p in range(roles.size):
            i = skip_space(text, i)
            if i >= n:
                return start, record, begun, lines, END
            if lengths[p] < 0 and roles[p] == SKIPPED:
                i = skip_word(text, i)
                continue
            value, end, status = number(text, i, powers)
            if lengths[p] < 0:
                if status == NOT_FINITE:
                    value, end, status = np.nan, skip_word(text, i), OK
                if status != OK:
                    return start, record, begun, lines, status
                points[record, roles[p]] = value
                i = end
                continue
            if status != OK or value < 0 or value != np.floor(value):
                return start, record, begun, lines, MALFORMED
            i = end
            if value > n - i:  # each takes a byte, and more
                return start, record, begun, lines, END
            length = int(value)
            if roles[p] == CORNERS:
                if filled + length > corners.size:
                    return start, record, begun, lines, FULL
                sizes[record] = length
            for _ in range(length):
                i = skip_space(text, i)
                if i >= n:
                    return start, record, begun, lines, END
                if roles[p] == SKIPPED:
                    i = skip_word(text, i)
                    continue
                value, i, status = number(text, i, powers)
                if status != OK or value != np.floor(value):
                    return start, record, begun, lines, MALFORMED
                if not lowest <= value < vertices:
                    return start, record, begun, lines, INDEX
                corners[filled] = int(value)
                filled += 1
        if spare:
            i = _skip_spare(text, start, i, spare, powers)
            if i < 0:
                return start, record, begun, lines, WITHIN_LINE
        i = skip_blanks(text, i)
        ended = i >= n or 10 <= text[i] <= 13 or text[i] == 0 or text[i] == 26
        if lines == UNKNOWN:
            lines = _LINES if ended else _FLOWING
        elif lines == _LINES and not ended:
            return start, record, begun, lines, WITHIN_LINE
    return i, count, filled, lines, OK


@numba.njit(cache=True)
def _skip_spare(text, start, i, spare, powers):  # type: ignore[no-untyped-def]
    """The end of as many numbers behind ``i``; -1 if they, and the record from ``start`` on, are not on one line."""
    for k in range(skip_space(text, start), i):
        if text[k] == 10 or text[k] == 13:
            return -1
    for _ in range(spare):
        _, end, status = number(text, i, powers)
        if status != OK and status != NOT_FINITE:
            return -1
        i = skip_word(text, end)
    return i
