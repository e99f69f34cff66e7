"""``shapecnn info``: what it says of known solids, collections and folders, and what it refuses."""

from __future__ import annotations

import math
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import trimesh

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.models.calibration import Calibration
from shapecnn.models.model import resolve_model
from shapecnn.report.evaluation import write_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import publish_beside
from shapecnn.storage.unfinished import RESUME
from shapecnn.training.plan import ORIGIN, new_plan
from shapecnn.workers.pool import Workers
from tests.cli.conftest import Command
from tests.evaluations import write_splits
from tests.runs import VOXELS, VOXRESNET, write_run
from tests.solids import write, write_box, write_solids


def test_a_box_is_described_by_its_known_measures(tmp_path: Path, command: Command) -> None:
    mesh = write_box(tmp_path / "box.stl", 1.0, 2.0, 3.0)
    facts = command("info", mesh, "--json").json("info")["facts"]
    assert (facts["format"], facts["faces"], facts["closed"], facts["bytes"]) == ("STL", 12, True, 84 + 50 * 12)
    assert facts["extents"] == pytest.approx([1, 2, 3])
    assert facts["low"] == pytest.approx([-0.5, -1, -1.5])
    assert facts["diameter"] == pytest.approx(math.sqrt(1 + 4 + 9))
    assert (facts["area"], facts["volume"]) == (pytest.approx(22), pytest.approx(6))
    assert (facts["degenerate_faces"], facts["notes"]) == (0, [])
    shown = command("info", mesh)
    assert shown.stdout.splitlines()[0] == f"{mesh}: mesh, STL, 684 bytes"
    for line in (
        "  faces             12",
        "  extents x, y, z   1 × 2 × 3",
        "  closed            yes",
        "  volume            6",
    ):
        assert line in shown.stdout.splitlines()
    assert shown.stderr == ""  # no terminal


def test_an_open_box_is_not_closed_and_has_no_volume(tmp_path: Path, command: Command) -> None:
    box = trimesh.creation.box((1, 1, 1))
    box.update_faces([True] * 11 + [False])
    mesh = write(tmp_path / "a.off", box)
    facts = command("info", mesh, "--json").json("info")["facts"]
    assert (facts["faces"], facts["closed"], facts["area"], facts["volume"]) == (11, False, pytest.approx(5.5), None)


def test_what_a_reader_notes_and_flat_faces_are_told(tmp_path: Path, command: Command) -> None:
    (mesh := tmp_path / "a.off").write_text("OFF\n4 3 0\n0 0 0\n1 0 0\n0 1 0\n5 5 5\n3 0 1 2\n3 0 1 1\n3 0 0 0\nmore\n")
    facts = command("info", mesh, "--json").json("info")["facts"]
    assert (facts["vertices"], facts["degenerate_faces"]) == (3, 2)
    assert len(facts["notes"]) == 1
    assert f"note              {facts['notes'][0]}" in command("info", mesh).stdout


def test_a_mesh_in_a_zip_is_described(tmp_path: Path, command: Command) -> None:
    mesh = write_box(tmp_path / "box.off")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(mesh, "chair/a.off")
    answer = command("info", tmp_path / "a.zip" / "chair" / "a.off", "--json").json("info")
    assert (answer["kind"], answer["facts"]["volume"]) == ("mesh", pytest.approx(6))
    facts = command("info", tmp_path / "a.zip", "--json").json("info")["facts"]
    assert (facts["source"], facts["shapes"], facts["formats"]) == ("zip", 1, {"OFF": 1})


def test_a_collection_is_counted_by_class_split_and_format(tmp_path: Path, command: Command) -> None:
    meshes = write_splits(tmp_path / "meshes", train=2, test=1)
    (meshes / "box" / "train" / "1.off").rename(meshes / "box" / "train" / "1.obj")  # is counted, not opened
    answer = command("info", meshes, "--json").json("info")
    assert answer["kind"] == "collection"
    facts = answer["facts"]
    assert (facts["source"], facts["shapes"], facts["unlabelled"]) == ("folder", 9, 0)
    assert facts["splits"] == {"test": 3, "train": 6}
    assert facts["classes"] == {label: {"test": 1, "train": 2} for label in ("box", "cylinder", "round")}
    assert facts["formats"] == {"OBJ": 1, "OFF": 8}
    lines = command("info", meshes).stdout.splitlines()
    assert lines[0] == f"{meshes}: collection (folder), 9 meshes: 1 OBJ, 8 OFF"
    assert "  cylinder  2  1" in lines
    assert lines[-1] == "  all       6  3"
    facts = command("info", meshes, "--labels", "none", "--json").json("info")["facts"]
    assert (facts["classes"], facts["unlabelled"], facts["splits"]) == ({}, 9, {"none": 9})


