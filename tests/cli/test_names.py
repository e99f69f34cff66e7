"""Names that would forge a line, break a picture or run in a spreadsheet are escaped everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from shapecnn.errors import visible
from tests.cli.conftest import Command
from tests.evaluations import write_splits
from tests.runs import VOXELS, VOXRESNET, write_run

FORGED = "=cmd\nEverything is fine: 0 failed\x1b[2J\u202egpj"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Meshes with a class of such a name, and a run trained on them."""
    folder = tmp_path_factory.mktemp("names")
    meshes = write_splits(folder / "meshes", train=2, test=2)
    (meshes / "box").rename(meshes / FORGED)
    (meshes / FORGED / "test" / f"{FORGED}.off").write_bytes(next((meshes / FORGED / "test").iterdir()).read_bytes())
    write_run(folder / "run", meshes, VOXRESNET, VOXELS, gallery=True)
    return folder


def test_no_name_forges_a_line_or_stands_raw_in_a_file(world: Path, tmp_path: Path, command: Command) -> None:
    meshes, grids, run = world / "meshes", tmp_path / "grids", world / "run"
    mesh = meshes / FORGED / "test" / f"{FORGED}.off"
    (broken := meshes / "round" / f"{FORGED}.off").write_bytes(b"OFF")
    here = ["--workers", 1, "--device", "cpu"]
    told = [
        command("voxelize", meshes, grids, "--resolution", 16, "--padding", 1, "--workers", 1),
        command("index", meshes, tmp_path / "index", "--model", run, *here, "--skip-errors"),
        command("query", tmp_path / "index", mesh, broken, *here, "--html", tmp_path / "answer.html"),
        command("predict", run, mesh, broken, *here),
        command("explain", run, mesh, broken, *here, "--html", tmp_path / "why.html"),
        command("eval", run, "--data", grids, "--device", "cpu", "--out", tmp_path / "report"),
        command("audit", grids, "--out", tmp_path / "audit"),
        command("compare", run, f"{run}:scores", "--data", grids, "--device", "cpu", "--out", tmp_path / "comparison"),
        command("filters", run, "--data", grids, "--html", tmp_path / "filters.html", "--device", "cpu"),
        command("verify", grids, "--collection", tmp_path / "report"),
        command("render", meshes, tmp_path / "report"),
    ]
    broken.unlink()
    for done in told:
        for line in (done.stdout + done.stderr).splitlines():
            assert not RAW.search(line)
            assert not line.startswith("Everything is fine")
    written = [path for name in ("report", "audit", "comparison") for path in (tmp_path / name).rglob("*")]
    checked = [*written, *(tmp_path / name for name in ("answer.html", "why.html", "filters.html"))]
    names = {path.name for path in checked}
    assert {"confusion.svg", "pr.svg", "audit.csv", "comparison.csv", "report.html", "answer.html", "why.html"} <= names
    for path in checked:
        if path.suffix in (".html", ".svg", ".csv", ".md"):
            text = path.read_text("utf-8")
            assert not RAW.search(text), path
            assert "\nEverything is fine" not in text, path
        if path.suffix == ".svg":
            ElementTree.fromstring(path.read_bytes())
        if path.suffix == ".csv":
            assert not re.search(r"(^|,)\"?[=@]", path.read_text("utf-8"), re.MULTILINE), path
    assert visible(FORGED) in (tmp_path / "report" / "confusion.svg").read_text("utf-8")


def test_a_name_typed_wrong_is_escaped_too(command: Command) -> None:
    for words in ([FORGED], ["render", FORGED, "out"], ["eval", FORGED], ["render", "--views", FORGED]):
        done = command(*words)
        assert done.status == 2
        assert not RAW.search(done.stderr)
        assert not re.search("^Everything is fine", done.stderr, re.MULTILINE)


def test_names_that_are_not_utf_8_go_through_every_writer(world: Path, tmp_path: Path, command: Command) -> None:
    odd = os.fsdecode(b"caf\xe9")
    grids, run = tmp_path / odd, tmp_path / f"run {odd}"
    shutil.copytree(world / "run", run)
    meshes = write_splits(tmp_path / "meshes", train=2, test=2)
    mesh = meshes / f"{odd}.off"
    mesh.write_bytes(next((meshes / "box" / "test").iterdir()).read_bytes())
    write_run(run, meshes, VOXRESNET, VOXELS)
    small = ["--resolution", 16, "--padding", 1, "--workers", 1]
    here = ["--device", "cpu"]
    command("voxelize", meshes, grids, *small)
    for words in (
        ["eval", run, "--data", grids, "--out", tmp_path / f"report {odd}", "--json"],
        ["index", meshes, tmp_path / f"index {odd}", "--model", world / "run", "--workers", 1, "--json"],
        ["query", tmp_path / f"index {odd}", mesh, "--html", tmp_path / f"{odd}.html", "--json"],
        ["explain", world / "run", mesh, "--html", tmp_path / f"why {odd}.html", "--json"],
    ):
        done = command(*words, *here)
        assert "Traceback" not in done.stderr
        assert done.status in (0, 2), done.stderr
        json.loads(done.stdout)
    assert (tmp_path / f"{odd}.html").exists()
    assert (tmp_path / f"why {odd}.html").exists()
