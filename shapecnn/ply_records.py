"""The records of a PLY file: coordinates and lists of corners out of text or bytes, all else passed over.

Text is a stream of words, whose line ends mean nothing to the format. Yet programs end a line with each record, so that
a record ending within a line tells of lines that are missing, short or too many. Only where already the first record
does so, the text flows freely, and words are all there is to go by.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted
from shapecnn.jit import numba
from shapecnn.tokens import MALFORMED, NOT_FINITE, OK, POWERS, line_number, number, skip_space, skip_word

CORNERS, SKIPPED = 3, 4
"""What becomes of a property, beside 0, 1, 2: the coordinate of that axis."""

_TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
_BYTES = np.array([np.dtype(name).itemsize for name in _TYPES])
_END, _INDEX, _FULL, _WITHIN_LINE = range(4, 8)  # what else a kernel may find
UNKNOWN, _LINES, _FLOWING = range(3)
"""Whether the records of a text end where lines end."""


class Column(NamedTuple):
    """A property.  role: 0, 1, 2, CORNERS or SKIPPED.  type, length: its NumPy type, and that of a list's length."""

    role: int
    type: str
    length: str | None


class Records(NamedTuple):
    """What to read: an element of a header, in a file of ``vertices`` of them.  strips: -1 is a corner, too."""

    name: str
    promised: int
    columns: list[Column]
    vertices: int
    strips: bool

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of each column: its role, the numbers of its type and of the type of a list's length (-1: no list)."""
        return (
            np.array([column.role for column in self.columns]),
            np.array([_TYPES.index(column.type) for column in self.columns]),
            np.array([_TYPES.index(column.length) if column.length else -1 for column in self.columns]),
        )


class Found(NamedTuple):
    """points: (n, 3) of vertices, else (0, 3).  corners: (k,) int32 of all records.  sizes: (n,) how many each has."""

    points: NDArray[np.float64]
    corners: NDArray[np.int32]
    sizes: NDArray[np.int32]

    def grown(self) -> Found:
        """The same with room for twice as many corners."""
        room = np.empty(max(len(self.corners), 64), np.int32)
        return self._replace(corners=np.concatenate([self.corners, room]))


def read_text(data: bytes, position: int, records: Records, lines: int) -> tuple[Found, int, int]:
    """The records at a position, the position behind them, and whether they end where lines end.

    ``lines`` is that of the records before them, UNKNOWN for the first.  Raises MeshError: format, truncated, index.
    """
    text = np.frombuffer(data, np.uint8)
    least = 2 * len(records.columns)  # bytes of a record: a digit and a space for each number
    found = _room(records, least, len(data) + 1 - position)
    roles, _, lengths = records.arrays()
    done = filled = 0
    while True:
        position, done, filled, lines, status = _read_text(
            text, position, done, records.promised, roles, lengths, -int(records.strips), records.vertices,
            found.points, found.corners, found.sizes, filled, lines, POWERS,
        )  # fmt: skip
        if status != _FULL:
            break
        found = found.grown()
    if status != OK:
        position = min(int(skip_space(text, position)), len(data) - 1)
        raise _complaint(f"line {line_number(data, position)}: ", records, done, status)
    return found._replace(corners=found.corners[:filled]), position, lines


def read_binary(data: bytes, position: int, records: Records, order: str) -> tuple[Found, int]:
    """The records at a position, and the position behind them.  order: ``<`` or ``>``.

    Raises MeshError: format, truncated, index.
    """
    least = sum(np.dtype(column.length or column.type).itemsize for column in records.columns)
    found = _room(records, least, len(data) - position)
    everything, big = np.frombuffer(data, np.uint8), order == ">"
    roles, types, lengths = records.arrays()
    done = filled = 0
    while True:
        position, done, filled, status = _read_binary(
            everything, position, done, records.promised, roles, types, lengths, _BYTES, big, -int(records.strips),
            records.vertices, found.points, found.corners, found.sizes, filled,
        )  # fmt: skip
        if status != _FULL:
            break
        found = found.grown()
    if status != OK:
        raise _complaint("", records, done, status)
    return found._replace(corners=found.corners[:filled]), position


def _room(records: Records, least: int, left: int) -> Found:
    """Room for all records, of at least so many bytes each, in the bytes that are left.  Raises MeshError: truncated.

    The header's counts are promises: what they take is bounded by what the file can hold.
    """
    if records.promised * least > left:
        raise MeshError("truncated", f"the header promises {_counted(records)}, more than its {left} bytes can hold")
    roles = {column.role for column in records.columns}
    listed = records.promised if CORNERS in roles else 0
    points = np.empty((records.promised if roles & {0, 1, 2} else 0, 3))
    return Found(points, np.empty(3 * listed, np.int32), np.empty(listed, np.int32))


def _counted(records: Records) -> str:
    named = {"vertex": "vertices", "face": "faces"}.get(records.name, f"records of {quoted(records.name)}")
    return f"{records.promised} {named}"


def _complaint(where: str, records: Records, done: int, status: int) -> MeshError:
    name = records.name if records.name in ("vertex", "face") else f"record of {quoted(records.name)}"
    place = f"{where}{name} {done + 1} of {records.promised}"
    if status == _END:
        return MeshError("truncated", f"the header promises {_counted(records)}, the file ends after {done}")
    if status == _INDEX:
        return MeshError("index", f"{place} names a vertex that does not exist (there are {records.vertices})")
    if status == _WITHIN_LINE:
        why = "does not end where a line ends, as others do: lines are missing, short or too many"
        return MeshError("format", f"{place} {why}")
    return MeshError("format", f"{place} is not made of the numbers that the header promises")