def test_a_csv_is_a_collection(tmp_path: Path, command: Command) -> None:
    write_solids(tmp_path / "all")
    (tmp_path / "a.csv").write_text("path,label,split\nall/box/cube.off,cube,train\nall/round/cone.off,cone,val\n")
    facts = command("info", tmp_path / "a.csv", "--json").json("info")["facts"]
    assert (facts["source"], facts["classes"]) == ("csv", {"cone": {"val": 1}, "cube": {"train": 1}})


def test_artefacts_are_described_with_their_failures(tmp_path: Path, command: Command) -> None:
    meshes = write_splits(tmp_path / "meshes", train=1, test=1)
    (meshes / "box" / "train" / "bad.off").write_bytes(b"OFF")
    prepare_collection(meshes, tmp_path / "grids", Recipe(VOXELS), command="shapecnn", workers=Workers(1))
    answer = command("info", tmp_path / "grids", "--json").json("info")
    facts = answer["facts"]
    assert (answer["kind"], facts["content"], facts["shapes"], facts["failed"]) == ("artefacts", "voxels", 6, 1)
    assert [failure["id"] for failure in facts["failures"]] == ["box/train/bad.off"]
    assert (facts["settings"]["resolution"], facts["settings"]["padding"]) == (16, 1)
    assert facts["hash"] == VOXELS.to_json()["hash"]
    assert facts["bytes"] == sum(path.stat().st_size for path in (tmp_path / "grids").rglob("*.binvox"))
    lines = command("info", tmp_path / "grids").stdout
    assert "artefacts: voxel grids of 6 shapes" in lines
    assert "box/train/bad.off: " in lines


def test_a_run_is_described(tmp_path: Path, command: Command) -> None:
    meshes = write_splits(tmp_path / "meshes", train=2, test=1)
    calibration = Calibration(30, 1.5, 0.5, 0.4, 0.125, 0.0625, 0.75, 0.05, "held out")
    run = write_run(tmp_path / "run", meshes, VOXRESNET, VOXELS, calibration=calibration, up="y")
    answer = command("info", run, "--json").json("info")
    facts = answer["facts"]
    assert (answer["kind"], facts["finished"], facts["network"]["kind"]) == ("run", True, "voxresnet")
    assert (facts["classes"], facts["up"], facts["train"], facts["val"]) == (["box", "cylinder", "round"], "y", 9, 0)
    assert facts["weights_bytes"] == (run / "model.safetensors").stat().st_size
    assert f"{facts['weights']}  model.safetensors" in (run / "SHA256SUMS").read_text()
    assert (facts["calibration"]["temperature"], facts["validation"], facts["metric"]) == (1.5, None, None)
    shown = command("info", run).stdout
    assert "run, finished: voxresnet, 3 classes" in shown
    assert "temperature 1.5, calibration error 6.2%; unknown below a similarity of 0.750" in shown
    assert "none: no shapes were held out" in shown


def test_an_unfinished_training_is_told(tmp_path: Path, command: Command) -> None:
    plan = new_plan("demo-shapenets", {}, tmp_path / "grids")
    publish_beside(tmp_path / "run" / RESUME, {ORIGIN: json_bytes({"plan": plan.to_json()})}, "")
    answer = command("info", tmp_path / "run", "--json").json("info")
    facts = answer["facts"]
    assert (answer["kind"], facts["finished"], facts["data"]) == ("training", False, str(tmp_path / "grids"))
    assert (facts["network"]["kind"], facts["stages"]) == ("shapenets", ["grids"])
    assert "run, not finished: shapenets" in command("info", tmp_path / "run").stdout


def test_an_index_is_described_and_its_changed_meshes_counted(
    solids_index: Path, solids: Path, command: Command
) -> None:
    answer = command("info", solids_index, "--json").json("info")
    facts = answer["facts"]
    assert (answer["kind"], facts["model"], facts["run"], facts["shapes"]) == ("index", "@imagenet", None, 9)
    assert facts["meshes"] == {"checked": 9, "missing": 0, "changed_since": 0}
    assert (facts["rows"], facts["kind"], facts["lists"]) == ("full", "auto", 0)
    assert facts["bytes"] == (solids_index / "features.safetensors").stat().st_size
    assert facts["first"] == str(solids / "box" / "brick.stl")
    assert "all 9 are there, unchanged by date" in command("info", solids_index).stdout


