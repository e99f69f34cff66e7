"""The footer of a Parquet file, against what pyarrow says of it."""

from __future__ import annotations

import io

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.storage.parquet import Footer, read_footer

CODECS = {"none": 0, "snappy": 1, "gzip": 2, "brotli": 4, "zstd": 6, "lz4": 7}  # LZ4_RAW


def closed(footer: bytes) -> bytes:
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


@given(
    st.lists(st.sampled_from([*CODECS]), min_size=1, max_size=20),
    st.integers(0, 300),
    st.integers(1, 300),
    st.booleans(),
)
def test_it_says_what_pyarrow_says(codecs: list[str], rows: int, group: int, numbers: bool) -> None:
    column = pyarrow.array([k / 2 if numbers else str(k) for k in range(rows)], None if rows else pyarrow.string())
    names = [f"{codec} {k}" for k, codec in enumerate(codecs)]
    buffer = io.BytesIO()
    table = pyarrow.Table.from_arrays([column] * len(names), names)
    compression = dict(zip(names, codecs, strict=True))
    pyarrow.parquet.write_table(table, buffer, row_group_size=group, compression=compression)
    assert read_footer(buffer.getvalue()) == Footer(rows, frozenset(map(CODECS.__getitem__, codecs)))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_footer_or_a_value_error(content: bytes) -> None:
    for data in (content, closed(content)):
        try:
            footer = read_footer(data)
        except ValueError:
            continue
        assert footer.rows >= 0


@pytest.mark.parametrize(
    ("footer", "message"),
    [
        (b"", "is damaged"),
        (b"\x00", "is damaged"),  # says nothing
        (b"\x1c" * 100_000, "is damaged"),  # nested
        (b"\x19\xf3" + b"\xff" * 9 + b"\x01", "is damaged"),  # a list without end
        (b"\x19\xf1" + b"\xff" * 9 + b"\x01", "is damaged"),  # one of truths, which in a struct take no bytes
        (b"\x19\xf7" + b"\xff" * 5 + b"\x01", "is damaged"),  # one of doubles
        (b"\x06\x88\x80\x08\x02\x00", "is damaged"),  # a field of number 65540, which is 4 to others
        (b"\x16" + b"\xff" * 4_000_000, "is damaged"),  # a number without end
        (b"\x18\xff\xff\xff\xff\x0f", "is damaged"),  # a text without end
        (b"\x15\x02\x05\x02\x04\x00", "says one thing twice"),
        (b"\x1b\x00\x00", "holds what Parquet does not know"),  # a map
        (b"\x36\x02\x19\x15\x02\x00", "is damaged"),  # numbers in the place of groups
    ],
)
def test_what_is_forged_is_refused(footer: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_footer(closed(footer))


def test_a_footer_without_groups_is_one() -> None:
    assert read_footer(closed(b"\x17" + bytes(8) + b"\x26\x0e\x19\x0c\x00")) == Footer(
        7, frozenset()
    )  # of a number before
    assert read_footer(closed(b"\x36\x0e\x19\x0c\x00")) == Footer(7, frozenset())
    assert read_footer(closed(b"\x36\x0d\x19\x0c\x00")) == Footer(7, frozenset())  # rows are never less than none


def test_an_encrypted_file_is_refused() -> None:
    with pytest.raises(ValueError, match="it is no Parquet file"):
        read_footer(closed(b"\x36\x0e\x19\x0c\x00")[:-4] + b"PARE")


def test_a_footer_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.storage.parquet._LARGEST", 4)
    with pytest.raises(ValueError, match="it is no Parquet file"):
        read_footer(closed(b"\x36\x0e\x19\x0c\x00"))
