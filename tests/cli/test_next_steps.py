"""The last line of a command: real paths, on a terminal only, and a command that works."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

import shapecnn
from shapecnn.cli import next_steps
from shapecnn.cli.next_steps import NO_FOLDS, suggest, suggest_again, suggest_for_comparison
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
    words = ["train", "mvcnn-psb", "--data", str(views), "--out", f"{views}-run", *NO_FOLDS]
    assert following(done.stderr) == words
    trained = command(*words, "--device", "cpu")  # so few shapes train only without validation
    assert trained.status == 0
    assert following(trained.stderr) == ["eval", f"{views}-run", "--data", str(views), "--out", f"{views}-run-report"]
    done = command("render", meshes, views, "--size", 32, *HERE)  # with new meshes, say
    assert f"{views}-run-2" in following(done.stderr)  # the run of the old ones stays
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
        "views": ["train", "mvcnn-psb", "--data", "views", "--out", "views-run", *NO_FOLDS],
        "grids": ["train", "shapenets-modelnet10", "--data", "grids", "--out", "grids-run", *NO_FOLDS],
    }
    for path, words in expected.items():
        assert following(command("info", path).stderr) == words
    words = following(command("info", "index").stderr)
    assert words[:2] == ["query", "index"]
    assert Path(words[2]).is_file()
    assert command(*words, "--device", "cpu", *HERE).status == 0  # it works as it stands


@pytest.mark.parametrize("has_test", [True, False])
def test_a_comparison_leads_to_its_best_run(
    has_test: bool, world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal accuracy, the higher mAP decides; a model without training is not evaluated again."""

    def measured(name: str, feature: str, accuracy: float, mean: float) -> SimpleNamespace:
        contender = SimpleNamespace(
            model=SimpleNamespace(name=name), artefacts=SimpleNamespace(folder=Path("views")), feature=feature
        )
        figures = {"accuracy": SimpleNamespace(value=accuracy), "mAP": SimpleNamespace(value=mean)}
        evaluation = SimpleNamespace(headline_names=("accuracy", "mAP"))
        return SimpleNamespace(contender=contender, evaluation=evaluation, figures=figures)

    found = [("other", "penultimate", 0.7, 0.9), ("run", "penultimate", 0.8, 0.5), ("run", "metric", 0.8, 0.6),
             ("@imagenet", "penultimate", 0.9, 0.9)]  # fmt: skip
    comparison: Any = SimpleNamespace(split="val", measured=[measured(*each) for each in found])
    if not has_test:
        entries = [SimpleNamespace(split="train")]
        monkeypatch.setattr(shapecnn, "open_artefacts", lambda _: SimpleNamespace(entries=entries))
    monkeypatch.setattr(next_steps, "is_wanted", lambda: True)
    with click.Context(click.Command("any")):
        suggest_for_comparison(comparison, "--protocol", "shapenets")
    words = [
        "eval",
        "run",
        "--data",
        "views",
        *([] if has_test else ["--split", "val"]),
        "--feature",
        "metric",
        "--protocol",
        "shapenets",
    ]
    assert following(capsys.readouterr().err) == [*words, "--out", "run-report"]


@pytest.mark.usefixtures("terminal")
def test_view_advises_no_turn_that_would_look_otherwise(world: Path, command: Command) -> None:
    done = command("view", "meshes/round/test/2.off", "--terminal", "blocks", "--max-faces", "100", "--simplify")
    assert done.status == 0, done.stderr
    assert "Next:" not in done.stderr


@pytest.mark.usefixtures("terminal")
def test_views_of_others_are_not_advised_to_be_replaced(world: Path, command: Command) -> None:
    Path("meshes-views").mkdir()
    Path("meshes-views/mine.txt").write_text("mine")
    assert following(command("info", "meshes").stderr) == ["render", "meshes", "meshes-views-2"]


@pytest.mark.usefixtures("terminal")
def test_eval_leads_to_the_report_and_then_to_the_card(world: Path, command: Command) -> None:
    typed = ["eval", "run", "--data", "views", "--task", "retrieval", "--device", "cpu"]
    words = following(command(*typed).stderr)
    assert words == [*typed, "--out", "run-report"]  # what was asked for stays
    words = following(command(*words).stderr)
    assert words == ["card", "run", "--report", "run-report"]
    assert command(*words).status == 0
    assert following(command("info", "run-report").stderr) == words
    Path("run/README.md").write_text("mine")
    assert command("info", "run-report").stderr == ""  # card would refuse to replace it


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


