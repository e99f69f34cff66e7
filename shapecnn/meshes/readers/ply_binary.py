"""Reader of the records of binary PLY files, little-endian or big-endian.

It extracts vertex coordinates and vertex indices and skips all other properties.
"""

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
    Content,
    Records,
    allocate,
    record_error,
)
from shapecnn.meshes.readers.tokens import MALFORMED, OK
from shapecnn.meshes.readers.triangles import enlarge
from shapecnn.shared.jit import numba

_WIDTHS = np.array([np.dtype(name).itemsize for name in TYPES])


def read_binary(data: bytes | mmap, position: int, records: Records, order: str) -> tuple[Content, int]:
    """Read all records of one element of a binary PLY file.

    Args:
        data: The content of the file.
        position: Offset of the first record.
        records: Layout of the records.
        order: Byte order: ``<`` for little-endian, ``>`` for big-endian.

    Returns:
        The content of the records, and the offset after the last record.

    Raises:
        MeshError: A record is malformed or truncated, or has an invalid vertex index (kinds: format, truncated, index).
    """
    least = sum(np.dtype(column.length or column.type).itemsize for column in records.columns)
    content = allocate(records, least, len(data) - position)
    octets, big = np.frombuffer(data, np.uint8), order == ">"
    roles, types, lengths = records.arrays()
    index = corner_count = 0
    while True:
        position, index, corner_count, status = _read_binary(
            octets, position, index, records.promised, roles, types, lengths, _WIDTHS, big, -int(records.strips),
            records.vertices, content.points, content.corners, content.sizes, corner_count,
        )  # fmt: skip
        if status != FULL:
            break
        content = content._replace(corners=enlarge(content.corners))
    if status != OK:
        raise record_error("", records, index, status)
    return content._replace(corners=content.corners[:corner_count]), position


@numba.njit(cache=True)
def _read_binary(  # type: ignore[no-untyped-def]
    data, i, first, count, roles, types, lengths, widths, big, lowest, vertices, points, corners, sizes, corner_count
):
    """Read binary records number ``first`` to ``count`` - 1 from the bytes (``data``) at offset ``i`` on.

    The arguments are those of :func:`ply_text._read_text`, with ``data`` for ``text``, and three more. ``types`` holds
    the value type of each column, as an index into TYPES. ``widths`` holds the size in bytes of each type in TYPES.
    ``big`` tells whether the file is big-endian.

    Returns:
        The offset, the number of records read, the number of vertex indices read, and the status. If the status is
        not OK, the offset is the beginning of the first unread record.
    """
    n = data.size
    for record in range(first, count):
        start, corners_before = i, corner_count
        for p in range(roles.size):
            length = 1
            if lengths[p] >= 0:
                if i + widths[lengths[p]] > n:
                    return start, record, corners_before, END
                value = _scalar(data, i, lengths[p], widths[lengths[p]], big)
                if not value >= 0 or value != np.floor(value):
                    return start, record, corners_before, MALFORMED
                i += widths[lengths[p]]
                length = int(min(value, n))
            if i + length * widths[types[p]] > n:
                return start, record, corners_before, END
            if roles[p] == SKIPPED:
                i += length * widths[types[p]]
                continue
            if roles[p] == CORNERS:
                if corner_count + length > corners.size:
                    return start, record, corners_before, FULL
                sizes[record] = length
            for _ in range(length):
                value = _scalar(data, i, types[p], widths[types[p]], big)
                i += widths[types[p]]
                if roles[p] != CORNERS:
                    points[record, roles[p]] = value
                    continue
                if value != np.floor(value):
                    return start, record, corners_before, MALFORMED
                if not lowest <= value < vertices:
                    return start, record, corners_before, INDEX
                corners[corner_count] = int(value)
                corner_count += 1
    return i, count, corner_count, OK


@numba.njit(cache=True)
def _scalar(data, i, kind, width, big):  # type: ignore[no-untyped-def]
    """Decode the number at offset ``i`` to float64; ``kind`` is the index of its type in TYPES, ``width`` its bytes."""
    bits = _bits(data, i, width, big)
    if kind == 8:
        low = np.uint32(bits)
        return np.float64(low.view(np.float32))
    if kind == 9:
        whole = np.uint64(bits)
        return whole.view(np.float64)
    if kind % 2 == 0 and data[i if big else i + width - 1] >= 128:  # a negative signed integer
        return np.float64(np.int64(bits | (~np.uint64(0) << np.uint64(8 * width - 1))))
    return np.float64(bits)


@numba.njit(cache=True)
def _bits(data, i, width, big):  # type: ignore[no-untyped-def]
    """Decode ``width`` bytes at offset ``i``, big-endian if ``big``, to an unsigned 64-bit integer."""
    bits = np.uint64(0)
    for k in range(width):
        at = i + k if big else i + width - 1 - k
        bits = (bits << np.uint64(8)) | np.uint64(data[at])
    return bits
