"""``shapecnn filters``: text for people, JSON for programs, a page, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command, cells
from tests.evaluations import write_artefacts
from tests.filters.planted import (
    LENET,
    LUMP,
    MARK,
    VOXRESNET,
    lumpy_grids,
    marked_views,
    plant_pattern,
    write_planted_run,
)
from tests.runs import VIEWS, VOXELS
from tests.solids import contents


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marked_views(tmp_path_factory.mktemp("cli filters") / "views")


@pytest.fixture(scope="module")
def run(views: Path) -> Path:
    return write_planted_run(views.parent / "run", views, LENET, lambda network: plant_pattern(network, MARK, 4))


def test_json_names_the_planted_shape_view_and_box(run: Path, views: Path, command: Command) -> None:
    before = contents(run)
    done = command("filters", run, "--layer", "conv1", "--top", 2, "--json", "--device", "cpu")
    assert (done.status, done.stderr) == (0, "")
    answer = done.json("filters")
    assert (answer["model"], answer["data"], answer["split"]) == (str(run), str(views), "train")  # the training data
    assert (answer["kind"], answer["side"], answer["shapes"], answer["page"]) == ("views", 32, 6, None)
    (layer,) = answer["layers"]
    assert (layer["name"], layer["count"], layer["field"], layer["dead"]) == ("conv1", 6, [6, 6], [0, 1, 2, 3, 5])
    (one,) = layer["filters"]
    assert (one["filter"], one["class"], len(one["strongest"])) == (4, None, 2)
    assert one["strongest"][0] == {
        "id": "slab/train/2.off", "label": "slab", "view": 7, "box": [[14, 20], [8, 14]], "activation": 0.5,
    }  # fmt: skip
    assert contents(run) == before


def test_a_volumetric_run_is_searched_by_rotation_and_cells(tmp_path: Path, command: Command) -> None:
    grids = lumpy_grids(tmp_path / "grids")
    run = write_planted_run(tmp_path / "run", grids, VOXRESNET, lambda network: plant_pattern(network, LUMP, 1))
    done = command("filters", run, "--layer", "conv1", "--filters", 1, "--json", "--device", "cpu")
    (layer,) = done.json("filters")["layers"]
    place = layer["filters"][0]["strongest"][0]
    assert (place["id"], place["view"], place["box"]) == ("block/train/4.off", 3, [[4, 9], [10, 15], [12, 17]])
    text = command("filters", run, "--layer", "conv1", "--device", "cpu").stdout.splitlines()
    assert text[1] == "conv1: 4 filters, 3 dead, receptive field: 5 × 5 × 5 cells"
    assert text[2].startswith(f"  filter 1: {LUMP.sum()}.0 block/train/4.off rotation 3, ")


@pytest.mark.parametrize(("name", "settings"), [("views_run", VIEWS), ("voxels_run", VOXELS)])
def test_the_whole_command_on_a_run_of_meshes(
    name: str, settings: object, solids: Path, tmp_path: Path, request: pytest.FixtureRequest, command: Command
) -> None:
    run, page = request.getfixturevalue(name), tmp_path / "filters.html"
    data = write_artefacts(solids, tmp_path / "data", settings).folder  # type: ignore[arg-type]
    done = command(
        "filters", run, "--data", data, "--html", page, "--filters", 2, "--top", 3, "--json", "--device", "cpu"
    )
    assert (done.status, done.stderr) == (0, f"Wrote {page}\n")
    answer = done.json("filters")
    assert (answer["shapes"], answer["page"]) == (9, str(page))
    assert len(answer["layers"]) >= 5
    for layer in answer["layers"]:
        for one in layer["filters"]:
            activations = [place["activation"] for place in one["strongest"]]
            assert activations == sorted(activations, reverse=True)
            assert len({place["id"] for place in one["strongest"]}) == 3
    source = page.read_text()
    assert source.startswith("<!DOCTYPE html>")
    assert "written by shapecnn" in source[-120:]
    assert f"<h2>{answer['layers'][-1]['name']}</h2>" in source


def test_people_read_a_few_filters_of_each_layer(run: Path, views: Path, command: Command) -> None:
    lines = command("filters", run, "--split", "all", "--device", "cpu").stdout.splitlines()
    assert lines[0] == f"{run} on {views}: 6 shapes"
    assert lines[1] == "conv1: 6 filters, 5 dead, receptive field: 6 × 6 pixels"
    assert lines[2].startswith("  filter 4: 0.500 slab/train/2.off view 7, 0.00 bar/train/0.off view 0, ")
    assert lines[3].startswith("conv2: 16 filters, ")
    assert "more with --json or --html" in lines[7]
    assert len(lines) == 8


def test_a_model_without_training_needs_data(solids: Path, tmp_path: Path, command: Command) -> None:
    words = ["@imagenet", *(f"--set={each}" for each in ("backbone=test_efficientnet", "weights=none", "size=32"))]
    done = command("filters", *words, "--json")
    assert done.status == 2
    assert "was not trained on artefacts: name a folder" in done.json("error")["error"]["message"]
    data = write_artefacts(solids, tmp_path / "views", VIEWS).folder
    answer = command("filters", *words, "--data", data, "--layer", "first", "--json", "--device", "cpu").json("filters")
    assert (answer["model"], answer["shapes"]) == ("@imagenet", 9)


def test_wrong_requests_are_status_2_and_one_sentence(
    run: Path, views: Path, views_run: Path, solids: Path, tmp_path: Path, command: Command
) -> None:
    grids = write_artefacts(solids, tmp_path / "grids", VOXELS).folder
    (mine := tmp_path / "mine.html").write_text("mine")
    for words, message in (
        ([run, "--layer", "conv7"], "has no such layer"),
        ([run, "--data", grids], "was made with other settings than"),
        ([run, "--split", "test"], "has no shapes in the split test"),
        ([run, "--top", "0"], "--top"),
        ([run, "--set", "size=32"], "keeps the settings it was trained with"),
        ([run, "--html", mine], "shapecnn did not write the file"),
        ([views_run], "does not say which artefacts it was trained on: name a folder by --data."),
        (["@sph", "--data", grids], "has no filters"),
        ([views], "is a folder of artefacts, not a run"),
    ):
        done = command("filters", *words, "--json")
        assert (done.status, done.stderr.count("\n") <= 8) == (2, True), done.stderr
        assert message in done.json("error")["error"]["message"]
    assert mine.read_text() == "mine"


def test_training_data_that_was_moved_is_asked_for(tmp_path: Path, command: Command) -> None:
    data = marked_views(tmp_path / "views")
    run = write_planted_run(tmp_path / "run", data, LENET, lambda _: None)
    data.rename(tmp_path / "elsewhere")
    done = command("filters", run)
    assert (done.status, done.stdout) == (2, "")
    assert f"The artefacts that {run} was trained on are no longer at {data}: name their folder" in done.stderr
    assert command("filters", run, "--data", tmp_path / "elsewhere", "--device", "cpu").status == 0


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_a_table_of_places(run: Path, command: Command) -> None:
    lines = command("filters", run, "--layer", "conv1", "--top", 2, "--device", "cpu").stdout.splitlines()
    table = cells(lines)
    assert table[-4] == ["filter", "activation", "shape", "view"]
    assert table[-2] == ["filter 4", "0.500", "slab/train/2.off", "7"]
    assert len(table[-1]) == 3  # the second place of the same filter
