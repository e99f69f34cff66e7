"""The records of a binary PLY, in either byte order: coordinates and lists of corners, all else passed over."""

from __future__ import annotations

from mmap import mmap

import numpy as np

from shapecnn.meshes.readers.ply_records import (
    CORNERS,
    END,
    FULL,
    INDEX,
    SKIPPED,
    TYPES,
    Found,
    Records,
    complaint,
    room_for,
)
from shapecnn.meshes.readers.tokens import MALFORMED, OK
from shapecnn.meshes.readers.triangles import grown
from shapecnn.shared.jit import numba

_WIDTHS = np.array([np.dtype(name).itemsize for name in TYPES])


def read_binary(data: bytes | mmap, position: int, records: Records, order: str) -> tuple[Found, int]:
    """The records at a position, and the position behind them.  order: ``<`` or ``>``.

    Raises MeshError: format, truncated, index.
    """
    least = sum(np.dtype(column.length or column.type).itemsize for column in records.columns)
    found = room_for(records, least, len(data) - position)
    everything, big = np.frombuffer(data, np.uint8), order == ">"
    roles, types, lengths = records.arrays()
    done = filled = 0
    while True:
        position, done, filled, status = _read_binary(
            everything, position, done, records.promised, roles, types, lengths, _WIDTHS, big, -int(records.strips),
            records.vertices, found.points, found.corners, found.sizes, filled,
        )  # fmt: skip
        if status != FULL:
            break
        found = found._replace(corners=grown(found.corners))
    if status != OK:
        raise complaint("", records, done, status)
    return found._replace(corners=found.corners[:filled]), position


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
                    return start, record, begun, END
                value = _scalar(data, i, lengths[p], widths[lengths[p]], big)
                if not value >= 0 or value != np.floor(value):
                    return start, record, begun, MALFORMED
                i += widths[lengths[p]]
                length = int(min(value, n))
            if i + length * widths[types[p]] > n:
                return start, record, begun, END
            if roles[p] == SKIPPED:
                i += length * widths[types[p]]
                continue
            if roles[p] == CORNERS:
                if filled + length > corners.size:
                    return start, record, begun, FULL
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
                    return start, record, begun, INDEX
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