def test_an_index_tells_its_form_and_an_update_of_nothing_settles_its_dates(
    solids: Path, tmp_path: Path, command: Command
) -> None:
    collection, index = shutil.copytree(solids, tmp_path / "solids"), tmp_path / "index"
    make = ("index", collection, index, "--set", "adapt=false", "--rows", "small", "--kind", "ivf", "--workers", 1)
    command(*make)
    facts = command("info", index, "--json").json("info")["facts"]
    sizes = [(index / f"{name}.safetensors").stat().st_size for name in ("features", "inverted")]
    assert (facts["rows"], facts["kind"], facts["bytes"]) == ("small", "ivf", sum(sizes))
    assert f"inverted file of {facts['lists']} lists (--kind ivf)" in command("info", index).stdout
    os.utime(collection / "box" / "cube.off")
    assert command("info", index, "--json").json("info")["facts"]["meshes"]["changed_since"] == 1
    command(*make)
    assert command("info", index, "--json").json("info")["facts"]["meshes"]["changed_since"] == 0


def test_an_index_of_a_run_knows_what_became_of_both(world: Path, command: Command) -> None:
    """The index of the copied world names the meshes and the run of the original."""
    facts = command("info", "index", "--json").json("info")["facts"]
    meshes, run = Path(facts["first"]).parents[2], Path(facts["model"])
    copied = {"meshes": meshes.name, "run": run.name}
    assert (facts["run"], facts["meshes"]["missing"], copied) == ("unchanged", 0, {"meshes": "meshes", "run": "run"})
    command("index", "meshes", "mine", "--model", "run", "--workers", 1, "--device", "cpu")
    (world / "meshes/box/test/2.off").unlink()
    later = world / "meshes/box/train/0.off"
    os.utime(later, (later.stat().st_mtime + 3600,) * 2)
    shutil.rmtree(world / "run")
    facts = command("info", "mine", "--json").json("info")["facts"]
    assert facts["meshes"] == {"checked": 9, "missing": 1, "changed_since": 1}
    assert facts["run"] == "missing"
    assert "1 missing, 1 changed after it, of 9" in command("info", "mine").stdout


def test_a_report_is_described_by_its_figures(world: Path, command: Command) -> None:
    from shapecnn.artefacts.reading import open_artefacts

    evaluation = evaluate_model(resolve_model("run"), open_artefacts("views"), device="cpu")
    write_report(Path("report"), evaluation, lambda entry: open_artefacts("views").pictures(entry))
    answer = command("info", "report", "--json").json("info")
    facts = answer["facts"]
    assert (answer["kind"], facts["model"], facts["count"]) == ("report", "run", len(evaluation.entries))
    assert evaluation.classification is not None
    assert facts["figures"]["accuracy"] == evaluation.classification.accuracy
    assert facts["page"] == str(Path("report/report.html"))
    assert "R2" not in facts["figures"]  # not measured
    assert facts["intervals"]["accuracy"] == list(evaluation.intervals["accuracy"] or ())
    assert re.search(r"accuracy \d+\.\d% \(95 %: \d+\.\d% to \d+\.\d%\)", command("info", "report").stdout)


@pytest.mark.parametrize("name", ["notes.txt", "empty", "none", "none.off", "a.png"])
def test_what_is_nothing_of_these_is_refused_in_a_sentence(name: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "empty").mkdir()
    for file in ("notes.txt", "a.png"):
        (tmp_path / file).write_text("hello")
    done = command("info", tmp_path / name)
    assert (done.status, len(done.stderr.splitlines()), str(tmp_path / name) in done.stderr) == (2, 1, True)
    assert "a run, an index or a report" in done.stderr


def test_a_broken_mesh_and_a_damaged_run_fail(tmp_path: Path, solids: Path, command: Command) -> None:
    (mesh := tmp_path / "a.off").write_bytes(b"OFF\n1 1 0\n")
    done = command("info", mesh)
    assert (done.status, str(mesh) in done.stderr) == (1, True)
    run = write_run(tmp_path / "run", solids, VOXRESNET, VOXELS)
    (run / "model.json").write_text("{}")
    done = command("info", run)
    assert (done.status, "hash differs" in done.stderr) == (1, True)
