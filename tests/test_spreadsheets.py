from __future__ import annotations

import csv
import doctest
import io

import pytest

from shapecnn import spreadsheets
from shapecnn.spreadsheets import csv_text


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula(name: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_text([[name]])))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_numbers_stay_numbers_and_none_is_empty() -> None:
    assert csv_text([[-0.5, 3, None, "a,b", 'say "x"']]) == '-0.5,3,,"a,b","say ""x"""\n'


def test_a_line_end_in_a_name_makes_no_row() -> None:
    assert csv_text([["a\nb", "\u202eabc"]]) == "a\\nb,\\u202eabc\n"


def test_the_example_holds() -> None:
    assert doctest.testmod(spreadsheets).failed == 0
