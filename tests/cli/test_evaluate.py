"""``shapecnn eval``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from shapecnn.settings.networks import VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.checksums import SUMS
from tests.cli.conftest import Command, cells
from tests.evaluations import CLASSES, write_artefacts, write_run, write_splits
from tests.solids import contents

UNTRAINED = ("@imagenet", "--set", "backbone=test_efficientnet", "--set", "weights=none", "--set", "size=64")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"))


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
    return write_run(folder / "run", artefacts, VoxresnetSettings(width=4), val=["box/train/0.off"])


def test_json_of_a_run(run: Path, grids: Path, command: Command) -> None:
    done = command("eval", run, "--data", grids, "--json")
    assert (done.status, done.stderr) == (0, "")
    answer = done.json("eval")
    assert (answer["model"], answer["data"], answer["split"]) == (str(run), str(grids), "test")
    assert (answer["count"], answer["subset"]) == (9, None)
    assert answer["classification"]["classes"] == list(CLASSES)
    assert sum(map(sum, answer["classification"]["confusion"])) == 9
    assert answer["retrieval"]["protocol"] == "mvcnn"
    low, high = answer["intervals"]["mAP"]
    assert low <= answer["retrieval"]["mAP"] <= high


@pytest.mark.parametrize("protocol", ["mvcnn", "shapenets", "train-gallery", "shrec16"])
def test_every_protocol_and_feature(run: Path, grids: Path, command: Command, protocol: str) -> None:
    options = ("--protocol", protocol, "--feature", "scores", "--task", "retrieval", "--subset", "1+2", "--seed", "3")
    answer = command("eval", run, "--data", grids, "--json", *options).json("eval")
    assert (answer["retrieval"]["protocol"], answer["retrieval"]["feature"]) == (protocol, "scores")
    assert (answer["classification"], answer["count"], answer["subset"], answer["seed"]) == (None, 6, "1+2", 3)
    gallery = {"mvcnn": 5, "shapenets": 24, "train-gallery": 3, "shrec16": 6}  # a single grid is shown in four turns
    assert answer["retrieval"]["gallery"] == gallery[protocol]


def test_without_training(views: Path, command: Command) -> None:
    answer = command("eval", *UNTRAINED, "--data", views, "--json").json("eval")
    assert (answer["model"], answer["classification"]) == ("@imagenet", None)
    assert answer["retrieval"]["queries"] == 9
    done = command("eval", *UNTRAINED, "--data", views, "--task", "classification", "--json")
    assert done.status == 2
    assert "@imagenet has no classes" in done.json("error")["error"]["message"]


def test_people_get_a_short_table(run: Path, grids: Path, command: Command) -> None:
    lines = command("eval", run, "--data", grids, "--task", "classification").stdout.splitlines()
    assert lines[0] == f"{run} on {grids}: 9 shapes of test"
    assert [line[:22].strip() for line in lines[1:4]] == ["accuracy", "mean class accuracy", "calibration error"]
    assert "(95 %: " in lines[1]
    assert lines[4] == "  most costly confusions:"
    assert all(
        re.fullmatch(r"    .* predicted as \w+.* \(\d+\.\d points of mean class accuracy\)", each) for each in lines[5:]
    )
    assert 1 <= len(lines[5:]) <= 3
    lines = command("eval", run, "--data", grids, "--split", "val", "--subset", "2+1").stdout.splitlines()
    assert lines[0].endswith(": 1 shape of val, subset 2+1")
    rules = next(number for number, line in enumerate(lines) if "Protocol" in line)
    assert "Protocol mvcnn: 0 queries (1 without a relevant item left out), gallery of 0" in lines[rules]
    assert [line.split() for line in lines[rules + 2 : rules + 4]] == [
        ["mAP", "undefined"],
        ["macro", "mAP", "undefined"],
    ]


def test_out_holds_the_figures_and_the_page(run: Path, grids: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "a report"
    done = command("eval", run, "--data", grids, "--out", out, "--json")
    assert (done.status, done.stderr) == (0, f"Wrote {out / 'report.html'}\n")
    files = contents(out)
    figures = ["confusion.svg", "evaluation.json", "pr.svg", "predictions.parquet", "reliability.svg"]
    assert list(files) == [SUMS, *figures, "report.html"]
    answer = done.json("eval")
    assert json.loads(files["evaluation.json"]) == answer
    table = pyarrow.parquet.read_table(out / "predictions.parquet").to_pylist()
    assert [list(row) for row in table] == [["id", "label", "predicted", "score"]] * 9
    right = sum(row["label"] == row["predicted"] for row in table)
    assert right / 9 == answer["classification"]["accuracy"]
    assert all(1 / 3 <= row["score"] <= 1 for row in table)
    assert files["report.html"].startswith(b"<!DOCTYPE html>")
    command("eval", run, "--data", grids, "--out", out)
    assert contents(out) == files


def test_retrieval_alone_has_no_predictions(run: Path, grids: Path, tmp_path: Path, command: Command) -> None:
    command("eval", run, "--data", grids, "--task", "retrieval", "--out", tmp_path / "out")
    assert list(contents(tmp_path / "out")) == [SUMS, "evaluation.json", "pr.svg", "report.html"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "none"], "'none' is not one of"),
        (["--task", "search"], "'search' is not one of"),
        (["--protocol", "psb"], "'psb' is not one of"),
        (["--feature", "logits"], "'logits' is not one of"),
        (["--feature", "metric"], "has no learned metric"),
        (["--subset", "80"], "--subset '80' is not TRAIN+TEST"),
        (["--seed", "-1"], "--seed"),
        (["--set", "views=20"], "keeps the settings it was trained with"),
        (["--protocol", "train-gallery", "--split", "train"], "every query would find itself"),
    ],
)
def test_a_bad_option_is_status_2(run: Path, grids: Path, command: Command, options: list[str], message: str) -> None:
    done = command("eval", run, "--data", grids, *options)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert command("eval", run, "--data", grids, *options, "--json").json("error")["error"]["kind"] == "usage"


def test_wrong_options_are_status_2(run: Path, views: Path, grids: Path, tmp_path: Path, command: Command) -> None:
    assert "Missing option '--data'" in command("eval", run).stderr
    assert "is not a folder of artefacts" in command("eval", run, "--data", tmp_path).stderr
    assert "is not a run" in command("eval", tmp_path, "--data", grids).stderr
    assert "There is no model '@sphere'" in command("eval", "@sphere", "--data", grids).stderr
    done = command("eval", "@imagenet", "--data", views, "--set", "descriptor=sph")
    assert (done.status, "only an index can join a descriptor" in done.stderr) == (2, True)
    done = command("eval", run, "--data", views, "--json")
    assert (done.status, done.json("error")["error"]["kind"]) == (2, "mismatch")


def test_a_run_is_measured_without_torch_once_it_is_converted(run: Path, grids: Path, tmp_path: Path) -> None:
    code = """
