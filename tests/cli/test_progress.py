from __future__ import annotations

import io
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from shapecnn.cli import progress
from shapecnn.cli.console import be_quiet, note
from shapecnn.cli.progress import duration, heartbeat, progress_bar
from shapecnn.workers.progress import stage
from tests.cli.conftest import Command


def in_command(work: Callable[[], None]) -> None:
    """Run ``work`` as a command does: in a click context with the heartbeat."""
    with click.Context(click.Command("work")), heartbeat():
        work()


@pytest.fixture
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.02)


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal of 120 columns; inside the test, because pytest replaces stderr before it."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def wait_for(told: Callable[[], str], pattern: str) -> str:
    """Wait until the messages match and return them; the time limit of the test ends a wait in vain."""
    text = ""
    for _ in range(1000):
        text += told()
        if re.search(pattern, text):
            return text
        time.sleep(0.02)
    raise AssertionError(f"no {pattern!r} in {text!r}")


@pytest.mark.usefixtures("short_interval")
def test_long_work_writes_lines_where_stderr_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress_bar("Drawing") as advance:
            advance(100, 800)
            time.sleep(0.05)
            advance(120, 800)
            wait_for(
                lambda: capfd.readouterr().err,
                r"Drawing: 120 of 800 shapes, [\d,.]+ shapes a second, .+ left, \d+ s so far\n",
            )

    in_command(work)


@pytest.mark.usefixtures("short_interval")
def test_work_without_a_count_is_not_silent_either(capfd: pytest.CaptureFixture[str]) -> None:
    in_command(lambda: wait_for(lambda: capfd.readouterr().err, r"Working, \d+ s so far\n") and None)


@pytest.mark.usefixtures("short_interval")
def test_a_stage_that_does_not_know_its_total_shows_no_question_mark(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress_bar("Reading") as advance:
            told = wait_for(lambda: capfd.readouterr().err, r"Reading, \d+ s so far\n")
            advance(7, None)
            told += wait_for(lambda: capfd.readouterr().err, "Reading: 7 shapes")
            assert "?" not in told

    in_command(work)


@pytest.mark.usefixtures("short_interval")
def test_an_inner_stage_is_shown_with_its_name_and_counts(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress_bar("Drawing"):
            with stage("Checking", "files") as advance:
                wait_for(lambda: capfd.readouterr().err, r"Checking, \d+ s so far\n")
                advance(0, 800)
                time.sleep(0.05)
                advance(200, 800)
                line = r"Checking: 200 of 800 files, [\d,.]+ files a second, .+ left, \d+ s so far\n"
                wait_for(lambda: capfd.readouterr().err, line)
            wait_for(lambda: capfd.readouterr().err, r"Drawing, \d+ s so far\n")

    in_command(work)


@pytest.mark.usefixtures("short_interval")
def test_nothing_is_written_when_quiet_and_nothing_after_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    with click.Context(click.Command("work")):
        be_quiet()  # first: on a busy machine, 0.02 s pass at once
        with heartbeat(), progress_bar("Drawing") as advance:
            advance(1, 2)
            time.sleep(0.1)
    assert capfd.readouterr().err == ""
    threads = threading.active_count()
    in_command(lambda: None)
    assert threading.active_count() == threads


def test_quiet_silences_notes_and_not_failures(command: Command, solids: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.off").write_text("OFF\n")
    told = command("render", tmp_path, tmp_path / "out", "--quiet")
    assert told.status == 1
    assert told.stderr.startswith("Failed: ")


def test_on_a_terminal_the_bar_labels_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)

    def work() -> None:
        with progress_bar("Indexing") as advance:
            advance(0, 50)
            advance(3, 50)

    in_command(work)
    told = terminal.text()
    assert "3 of 50 shapes" in told
    assert "?" not in told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (1260, "21 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_formatted_for_people(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_bytes_are_shown_in_megabytes() -> None:
    stage = progress._Stage("modelnet40", "bytes")
    stage.update(1_500_000, 400_000_000)
    assert stage.counts() == "1.5 of 400.0 MB"


def test_a_message_stands_above_the_bar_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)

    def work() -> None:
        with progress_bar("Training", "steps") as advance:
            advance(3, 50)
            note("epoch 1 of 2")
            advance(50, 50)

    in_command(work)
    assert re.search(r"\repoch 1 of 2\n", terminal.text())


def test_named_stages_are_shown_at_a_terminal_below_the_bar_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)

    def work() -> None:
        with stage("Checking the files [of mine]\x1b[2J", "files") as advance:
            advance(2, 4)
        with progress_bar("Drawing") as outer, stage("Listing"):
            outer(1, 2)
            wait_for(terminal.text, r"Drawing .*1 of 2 shapes.*\n.*Listing .* 1 s so far")

    in_command(work)
    assert re.search(r"Checking the files \[of mine\]\\x1b\[2J .*2 of 4 files", terminal.text())


def test_no_stage_is_shown_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)

    def work() -> None:
        be_quiet()
        with stage("Listing") as advance, progress_bar("Drawing"):
            advance(1, 2)

    in_command(work)
    assert terminal.text() == ""


def test_data_for_a_pipe_are_not_turned_to_the_terminal_of_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    data = io.StringIO()
    monkeypatch.setattr(sys, "stdout", data)

    def work() -> None:
        with progress_bar("Drawing"):
            print("data")

    in_command(work)
    assert data.getvalue() == "data\n"
    assert "data" not in terminal.text()
