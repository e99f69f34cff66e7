"""How results show themselves: as text, as HTML in which every value is text, as a pandas frame."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from shapecnn.errors import MissingLibraryError
from shapecnn.shared.results import SHOWN, Displayed, ResultList, framed, html_table, show_with, text_table


class Numbers(ResultList[int]):
    def rows(self) -> list[dict[str, Any]]:
        return [{"number": number, "half": number / 2, "none": None} for number in self]


class Alone(Displayed):
    def rows(self) -> list[dict[str, Any]]:
        return [{"a": 1}]


def test_a_list_of_results_is_a_list_that_prints_as_a_table() -> None:
    numbers = Numbers([1, 2])
    assert numbers == [1, 2]
    assert repr(numbers).splitlines() == ["number  half  none", "1       0.5", "2       1"]
    assert repr(Numbers()) == "(nothing)"


class Named(ResultList[int]):
    __slots__ = ("names", "source")
    per_item = ("names",)

    def __init__(self, numbers: list[int], names: list[str], source: str) -> None:
        super().__init__(numbers)
        self.names, self.source = names, source

    def rows(self) -> list[dict[str, Any]]:
        return [{"name": name, "number": number} for name, number in zip(self.names, self, strict=True)]


def test_a_slice_is_a_list_of_the_same_class() -> None:
    named = Named([1, 2, 3], ["a", "b", "c"], "here")
    part = named[::-2]
    assert isinstance(part, Named)
    assert (part, part.names, part.source) == ([3, 1], ["c", "a"], "here")
    assert repr(part).splitlines() == ["name  number", "c     3", "a     1"]
    assert (named, named.names) == ([1, 2, 3], ["a", "b", "c"])
    assert (named[-1], Numbers([1, 2])[:1]) == (3, [1])


def test_numbers_of_numpy_are_shortened_too() -> None:
    assert text_table([{"a": np.float32(0.1), "b": np.float64(1 / 3), "c": np.int64(123456), "d": True}]) == (
        "a    b       c       d\n0.1  0.3333  123456  True"
    )


def test_long_tables_are_cut_and_say_so() -> None:
    numbers = Numbers(range(SHOWN + 7))
    assert repr(numbers).splitlines()[-1] == "… and 7 more"
    assert numbers._repr_html_().endswith("<p>… and 7 more</p>")
    assert len(numbers.to_frame()) == SHOWN + 7


def test_a_frame_has_the_rows() -> None:
    frame = Numbers([1, 2]).to_frame()
    assert list(frame.columns) == ["number", "half", "none"]
    assert frame["half"].tolist() == [0.5, 1.0]


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingLibraryError, match="pip install pandas"):
        Numbers([1]).to_frame()


def test_names_are_only_ever_text() -> None:
    rows = [{"<b>": "<script>alert(1)</script>\x1b[2J"}]
    assert "<script>" not in html_table(rows)
    assert "<b>" not in html_table(rows)
    assert "\x1b" not in text_table(rows) + html_table(rows)
    assert "\n" not in text_table([{"a": "b\nc"}]).partition("\n")[2]


def test_a_page_is_shown_in_a_frame_of_its_own() -> None:
    page = framed('<style>p {color: red}</style><p title="x">')
    assert page.startswith("<iframe ")
    assert page.count("<") == 2  # the frame itself
    assert page.count('"') == 4


def test_a_type_may_have_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Alone()._repr_html_().startswith("<table>")
    show_with(Alone, lambda _result: "<p>page</p>")
    assert Alone()._repr_html_() == "<p>page</p>"
