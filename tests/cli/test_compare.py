"""``shapecnn compare``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shapecnn.settings.networks import VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from tests.cli.conftest import Command
from tests.evaluations import write_artefacts, write_run, write_splits
from tests.solids import contents

SETTINGS = ("--set", "backbone=test_efficientnet", "--set", "weights=none", "--set", "size=64")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"), train=1, test=2)


@pytest.fixture(scope="module")
def views(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefacts(collection, tmp_path_factory.mktemp("views"), ViewSettings(size=64)).folder


@pytest.fixture(scope="module")
def grids(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = VoxelSettings(resolution=16, padding=1)
    return write_artefacts(collection, tmp_path_factory.mktemp("grids"), settings).folder


@pytest.fixture(scope="module")
def run(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same")
    artefacts = write_artefacts(collection, folder / "grids", VoxelSettings(resolution=16, padding=1))
    return write_run(folder / "run", artefacts, VoxresnetSettings(width=4))


def test_views_and_grids_by_several_features(
    run: Path, views: Path, grids: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "a comparison"
    names = [str(run), f"{run}:scores", "@imagenet"]
    done = command("compare", *names, *SETTINGS, "--data", views, "--data", grids, "--out", out, "--seed", 2, "--json")
    assert (done.status, done.stderr) == (0, f"Wrote {out / 'report.html'}\n")
    answer = done.json("compare")
    assert [model["name"] for model in answer["models"]] == names
    assert [model["feature"] for model in answer["models"]] == ["penultimate", "scores", "penultimate"]
    assert [model["data"] for model in answer["models"]] == [str(grids), str(grids), str(views)]
    assert (answer["count"], answer["seed"], answer["retrieval"]["gallery"]) == (6, 2, 5)
    assert answer["models"][2]["figures"]["accuracy"] == {"value": None, "interval": None}
    assert [pair["figure"] for pair in answer["pairs"]] == ["accuracy", "mAP", "mAP", "mAP"]
    assert json.loads(contents(out)["comparison.json"]) == answer


def test_people_get_a_table_and_statements(run: Path, grids: Path, tmp_path: Path, command: Command) -> None:
    options = ("--protocol", "train-gallery", "--feature", "scores")
    lines = command("compare", run, "--data", grids, "--out", tmp_path / "out", *options).stdout.splitlines()
    assert lines[0].split() == ["model", "accuracy", "mAP", "ms", "a", "shape"]
    assert lines[1].startswith(str(run))
    assert lines[2:4] == [
        "6 shapes of split test",
        "Protocol train-gallery: 6 queries, gallery of 3, the query itself not included",
    ]


def test_curves_of_others_are_drawn_where_asked_for(run: Path, grids: Path, tmp_path: Path, command: Command) -> None:
    for flags, words in (((), False), (("--published",), True)):
        out = tmp_path / f"out{len(flags)}"
        assert command("compare", run, "--data", grids, "--out", out, *flags).status == 0
        assert (b"3D ShapeNets" in contents(out)["pr.svg"]) == words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split", "val"), "no shape in split val"),
        (("--feature", "metric"), "metric"),
        (("--set", "size=64"), "--set size"),
    ],
)
def test_models_that_cannot_be_compared_are_status_2(
    run: Path, grids: Path, tmp_path: Path, command: Command, options: tuple[str, ...], message: str
) -> None:
    done = command("compare", run, "--data", grids, "--out", tmp_path / "out", *options, "--json")
    assert done.status == 2
    assert message in done.json("error")["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_a_model_and_data_are_asked_for(grids: Path, tmp_path: Path, command: Command) -> None:
    assert command("compare", "--data", grids, "--out", tmp_path / "out").status == 2
    assert command("compare", "@imagenet", "--out", tmp_path / "out").status == 2


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_a_table_as_wide_as_it(
    run: Path, grids: Path, tmp_path: Path, command: Command
) -> None:
    words = ["--data", grids, "--out", tmp_path / "out"]
    lines = command("compare", run, f"{run}:scores", *words).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["model", "accuracy", "mAP", "ms", "a", "shape"]
    assert {*lines[1]} == {"─"}