@numba.njit(cache=True)
def _read_text(text, i, first, count, roles, lengths, lowest, vertices, points, corners, sizes, filled, lines, powers):  # type: ignore[no-untyped-def]
    """Read records from number ``first`` on into ``points`` and ``sizes``, and from ``filled`` on into ``corners``.

    Returns (position, records read, corners filled, lines, status). With another status than OK the position is that
    of the record that is to blame, or that did not fit.
    """
    n = text.size
    for record in range(first, count):
        start, begun = i, filled
        for p in range(roles.size):
            i = skip_space(text, i)
            if i >= n:
                return start, record, begun, lines, _END
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
                return start, record, begun, lines, _END
            length = int(value)
            if roles[p] == CORNERS:
                if filled + length > corners.size:
                    return start, record, begun, lines, _FULL
                sizes[record] = length
            for _ in range(length):
                i = skip_space(text, i)
                if i >= n:
                    return start, record, begun, lines, _END
                if roles[p] == SKIPPED:
                    i = skip_word(text, i)
                    continue
                value, i, status = number(text, i, powers)
                if status != OK or value != np.floor(value):
                    return start, record, begun, lines, MALFORMED
                if not lowest <= value < vertices:
                    return start, record, begun, lines, _INDEX
                corners[filled] = int(value)
                filled += 1
        while i < n and (text[i] == 32 or text[i] == 9):
            i += 1
        ended = i >= n or 10 <= text[i] <= 13 or text[i] == 0 or text[i] == 26
        if lines == UNKNOWN:
            lines = _LINES if ended else _FLOWING
        elif lines == _LINES and not ended:
            return start, record, begun, lines, _WITHIN_LINE
    return i, count, filled, lines, OK


@numba.njit(cache=True)
def _read_binary(  # type: ignore[no-untyped-def]
    data, i, first, count, roles, types, lengths, widths, big, lowest, vertices, points, corners, sizes, filled
):
    """As :func:`_read_text`, out of bytes.  widths: bytes of each type.  big: the byte order."""
    n = data.size
    for record in range(first, count):
        start, begun = i, filled
        for p in range(roles.size):
            length = 1
            if lengths[p] >= 0:
                if i + widths[lengths[p]] > n:
                    return start, record, begun, _END
                value = _scalar(data, i, lengths[p], widths[lengths[p]], big)
                if not value >= 0 or value != np.floor(value):
                    return start, record, begun, MALFORMED
                i += widths[lengths[p]]
                length = int(min(value, n))
            if i + length * widths[types[p]] > n:
                return start, record, begun, _END
            if roles[p] == SKIPPED:
                i += length * widths[types[p]]
                continue
            if roles[p] == CORNERS:
                if filled + length > corners.size:
                    return start, record, begun, _FULL
                sizes[record] = length
            for _ in range(length):
                value = _scalar(data, i, types[p], widths[types[p]], big)
                i += widths[types[p]]
                if roles[p] != CORNERS:
                    points[record, roles[p]] = value
                    continue
                if value != np.floor(value):
                    return start, record, begun, MALFORMED
                if not lowest <= value < vertices:
                    return start, record, begun, _INDEX
                corners[filled] = int(value)
                filled += 1
    return i, count, filled, OK


@numba.njit(cache=True)
def _scalar(data, i, kind, width, big):  # type: ignore[no-untyped-def]
    """The number of type ``kind`` and so many bytes at ``i``, as float64."""
    bits = _bits(data, i, width, big)
    if kind == 8:
        low = np.uint32(bits)
        return np.float64(low.view(np.float32))
    if kind == 9:
        whole = np.uint64(bits)
        return whole.view(np.float64)
    if kind % 2 == 0 and data[i if big else i + width - 1] >= 128:  # signed, and below 0
        return np.float64(np.int64(bits | (~np.uint64(0) << np.uint64(8 * width - 1))))
    return np.float64(bits)


@numba.njit(cache=True)
def _bits(data, i, width, big):  # type: ignore[no-untyped-def]
    bits = np.uint64(0)
    for k in range(width):
        at = i + k if big else i + width - 1 - k
        bits = (bits << np.uint64(8)) | np.uint64(data[at])
    return bits


def strip_triangles(corners: NDArray[np.int32], sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Triangles (m, 3) of strips, every second turned round; -1 begins a new strip, and so does each record.

    Triangles with a corner twice, which strips are joined by, are left out.
    """
    faces = np.empty((len(corners), 3), np.int32)
    return faces[: _unroll(corners, sizes, faces)]


@numba.njit(cache=True)
def _unroll(corners, sizes, faces):  # type: ignore[no-untyped-def]
    start = made = 0
    for size in sizes:
        held = 0
        a = b = -1
        for k in range(start, start + size):
            c = corners[k]
            if c < 0:
                held = 0
                continue
            held += 1
            if held >= 3 and a != b and b != c and c != a:
                odd = held % 2 == 0
                faces[made, 0] = b if odd else a
                faces[made, 1] = a if odd else b
                faces[made, 2] = c
                made += 1
            a, b = b, c
        start += size
    return made
