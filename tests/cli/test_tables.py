"""Tables: aligned lines for programs, drawn ones with a header at a terminal."""

from __future__ import annotations

import sys

import pytest

from shapecnn.cli.tables import size, table, titled, wrapped
from tests.cli.conftest import Command

ROWS = [["mug", "3"], ["chair [red]", "12"], ["a\x1b[2Jb", "7"]]


def test_programs_read_one_line_for_each_row() -> None:
    assert table(ROWS, ["class", "shapes"], numbers=[1]) == ["mug           3", "chair [red]  12", "a\\x1b[2Jb     7"]
    assert table([], ["class"]) == []


def test_people_see_a_header_and_no_control_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    header, rule, *lines = table(ROWS, ["class", "shapes"], numbers=[1])
    assert header.split() == ["class", "shapes"]
    assert {*rule.strip()} == {"─"}
    assert [line.split() for line in lines] == [["mug", "3"], ["chair", "[red]", "12"], ["a\\x1b[2Jb", "7"]]
    assert len({len(line) for line in lines}) == 1  # numbers end in the same place
    assert "\x1b" not in "".join(lines)


def test_titles_are_text_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    header, _, line = table([["a", "b"]], ["c [/d]", "[bold]e"])
    assert (header.split(), line.split()) == (["c", "[/d]", "[bold]e"], ["a", "b"])


def test_long_cells_are_broken_to_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    lines = table([["a", "word " * 20]])
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).count("word") == 20


def test_configs_are_a_table_at_a_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = command("configs").stdout.splitlines()
    assert plain[0].startswith("demo-mvcnn ")
    monkeypatch.setattr("shapecnn.cli.tables.is_drawn", lambda: True)
    drawn = command("configs").stdout.splitlines()
    assert drawn[0].split() == ["config", "made", "for"]
    assert any(line.split()[:1] == ["demo-mvcnn"] for line in drawn)


def test_sizes_are_short() -> None:
    assert [size(count) for count in (1, 999, 1000, 2_500_000, 3_000_000_000)] == [
        "1 byte", "999 bytes", "1.0 kB", "2.5 MB", "3.0 GB"
    ]  # fmt: skip


def test_titles_of_figures_are_printed_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["model", "mAP"], ["a run", "9.0 %"], ["b", "10.0 %"]]
    assert titled(rows) == ["model  mAP", "a run  9.0 %", "b      10.0 %"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    header, _, *lines = titled(rows)
    assert header.split() == rows[0]
    assert len({len(line) for line in lines}) == 1


def test_an_indented_table_is_no_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(ROWS[:1], indent=2) == ["  mug  3"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    lines = table([["a", "word " * 20]], ["b", "c"], indent=2)
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("  ") for line in lines)


def test_sentences_are_broken_between_words_for_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "  " + " ".join(["word"] * 20)
    assert wrapped([sentence]) == [sentence]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    lines = wrapped([sentence, "  short   text"])
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("  word") for line in lines[:-1])
    assert " ".join(lines[:-1]).split() == sentence.split()
    assert lines[-1] == "  short   text"  # as it was