import sys
from shapecnn.cli.main import run
try:
    run()
finally:
    heavy = {"torch", "timm", "torchvision", "open3d", "pyrender", "trimesh", "sklearn", "pickle5"}
    print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""
    arguments = ["eval", run, "--data", grids, "--out", tmp_path / "out", "--json", "--device", "cpu"]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
        )
    assert done.stderr == f"Wrote {tmp_path / 'out' / 'report.html'}\n[]\n"


def test_the_figures_without_copies_stand_beside_the_others(run: Path, grids: Path, command: Command) -> None:
    answer = command("eval", run, "--data", grids, "--exclude-duplicates", "--json").json("eval")
    without = answer["without_duplicates"]
    assert (without["excluded"], without["count"]) == ([], 9)
    assert all(without[task] == answer[task] for task in ("classification", "retrieval", "intervals"))
    assert command("eval", run, "--data", grids, "--json").json("eval")["without_duplicates"] is None
    done = command("eval", run, "--data", grids, "--exclude-duplicates")
    assert "Without 0 copies: 9 shapes of test\n  accuracy" in done.stdout


@pytest.fixture(scope="module")
def uneven(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grids of a test split in which the classes differ in size."""
    folder = tmp_path_factory.mktemp("uneven")
    meshes = write_splits(folder / "meshes", train=2, test=4)
    for name in ("box/test/2.off", "box/test/3.off", "round/test/3.off"):
        (meshes / name).unlink()
    return write_artefacts(meshes, folder / "grids", VoxelSettings(resolution=16, padding=1)).folder


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_tables_with_intervals(run: Path, uneven: Path, command: Command) -> None:
    done = command("eval", run, "--data", uneven)
    answer = command("eval", run, "--data", uneven, "--json").json("eval")
    lines = done.stdout.splitlines()
    assert max(map(len, lines[1:])) <= 80
    table = cells(lines)
    classification = table.index(["classification", "result", "95 % interval"])
    retrieval = table.index(["retrieval", "result", "95 % interval"])
    names = ["mean class accuracy", "accuracy", "calibration error"]  # the classes differ in size
    assert [row[0] for row in table[classification + 2 : classification + 5]] == names
    assert [row[0] for row in table[retrieval + 2 : retrieval + 4]] == ["macro mAP", "mAP"]
    low, high = answer["intervals"]["mean_class_accuracy"]
    assert table[classification + 2][1:] == [
        f"{answer['classification']['mean_class_accuracy']:.1%}".replace("%", " %"),
        f"{100 * low:.1f} to {100 * high:.1f} %",
    ]
    pair = answer["classification"]["confused"][0]
    count = answer["classification"]["per_class"][pair["first"]]["count"]
    row = next(row for row in table if row[:2] == [pair["first"], pair["second"]])
    assert row[2:] == [f"{pair['first_as_second']} of {count}", f"{100 * pair['cost']:.1f}"]


def test_programs_read_the_same_figures_without_a_table(run: Path, uneven: Path, command: Command) -> None:
    lines = command("eval", run, "--data", uneven).stdout.splitlines()
    assert "─" not in "".join(lines)
    line = next(line for line in lines if line.startswith("  mean class accuracy "))
    assert re.fullmatch(r"  mean class accuracy  *\d+\.\d %  \(95 %: \d+\.\d to \d+\.\d\)", line)
