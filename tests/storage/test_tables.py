"""Tables of text: back as they were, and of what is forged rows or a ValueError, never more memory than bytes."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecnn.storage.tables import read_table, table_bytes


@dataclass(frozen=True)
class Row:
    name: str
    label: str | None
    status: Literal["ok", "failed"]


@dataclass(frozen=True)
class Scored:
    name: str | None
    score: float


ROWS = [Row("b", None, "ok"), Row("a", "chair", "failed"), Row("b", "", "ok")]
TEXT = pyarrow.string()
SCHEMA = pyarrow.schema([("name", TEXT), ("label", TEXT), ("status", TEXT)])
TABLE = pyarrow.Table.from_pylist([asdict(row) for row in ROWS], SCHEMA)


def written(table: pyarrow.Table, **options: Any) -> bytes:
    """As somebody else would write it."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


def refused(data: bytes, most: int = 100) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is asked for
        read_table(Row, data, most)
    return str(caught.value)


def outcome(data: bytes, most: int = 100) -> str:
    """What is said of it; nothing of rows of text."""
    try:
        rows = read_table(Row, data, most)
    except ValueError as error:
        return str(error)
    assert all(isinstance(row.name, str) and row.status in ("ok", "failed") for row in rows)
    return ""


def test_a_column_for_each_field_in_order_and_the_same_bytes_each_time() -> None:
    data = table_bytes(Row, ROWS)
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert (table.column_names, table.to_pylist()) == (["name", "label", "status"], [asdict(row) for row in ROWS])
    assert table_bytes(Row, ROWS) == data
    assert pyarrow.parquet.read_table(io.BytesIO(table_bytes(Row, []))).column_names == ["name", "label", "status"]


def test_floats_and_strings() -> None:
    data = table_bytes(Scored, [Scored("é", 0.1), Scored(None, 1.0)])
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert table.schema.types == [pyarrow.string(), pyarrow.float64()]
    assert table.to_pylist() == [{"name": "é", "score": 0.1}, {"name": None, "score": 1.0}]


TEXTS = st.text(max_size=20)


@given(st.lists(st.builds(Row, TEXTS, st.none() | TEXTS, st.sampled_from(["ok", "failed"])), max_size=20))
def test_what_was_written_is_read(rows: list[Row]) -> None:
    assert read_table(Row, table_bytes(Row, rows), most=len(rows)) == rows


@pytest.mark.parametrize("options", [{}, {"row_group_size": 1}, {"use_dictionary": False}, {"store_schema": False}])
def test_it_need_not_be_written_here(options: dict[str, Any]) -> None:
    assert read_table(Row, written(TABLE, **options)) == ROWS


def test_a_string_is_made_once_however_often_it_occurs() -> None:
    one, other = read_table(Row, table_bytes(Row, [Row("a" * 100, "b", "ok")] * 2))
    assert one.name is other.name


# --- what is forged ---


def test_more_rows_than_there_may_be_are_refused() -> None:
    assert refused(table_bytes(Row, ROWS), most=2) == "the table has 3 rows, more than the limit of 2"


def varint(number: int) -> bytes:
    """As the footer writes a number: twice itself, seven bits a byte."""
    number *= 2
    low = [number >> shift & 127 for shift in range(0, number.bit_length(), 7)]
    return bytes([*(byte | 128 for byte in low[:-1]), low[-1]])


def test_rows_promised_wherever_and_not_there_take_no_memory() -> None:
    count = 1000
    rows = [Row("a", "b", "ok")] * count
    data = table_bytes(Row, rows)
    size = int.from_bytes(data[-8:-4], "little")
    body, footer = data[: -8 - size], data[-8 - size : -8]
    told = []
    for place in (place for place in range(size) if footer.startswith(varint(count), place)):
        changed = footer[:place] + varint(500_000_000) + footer[place + len(varint(count)) :]
        told.append(outcome(body + changed + struct.pack("<I", len(changed)) + b"PAR1", count))
    message = "the table has 500000000 rows, more than the limit of 1000"
    assert told.count(message) == 5  # of the file, of its group, of its columns
    assert set(told) <= {message, ""}
    assert pyarrow.default_memory_pool().max_memory() < 500e6


@pytest.mark.parametrize("codec", ["gzip", "brotli", "zstd", "lz4", "none"])
def test_another_compression_of_any_column_is_refused(codec: str) -> None:
    assert refused(written(TABLE, compression=codec)) == "the table is not compressed with snappy"
    for name in SCHEMA.names:
        mixed = {**dict.fromkeys(SCHEMA.names, "snappy"), name: codec}
        assert refused(written(TABLE, compression=mixed)) == "the table is not compressed with snappy"


def test_strings_that_grow_out_of_those_before_are_refused() -> None:
    """An encoding that keeps of each string what is new in it: 100 MB in some kilobytes, of whatever compression."""
    table = pyarrow.table(
        {"name": ["x" * 100_000 + str(k) for k in range(1000)], "label": ["a"] * 1000, "status": ["ok"] * 1000}
    )
    data = written(
        table, use_dictionary=False, column_encoding={"name": "DELTA_BYTE_ARRAY", "label": "PLAIN", "status": "PLAIN"}
    )
    assert len(data) < 20_000
    assert "Not yet implemented" in refused(data, 1000)


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.binary(), pyarrow.list_(TEXT), pyarrow.struct([("name", TEXT)]), pyarrow.int64(), pyarrow.float64(),
        pyarrow.bool_(), pyarrow.timestamp("s"), pyarrow.null(),
    ],
)  # fmt: skip
def test_columns_of_another_type_are_refused(kind: pyarrow.DataType) -> None:
    table = TABLE.set_column(1, "label", pyarrow.array([None] * 3, kind))
    assert refused(written(table)) == "the table must have the columns name, label, status, and all must hold strings"


