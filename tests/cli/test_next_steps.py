"""The last line of a command: real paths, on a terminal only, and a command that works."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click
import pytest

from shapecnn.cli import next_steps
from shapecnn.cli.next_steps import beside, suggest
from tests.cli.conftest import Command
from tests.evaluations import write_splits
from tests.solids import write_solids

HERE = ["--workers", "1"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is a terminal for the suggestions alone, so that no bar is drawn."""
    wanted = next_steps.is_wanted

    def asked() -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(sys.stderr, "isatty", lambda: True)
            return wanted()

    monkeypatch.setattr(next_steps, "is_wanted", asked)


def following(stderr: str) -> list[str]:
    """The words of the suggested command, which is the last line."""
    line = stderr.splitlines()[-1]
    assert line.startswith("Next: shapecnn ")
    return shlex.split(line.removeprefix("Next: "))[1:]


@pytest.mark.usefixtures("terminal")
def test_render_leads_to_train_or_to_index(tmp_path: Path, command: Command) -> None:
    meshes = write_splits(tmp_path / "my meshes", train=2, test=1)
    views = tmp_path / "my views"
    done = command("render", meshes, views, "--size", 32, *HERE)
    words = ["train", "mvcnn-psb", "--data", str(views), "--out", f"{views}-run"]
    assert following(done.stderr) == words
    done = command("render", write_solids(tmp_path / "solids"), tmp_path / "v", "--size", 32, "--up", "y", *HERE)
    words = ["index", str(tmp_path / "solids"), str(tmp_path / "v-index"), "--up", "y"]
    assert following(done.stderr) == words


@pytest.mark.usefixtures("terminal")
def test_voxelize_leads_to_a_config_for_grids_also_after_failures(tmp_path: Path, command: Command) -> None:
    meshes = write_splits(tmp_path / "meshes", train=2, test=1)
    (meshes / "box" / "train" / "bad.off").write_bytes(b"OFF")
    done = command("voxelize", meshes, tmp_path / "grids", *HERE)
    assert done.status == 1
    assert following(done.stderr)[:2] == ["train", "shapenets-modelnet10"]


@pytest.mark.usefixtures("terminal")
def test_info_leads_on_from_each_kind(world: Path, command: Command) -> None:
    expected = {
        "meshes": ["render", "meshes", "meshes-views"],
        "meshes/box/test/2.off": ["view", "meshes/box/test/2.off"],
        "views": ["train", "mvcnn-psb", "--data", "views", "--out", "views-run"],
        "grids": ["train", "shapenets-modelnet10", "--data", "grids", "--out", "grids-run"],
    }
    for path, words in expected.items():
        assert following(command("info", path).stderr) == words
    words = following(command("info", "index").stderr)
    assert words[:2] == ["query", "index"]
    assert Path(words[2]).is_file()
    assert command(*words, "--device", "cpu", *HERE).status == 0  # it works as it stands


@pytest.mark.usefixtures("terminal")
def test_eval_leads_to_the_report_and_then_to_the_card(world: Path, command: Command) -> None:
    words = following(command("eval", "run", "--data", "views", "--device", "cpu").stderr)
    assert words == ["eval", "run", "--data", "views", "--out", "run-report"]
    words = following(command(*words, "--device", "cpu").stderr)
    assert words == ["card", "run", "--report", "run-report"]
    assert command(*words).status == 0
    assert following(command("info", "run-report").stderr) == words


@pytest.mark.parametrize("option", ["--json", "--quiet"])
@pytest.mark.usefixtures("terminal")
def test_programs_and_quiet_people_are_told_nothing(option: str, world: Path, command: Command) -> None:
    assert command("info", "meshes", option).stderr == ""


def test_nothing_is_told_where_stderr_is_no_terminal(world: Path, command: Command) -> None:
    assert command("info", "meshes").stderr == ""


@pytest.mark.usefixtures("terminal")
def test_words_are_quoted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_steps, "is_wanted", lambda: True)
    with click.Context(click.Command("any")):
        suggest("view", Path("it's here.off"))
    assert shlex.split(capsys.readouterr().err.removeprefix("Next: ")) == ["shapecnn", "view", "it's here.off"]


def test_folders_are_put_beside() -> None:
    assert beside(Path("a/views"), "run") == "a/views-run"
    assert beside(Path("a/all.zip"), "views") == "a/all-views"
    assert beside(Path("a/v1.2"), "run") == "a/v1.2-run"