FIRST = {
    "predict": (["predict", "run", "meshes/box/test/2.off", "--up", "y", *HERE],
                ["explain", "run", "meshes/box/test/2.off", "--up", "y", "--html", "why.html"]),
    "explain": (["explain", "run", "meshes/box/test/2.off", *HERE],
                ["explain", "run", "meshes/box/test/2.off", *HERE, "--html", "why.html"]),
    "filters": (["filters", "run", "--data", "views", "--top", "2", "--filters", "2"],
                ["filters", "run", "--data", "views", "--top", "2", "--filters", "2", "--html", "filters.html"]),
    "index": (["index", "meshes", "index", "--model", "run", *HERE], ["query", "index"]),
    "query": (["query", "index", "meshes/box/test/2.off", *HERE],
              ["query", "index", "meshes/box/test/2.off", *HERE, "--html", "answer.html"]),
    "compare": (["compare", "run", "@imagenet", "--data", "views", "--out", "both", "--set", "views=12",
                 "--set", "size=32"], ["eval", "run", "--data", "views", "--out", "run-report"]),
    "verify": (["verify", "run", "views"], ["info", "run"]),
    "view": (["view", "meshes/box/test/2.off", "--terminal", "blocks", "--up", "y"],
             ["view", "meshes/box/test/2.off", "2.gif", "--up", "y"]),
    "metric": (["metric", "run", "--data", "views", "--size", "2"],
               ["compare", "run", "run:metric", "--data", "views", "--out", "run-comparison"]),
    "audit": (["audit", "views", "--model", "run", "--threshold", "0.01"],
              ["audit", "views", "--model", "run", "--threshold", "0.01", "--out", "views-audit"]),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FIRST])
@pytest.mark.usefixtures("terminal")
def test_the_next_command_works_as_it_is_printed(name: str, world: Path, command: Command) -> None:
    words, expected = FIRST[name]
    if name == "index":  # anew, because the copied index names the meshes of the original
        words = ["index", "meshes", "mine", *words[3:]]
        expected = ["query", "mine"]
    done = command(*words)
    assert done.status == 0, done.stderr
    advised = following(done.stderr)
    assert advised[: len(expected)] == expected
    again = command(*advised)
    assert again.status == 0, again.stderr


@pytest.mark.usefixtures("terminal")
def test_the_doubtful_prediction_is_the_one_to_explain(world: Path, command: Command) -> None:
    meshes = sorted(map(str, Path("meshes").glob("*/test/2.off")))
    answers = command("predict", "run", *meshes, "--json", *HERE).json("predict")
    doubtful = [each["path"] for each in answers if each["unknown"] or each["alternative"]]
    words = following(command("predict", "run", *meshes, *HERE).stderr)
    assert words[2] == [*doubtful, *meshes][0]


@pytest.mark.usefixtures("terminal")
def test_after_the_page_the_browser_is_next_where_it_can_be_opened(
    world: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["query", "index", "meshes/box/test/2.off", "--html", "answer.html", *HERE]
    monkeypatch.setattr(next_steps, "find_spec", lambda _name: object())
    assert following(command(*words).stderr) == ["serve", "index"]
    monkeypatch.setattr(next_steps, "find_spec", lambda _name: None)
    assert command(*words).stderr.splitlines()[-1] == "Wrote answer.html"


@pytest.mark.usefixtures("terminal")
def test_an_index_of_a_zip_is_not_queried_by_a_name_that_is_no_file(
    world: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.make_archive("all", "zip", "meshes")
    monkeypatch.setattr(next_steps, "find_spec", lambda _name: None)
    done = command("index", "all.zip", "mine", "--model", "run", *HERE)
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.usefixtures("terminal")
def test_a_metric_is_compared_on_shapes_that_were_held_out(world: Path, command: Command) -> None:
    def learn() -> str:
        return command("metric", "run", "--data", "views", "--size", "2", "--device", "cpu").stderr

    assert "--split" not in following(learn())  # the views have a test split
    for folder in Path("meshes").glob("*/test"):
        shutil.rmtree(folder)
    assert command("render", "meshes", "views", "--size", 32, *HERE).status == 0
    assert "Next:" not in learn()  # nor did the run hold shapes out


def test_options_stand_before_the_arguments_after_two_dashes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_steps, "is_wanted", lambda: True)
    monkeypatch.setattr(sys, "argv", ["shapecnn", "query", "index", "--", "-a.off"])
    with click.Context(click.Command("any")):
        suggest_again("--html", "answer.html")
    assert capsys.readouterr().err == "Next: shapecnn query index --html answer.html -- -a.off\n"