@dataclass(frozen=True)
class Noted(Row):
    note: str | None = None
    hint: str | None = None


@pytest.mark.parametrize("last", [{}, {"note": "n"}, {"note": "n", "hint": "h"}])
def test_the_last_columns_may_be_absent_where_they_have_a_default(last: dict[str, str]) -> None:
    table = pyarrow.table({"name": ["a"], "label": ["chair"], "status": ["ok"], **{k: [v] for k, v in last.items()}})
    assert read_table(Noted, written(table)) == [Noted("a", "chair", "ok", **last)]
    other = table.rename_columns([*table.column_names[:-1], "other"])
    with pytest.raises(ValueError, match="the table must have the columns name, label, status, note, hint"):
        read_table(Noted, written(other))


@pytest.mark.parametrize(
    "names",
    [[], ["name"], ["name", "label"], ["label", "name", "status"], ["name", "label", "status", "name"],
     ["name", "label", "Status"], ["name", "label", "label"], ["name", "label", "status", "more"]],
)  # fmt: skip
def test_other_columns_are_refused(names: list[str]) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(["ok"])] * len(names), names)
    assert refused(written(table)) == "the table must have the columns name, label, status, and all must hold strings"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": None}, "the column name has an empty cell, but every row needs a value"),
        ({"status": None}, "the column status has an empty cell, but every row needs a value"),
        ({"status": "gone"}, "the column status has a value other than ok, failed"),
        ({"status": "OK"}, "the column status has a value other than ok, failed"),
    ],
)
def test_values_of_another_kind_are_refused(row: dict[str, str | None], message: str) -> None:
    rows = [{**asdict(ROWS[0]), **each} for each in ({}, row, {})]
    assert refused(written(pyarrow.Table.from_pylist(rows, SCHEMA))) == message


@dataclass(frozen=True)
class Measured:
    name: str
    size: float | None = None


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.builds(Measured, TEXTS, NUMBERS), max_size=20))
def test_numbers_are_read_to_the_last_bit(rows: list[Measured]) -> None:
    assert read_table(Measured, table_bytes(Measured, rows)) == rows


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="the column size has a number that is infinite or not a number"):
        read_table(Measured, table_bytes(Measured, [Measured("a", 1.0), Measured("b", value)]))


def test_a_row_that_needs_a_number_has_one() -> None:
    assert read_table(Scored, table_bytes(Scored, [Scored(None, 0.1)])) == [Scored(None, 0.1)]
    empty = written(pyarrow.table({"name": ["a"], "score": pyarrow.array([None], pyarrow.float64())}))
    with pytest.raises(ValueError, match="the column score has an empty cell"):
        read_table(Scored, empty)


@pytest.mark.parametrize("kind", [TEXT, pyarrow.int64(), pyarrow.float32(), pyarrow.bool_()])
def test_numbers_of_another_type_are_refused(kind: pyarrow.DataType) -> None:
    data = written(pyarrow.table({"name": ["a"], "size": pyarrow.array([None], kind)}))
    with pytest.raises(ValueError, match=r"columns name, size \(.*\), and all must hold strings, but numbers in size$"):
        read_table(Measured, data)


DATA = table_bytes(Row, ROWS)


@pytest.mark.parametrize("place", range(8))
def test_one_damaged_byte_never_ends_the_process(place: int) -> None:
    """Some abort pyarrow."""
    for at in range(place, len(DATA), 8):
        for bit in (at % 8, (at + 3) % 8):
            assert "\n" not in outcome(DATA[:at] + bytes([DATA[at] ^ 1 << bit]) + DATA[at + 1 :])


@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=200)
def test_nor_do_several(changes: list[tuple[int, int]]) -> None:
    data = bytearray(DATA)
    for at, value in changes:
        data[at] = value
    assert "\n" not in outcome(bytes(data))


def closed(footer: bytes) -> bytes:
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(
    "footer",
    [
        b"",
        b"\x00",  # says nothing
        b"\x1c" * 100_000,  # nested
        b"\x19\xf3" + b"\xff" * 9 + b"\x01",  # a list without end
        b"\x19\xf1" + b"\xff" * 9 + b"\x01",  # one of truths, which in a struct take no bytes
        b"\x19\xf7" + b"\xff" * 5 + b"\x01",  # one of doubles
        b"\x06\x88\x80\x08\x02\x00",  # a field of number 65540, which is 4 to others
        b"\x16" + b"\xff" * 4_000_000,  # a number without end
        b"\x18\xff\xff\xff\xff\x0f",  # a text without end
        b"\x15\x02\x05\x02\x04\x00",  # one thing twice
        b"\x1b\x00\x00",  # a map
        b"\x36\x02\x19\x15\x02\x00",  # numbers in the place of groups
        b"\x17" + bytes(8) + b"\x26\x0e\x19\x0c\x00",  # a footer without a column
    ],
)
def test_a_forged_footer_is_refused(footer: bytes) -> None:
    refused(closed(footer))
    refused(closed(footer)[:-4] + b"PARE")  # encrypted


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(content: bytes) -> None:
    refused(content)
    refused(closed(content))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(4) + b"PAR1", b"\xff" * 100])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    refused(data)


def test_a_table_cut_short_is_refused() -> None:
    for kept in range(0, len(DATA), 7):
        refused(DATA[:kept])
        refused(DATA[kept + 1 :])
