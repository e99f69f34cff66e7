"""``shapecnn metric`` and the commands that use the metric: eval, index and query."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shapecnn.search.index import read_index
from shapecnn.settings.networks import VoxresnetSettings
from shapecnn.settings.views_and_grids import VoxelSettings
from tests.cli.conftest import Command
from tests.evaluations import write_artefacts, write_run, write_splits


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"), train=4)


@pytest.fixture(scope="module")
def grids(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = VoxelSettings(resolution=16, padding=1)
    return write_artefacts(meshes, tmp_path_factory.mktemp("grids"), settings).folder


@pytest.fixture(scope="module")
def plain(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run without a metric; read-only."""
    folder = tmp_path_factory.mktemp("plain")
    artefacts = write_artefacts(meshes, folder / "grids", VoxelSettings(resolution=16, padding=1))
    val = [f"{label}/train/{k}.off" for label in ("box", "round") for k in (0, 1)]
    return write_run(folder / "run", artefacts, VoxresnetSettings(width=4), val=val)


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Path:
    return shutil.copytree(plain, tmp_path / "run")


def test_json_agrees_with_eval(run: Path, grids: Path, command: Command) -> None:
    done = command("metric", run, "--data", grids, "--size", "3", "--device", "cpu", "--json")
    assert (done.status, done.stderr) == (0, "")
    answer = done.json("metric")
    assert (answer["run"], answer["size"], answer["anew"]) == (str(run), 3, True)
    retrieval = {}
    for feature in ("penultimate", "metric"):
        typed = ("--data", grids, "--split", "val", "--feature", feature, "--task", "retrieval", "--json")
        retrieval[feature] = command("eval", run, *typed).json("eval")["retrieval"]
        assert retrieval[feature]["feature"] == feature
    for figures, feature in ((answer["before"], "penultimate"), (answer["after"], "metric")):
        assert figures == {"count": 4, "mAP": retrieval[feature]["mAP"], "NN": retrieval[feature]["NN"]}
    again = command("metric", run, "--data", grids, "--size", "3", "--json").json("metric")
    assert again == {**answer, "anew": False}


def test_for_people(run: Path, grids: Path, command: Command) -> None:
    done = command("metric", run, "--data", grids)
    assert done.status == 0
    assert done.stdout.startswith("Learned in ")
    assert "mAP on 4 shapes of val" in done.stdout
    assert command("metric", run, "--data", grids).stdout.startswith("Unchanged: a metric")


def test_index_and_query_by_the_metric(run: Path, grids: Path, meshes: Path, tmp_path: Path, command: Command) -> None:
    assert command("metric", run, "--data", grids, "--size", "3").status == 0
    typed = ("index", meshes, tmp_path / "index", "--model", run, "--workers", "1", "--device", "cpu")
    assert command(*typed, "--feature", "metric").status == 0
    index = read_index(tmp_path / "index")
    assert index.features.shape == (21, 3 + 3)
    assert index.record.description.endswith("compared by its metric")
    query = command("query", tmp_path / "index", meshes / "box/test/4.off", "-k", "3", "--device", "cpu", "--json")
    (answer,) = query.json("query")
    assert answer["results"][0]["id"] == "box/test/4.off"
    assert answer["results"][0]["score"] == pytest.approx(1, abs=1e-3)

    assert "21 unchanged" in command(*typed).stdout  # by the feature that it has
    other = command(*typed, "--feature", "penultimate")
    assert other.status == 2
    assert "metric is" in other.stderr
    assert command("metric", run, "--data", grids, "--size", "2").status == 0  # replaced: what was indexed is another's
    replaced = command("query", tmp_path / "index", meshes / "box/test/4.off")
    assert (replaced.status, "metric is" in replaced.stderr) == (2, True)
    np.testing.assert_array_equal(read_index(tmp_path / "index").features, index.features)


@pytest.mark.parametrize("typed", [("eval", "--data", "GRIDS"), ("index", "MESHES", "INDEX")])
def test_without_a_metric_the_message_names_the_command(
    plain: Path, grids: Path, meshes: Path, tmp_path: Path, command: Command, typed: tuple[str, ...]
) -> None:
    places = {"GRIDS": grids, "MESHES": meshes, "INDEX": tmp_path / "index"}
    model = [plain] if typed[0] == "eval" else []
    rest = [] if model else ["--model", plain]
    done = command(typed[0], *model, *(places.get(word, word) for word in typed[1:]), *rest, "--feature", "metric")
    assert done.status == 2
    assert f"has no learned metric. To learn it: shapecnn metric {plain} --data DIR" in done.stderr
    assert not (tmp_path / "index").exists()


def test_imagenet_has_none(grids: Path, command: Command) -> None:
    done = command("eval", "@imagenet", "--data", grids, "--feature", "metric")
    assert done.status == 2
    assert "@imagenet has only the feature penultimate" in done.stderr


def test_other_artefacts_are_refused(run: Path, meshes: Path, tmp_path: Path, command: Command) -> None:
    other = write_artefacts(meshes, tmp_path / "other", VoxelSettings(resolution=16, padding=2)).folder
    done = command("metric", run, "--data", other)
    assert done.status == 2
    assert "padding" in done.stderr
    assert not (run / "metric.json").exists()
