from __future__ import annotations

import csv
import doctest
import io
from collections.abc import Callable

import pytest

from shapecnn.storage import spreadsheets
from shapecnn.storage.spreadsheets import csv_text, is_csv_text


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula(name: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_text([[name]])))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_numbers_stay_numbers_and_none_is_empty() -> None:
    assert csv_text([[-0.5, 3, None, "a,b", 'say "x"']]) == '-0.5,3,,"a,b","say ""x"""\n'


def test_a_line_end_in_a_name_makes_no_row() -> None:
    assert csv_text([["a\nb", "\u202eabc"]]) == "a\\nb,\\u202eabc\n"


HEADINGS = ("path", "error", "by")
LISTED = [
    HEADINGS,
    ("=1+1.off", "the file is empty", "us"),
    ('a,"b"\nc.off', "x", "us"),
    ("\x1b\udcff.off", "'x", "us"),
]


@pytest.mark.parametrize("count", range(1, len(LISTED) + 1))
def test_what_was_written_is_known_again(count: int) -> None:
    assert is_csv_text(csv_text(LISTED[:count]).encode(), HEADINGS, "us")
    assert not is_csv_text(csv_text(LISTED[:count]).encode(), ("path", "why", "by"), "us")


@pytest.mark.parametrize(
    "change",
    [
        lambda _text: "",
        lambda text: text.removeprefix("path,error,by\n"),
        lambda text: text.replace("path,error,by", "Path,Error,By"),
        lambda text: text.replace("\n", "\r\n"),  # a spreadsheet saved it
        lambda text: "\ufeff" + text,
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("path,error,by", "path,error,by,notes").replace("us\n", "us,told Ann\n"),
        lambda text: text.replace("us\n", "us,told Ann\n"),
        lambda text: text + "told Ann\n",
        lambda text: text + "a.off,told Ann,me\n",
        lambda text: text.replace(",by", "").replace(",us", ""),  # a list of two columns may be anybody's
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: "# mine\n" + text,
        lambda text: text.replace("=1", "1").replace("the file is empty", ""),
        lambda text: text.replace("the file is empty", '"the file is empty"'),
        lambda text: text.replace("'=1+1.off", "=1+1.off"),
        lambda text: text + "a.off," + "x" * 200_000 + ",us\n",  # more than a cell may hold
    ],
)
def test_what_anybody_changed_is_theirs(change: Callable[[str], str]) -> None:
    assert not is_csv_text(change(csv_text(LISTED[:2])).encode(), HEADINGS, "us")


def test_what_is_no_text_is_somebodys() -> None:
    assert not is_csv_text(b"path,error,by\n\xff,x\n", HEADINGS, "us")
    assert not is_csv_text(b'path,error,by\n"x', HEADINGS, "us")


def test_the_example_holds() -> None:
    assert doctest.testmod(spreadsheets).failed == 0
