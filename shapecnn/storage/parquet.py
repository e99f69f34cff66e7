"""What the footer of a Parquet file says of its rows and columns, told before pyarrow is asked.

Asked for a column whose description does not hold together, or whose compression it does not know, pyarrow 26 ends the
process; and it takes memory for as many rows as it is told there are.

The footer is a Thrift struct in the compact protocol (https://github.com/apache/parquet-format, ``parquet.thrift``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

SNAPPY = 1  # CompressionCodec
_LARGEST = 1 << 22  # bytes of a footer; one of ten million rows has some kilobytes

_FILE_ROWS, _FILE_GROUPS = 3, 4  # the numbers of fields: of FileMetaData,
_GROUP_COLUMNS, _GROUP_ROWS = 1, 3  # RowGroup,
_COLUMN = 3  # ColumnChunk
_CODEC, _VALUES = 4, 5  # and ColumnMetaData


class Footer(NamedTuple):
    """rows: the most that any part of it announces.  codecs: the compressions of its columns."""

    rows: int
    codecs: frozenset[int]


def read_footer(data: bytes) -> Footer:
    """The footer of the file ``data``.  Raises ValueError if it has none, or one that is damaged."""
    size = int.from_bytes(data[-8:-4], "little")
    if data[-4:] != b"PAR1" or size > min(_LARGEST, len(data)):
        raise ValueError("it is no Parquet file")
    try:
        file, _ = _struct(data[-8 - size : -8], 0)
        groups = [(abs(g[_GROUP_ROWS]), [column[_COLUMN] for column in g[_GROUP_COLUMNS]]) for g in file[_FILE_GROUPS]]
        rows = sum(max([count, *(abs(column[_VALUES]) for column in columns)]) for count, columns in groups)
        codecs = frozenset(column[_CODEC] for _, columns in groups for column in columns)
        return Footer(max(abs(file[_FILE_ROWS]), rows), codecs)
    except (IndexError, KeyError, TypeError, RecursionError):
        raise ValueError("its footer is damaged") from None


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields by number, and where the struct ends."""
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        head = data[at]
        if head >> 4:
            number, at = number + (head >> 4), at + 1
        else:
            number, at = _integer(data, at + 1)
        if not 0 < number < 1 << 15:  # what others would cut to the number of another field
            raise ValueError("its footer is damaged")
        if number in fields:  # which of the two counts is for every reader to say
            raise ValueError("its footer says one thing twice")
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # the kind is the value
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind in (7, 8):
        size, at = (8, at) if kind == 7 else _varint(data, at)
        if size > len(data) - at:
            raise ValueError("its footer is damaged")
        return data[at : at + size], at + size
    if kind == 9:
        return _list(data, at)
    if kind == 12:
        return _struct(data, at)
    raise ValueError("its footer holds what Parquet does not know")


def _list(data: bytes, at: int) -> tuple[list[Any], int]:
    count, kind = divmod(data[at], 16)
    at += 1
    if count == 15:
        count, at = _varint(data, at)
    if count > len(data) - at:  # each takes a byte or more
        raise ValueError("its footer is damaged")
    items = []
    for _ in range(count):
        item, at = _value(data, at, 3 if kind in (1, 2) else kind)  # a truth in a list takes a byte
        items.append(item)
    return items, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """One with its sign in the last bit."""
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the last first; the eighth tells that there are more, up to 64 bits."""
    value = shift = 0
    while data[at] & 128:
        if shift > 63:  # of four million bytes a number would take hours
            raise ValueError("its footer is damaged")
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift, at + 1
