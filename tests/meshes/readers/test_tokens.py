from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.meshes.readers.tokens import (
    MALFORMED,
    NOT_FINITE,
    OK,
    POWERS,
    SHORT,
    line_number,
    number,
    skip_line,
    skip_space,
    skip_word,
    whole,
)


def _number(text: str) -> tuple[float, int, int]:
    value, position, status = number(np.frombuffer(text.encode(), np.uint8), 0, POWERS)
    return float(value), position, status


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1.5", -1.5), ("+.5", 0.5), ("5.", 5), ("1.e+00", 1), ("1.5E-3", 0.0015), ("\t 7 8", 7),
        ("1.5D+01", 15), ("2d0\r", 2), ("3\0", 3), ("3\x1a", 3), ("4# four", 4), ("5\\\n6", 5), ("1e-400", 0),
    ],
)  # fmt: skip
def test_numbers_as_programs_write_them(text: str, value: float) -> None:
    found, _, status = _number(text)
    assert (found, status) == (value, OK)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", SHORT), ("  \n1", SHORT), ("# 1", SHORT), ("nan", NOT_FINITE), ("-inf", NOT_FINITE), ("1e999", NOT_FINITE),
        ("1.#QNAN", NOT_FINITE), ("x", MALFORMED), ("1,5", MALFORMED), ("1.5.2", MALFORMED), ("1e", MALFORMED),
        ("0x10", MALFORMED), ("-", MALFORMED), (".", MALFORMED),
    ],
)  # fmt: skip
def test_what_is_no_number(text: str, status: int) -> None:
    assert _number(text)[2] == status


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_python_reads_the_same_but_for_the_last_places(value: float) -> None:
    found, position, status = _number(repr(value))
    assert (position, status) == (len(repr(value)), OK)
    assert math.isclose(found, value, rel_tol=1e-15, abs_tol=1e-307)


@given(st.text(" \t\n\r\v0123456789-+.e#", max_size=14))
def test_whole_is_the_short_way_to_the_same_number(text: str) -> None:
    value, position = whole(np.frombuffer(text.encode(), np.uint8), 0)
    if value >= 0:
        assert _number(text) == (value, position, OK)
    else:
        assert position == 0
        assert not text.lstrip(" \t").partition(" ")[0].isdecimal() or len(text.split()[0]) > 9


def test_skipping() -> None:
    text = np.frombuffer(b" \n\tab  c\r\nd", np.uint8)
    assert skip_space(text, 0) == 3
    assert skip_word(text, 3) == 5
    assert skip_line(text, 3) == 8
    assert [skip(text, text.size) for skip in (skip_space, skip_word, skip_line)] == [text.size] * 3


@given(st.text("a\r\n", max_size=12).map(str.encode), st.integers(0, 12))
def test_the_line_of_a_position(text: bytes, position: int) -> None:
    """A line end counts once all of it is above."""
    above = text[: min(position, len(text))]
    ends = above.count(b"\n") + above.count(b"\r") - above.count(b"\r\n")
    assert line_number(text, len(above)) == 1 + ends
