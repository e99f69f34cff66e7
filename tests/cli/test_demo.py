"""A small demo: all its results exist, and a second run does not repeat finished work."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from shapecnn.cli.demo import _Steps
from shapecnn.sources.shapes import CLASSES
from tests.cli.conftest import Command, cells


def test_the_demo_makes_all_it_names_and_ends_with_a_page(tmp_path: Path, command: Command) -> None:
    out = tmp_path / "demo"
    done = command("demo", out, "--per-class", "4", "--workers", "2", "--device", "cpu", "--json")
    assert done.status == 0, done.stderr
    answer = done.json("demo")
    assert (answer["shapes"], answer["classes"], answer["failed"]) == (4 * len(CLASSES), len(CLASSES), 0)
    assert {name: figures["count"] for name, figures in answer["networks"].items()} == dict.fromkeys(
        ("mvcnn", "shapenets"), 2 * len(CLASSES)
    )
    paths = {name: Path(path) for name, path in answer["paths"].items()}
    assert len(list(paths["meshes"].rglob("*.off"))) == answer["shapes"]
    assert len(list(paths["views"].rglob("*.png"))) == answer["shapes"]
    assert len(list(paths["grids"].rglob("*.binvox"))) == answer["shapes"]
    assert "mug" in paths["page"].read_text()
    assert answer["query"]["same_label"] >= 1  # the query itself is in the index
    assert all((paths[f"{name}_run"] / "model.safetensors").exists() for name in answer["networks"])
    assert "Mistakes" in paths["mvcnn_report"].read_text()
    assert "finished" not in done.stderr  # nothing was begun before, and nothing is said to be missing
    sheets = {path: path.stat().st_mtime_ns for path in paths["views"].rglob("*.png")}

    again = command("demo", out, "--per-class", "4", "--workers", "2", "--device", "cpu")
    assert again.status == 0, again.stderr
    assert "Smoke test on the test split of the generated shapes" in again.stdout
    assert all(str(path) in again.stdout for path in paths.values())
    assert "epoch 1 of" not in again.stderr  # what was trained stays trained
    assert {path: path.stat().st_mtime_ns for path in paths["views"].rglob("*.png")} == sheets


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_a_table_of_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    steps = _Steps()
    with click.Context(click.Command("demo")):
        steps.finish("generate", "640 meshes", Path("my-demo/meshes"))
        steps.finish("eval mvcnn", "accuracy 99.4%, mAP 98.8%", Path("my-demo/mvcnn-report/report.html"))
    lines = steps.lines()
    assert max(map(len, lines)) <= 80
    assert cells(lines)[0] == ["step", "time", "result", "written to"]
    assert [row[0] for row in cells(lines)[2:4]] == ["generate", "eval mvcnn"]
    assert "generate: 640 meshes" in capsys.readouterr().err
