"""``shapecnn predict``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from shapecnn.models.calibration import Calibration
from tests.cli.conftest import Command, cells
from tests.runs import IMPORTED, write_run
from tests.sealing import forge, reseal
from tests.solids import contents, write


@pytest.fixture(params=["views_run", "voxels_run"])
def run(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_json_answers_in_the_order_of_the_questions(run: Path, solids: Path, tmp_path: Path, command: Command) -> None:
    cone, cube, nowhere, text = (
        solids / "round/cone.off",
        solids / "box/cube.off",
        tmp_path / "no.off",
        tmp_path / "é.off",
    )
    text.write_bytes(b"no mesh")
    done = command("predict", run, cone, nowhere, cube, text, "--json")
    assert done.status == 1
    first, missing, second, unreadable = done.json("predict")
    assert (first["path"], first["label"]) == (str(cone), "round")
    assert (second["path"], second["label"]) == (str(cube), "box")
    for answer in (first, second):
        assert answer["top"][0] == {"label": answer["label"], "score": answer["score"]}
        assert len(answer["top"]) == 3
        assert sum(candidate["score"] for candidate in answer["top"]) == pytest.approx(1, abs=1e-5)
    error = {"kind": "missing", "message": "there is no such file"}
    assert missing == {"schema_version": 1, "path": str(nowhere), "error": error}
    assert (unreadable["path"], unreadable["error"]["kind"]) == (str(text), "format")
    assert done.stderr.startswith(f"Failed: {nowhere}: there is no such file\nFailed: {text}: not OFF text")


def test_failures_may_be_passed_over(views_run: Path, solids: Path, command: Command) -> None:
    done = command("predict", views_run, "nowhere.off", solids / "box/cube.off", "--json", "--skip-errors")
    assert done.status == 0
    assert ["error" in answer for answer in done.json("predict")] == [True, False]


def test_people_get_an_aligned_line_for_each_mesh(views_run: Path, solids: Path, command: Command) -> None:
    rod, cube = solids / "cylinder/rod.obj", solids / "box/cube.off"
    done = command("predict", views_run, rod, "nowhere.off", cube)
    assert done.status == 1
    first, second = done.stdout.splitlines()
    assert first.split()[:2] == [str(rod), "cylinder"]
    assert second.split()[:2] == [str(cube), "box"]
    assert [word for word in second.split()[3::2] if word not in ("cylinder", "round")] == []
    assert first.index("%") == second.index("%")
    assert "Failed: nowhere.off: there is no such file\n" in done.stderr  # on a slow machine, after a line of progress
    assert command("predict", views_run, "nowhere.off").stdout == ""


def test_up_is_honoured(run: Path, solids: Path, tmp_path: Path, command: Command) -> None:
    mesh = trimesh.load(solids / "round/cone.off", process=False)
    x, y, z = mesh.vertices.T
    mesh.vertices = np.stack([x, z, -y], axis=1)  # by hand: what was up is now y
    lying = write(tmp_path / "lying.off", mesh)
    (upright,) = command("predict", run, solids / "round/cone.off", "--json").json("predict")
    (turned,) = command("predict", run, lying, "--up", "y", "--json").json("predict")
    (wrong,) = command("predict", run, lying, "--json").json("predict")
    assert turned["top"] == upright["top"]
    assert wrong["top"] != upright["top"]


def test_a_run_on_imported_views_is_noted(solids: Path, tmp_path: Path, command: Command) -> None:
    imported = write_run(tmp_path / "imported", solids, settings=IMPORTED)
    done = command("predict", imported, solids / "box/cube.off", "--json")
    assert (done.status, done.json("predict")[0]["label"]) == (0, "box")
    assert done.stderr.startswith(f"Note: {imported} was trained on imported views.")


def test_a_prediction_changes_nothing(run: Path, solids: Path, command: Command) -> None:
    before = contents(run)
    command("predict", run, solids / "box/cube.off")
    assert contents(run) == before


def test_a_model_without_classes_is_status_2(command: Command) -> None:
    done = command("predict", "@imagenet", "mesh.off", "--json")
    assert done.status == 2
    assert "shapecnn train CONFIG" in done.json("error")["error"]["message"]


@pytest.mark.parametrize("place", ["nowhere", "folder", "file"])
def test_a_folder_that_is_not_a_run_is_status_2(tmp_path: Path, command: Command, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    done = command("predict", tmp_path / place, "mesh.off", "--json")
    assert done.status == 2
    told = {
        "nowhere": "There is no run at {}.",
        "folder": "{} is not a run: shapecnn wrote no files into this folder",
        "file": "{} is a file",
    }
    message = done.json("error")["error"]["message"]
    assert message.startswith(told[place].format(tmp_path / place))
    assert message.endswith("To train one: shapecnn train CONFIG --data DIR --out RUN")


@pytest.fixture(scope="module")
def trusted_run(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run with features of its training shapes, which reports most new shapes as unknown; read-only."""
    calibration = Calibration(20, 1.0, 1.0, 1.0, 0.1, 0.1, threshold=0.9999, rejected=0.05)
    return write_run(tmp_path_factory.mktemp("trusted") / "run", solids, calibration=calibration, gallery=True)


def test_evidence_and_unknown_shapes_in_json(
    trusted_run: Path, views_run: Path, solids: Path, tmp_path: Path, command: Command
) -> None:
    torus = write(tmp_path / "torus.off", trimesh.creation.torus(0.9, 0.05))
    words = [solids / "box/cube.off", torus, "--json"]
    known, other = command("predict", trusted_run, *words, "--evidence", 2).json("predict")
    assert (known["unknown"], other["unknown"]) == (False, True)
    assert known["evidence"][0]["id"].startswith("box/")
    assert known["evidence"][0]["label"] == "box"
    assert [len(answer["evidence"]) for answer in (known, other)] == [2, 2]
    assert known["familiarity"] >= known["threshold"] == other["threshold"] > other["familiarity"]
    assert (other["label"], other["score"]) == tuple(other["top"][0].values())
    assert len(command("predict", trusted_run, *words).json("predict")[0]["evidence"]) == 3
    for answer in command("predict", views_run, *words).json("predict"):
        assert {answer[key] for key in ("unknown", "familiarity", "threshold", "evidence")} == {None}


def test_people_see_unknown_shapes_and_the_evidence(
    trusted_run: Path, solids: Path, tmp_path: Path, command: Command
) -> None:
    cube, torus = solids / "box/cube.off", write(tmp_path / "torus.off", trimesh.creation.torus(0.9, 0.05))
    known, like, other, also = command("predict", trusted_run, cube, torus, "--evidence", 1).stdout.splitlines()
    assert known.split()[:2] == [str(cube), "box"]
    assert re.fullmatch(r" +like box/\S+ \(box, 1\.00\)", like)
    assert other.split()[:2] == [str(torus), "unknown"]
    assert other.count("%") == 3  # of all classes, none of which stands for it
    assert also.split()[0] == "like"
    assert len(command("predict", trusted_run, cube, torus, "--evidence", 0).stdout.splitlines()) == 2


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "split.json", "gallery.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut short", "altered"])
def test_a_damaged_run_is_refused_in_a_sentence(
    trusted_run: Path, solids: Path, tmp_path: Path, command: Command, name: str, damage: str
) -> None:
    """Damage is found even if the converted engine of the sound run is in the cache."""
    assert command("predict", trusted_run, solids / "box/cube.off").status == 0
    run = shutil.copytree(trusted_run, tmp_path / "run")
    whole = (run / name).read_bytes()
    if damage == "missing":
        (run / name).unlink()
    else:
        altered = bytearray(whole)
        altered[len(whole) // 2] ^= 1
        (run / name).write_bytes({"empty": b"", "cut short": whole[:-9], "altered": bytes(altered)}[damage])
    done = command("predict", run, solids / "box/cube.off", "--json")
    error = done.json("error")["error"]
    assert (done.status, error["kind"]) == (1, "stored-data")
    assert str(run) in error["message"]
    assert done.stderr.count("\n") == 1


def test_a_run_of_another_version_is_refused(views_run: Path, tmp_path: Path, command: Command) -> None:
    run = shutil.copytree(views_run, tmp_path / "run")
    forge(run, "model.json", lambda described: {**described, "schema_version": 99})
    done = command("predict", run, "mesh.off")
    assert done.status == 1
    assert "model.json was made by another version of shapecnn. Use that version" in done.stderr


class Payload:
    """Object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "run")


def test_no_pickle_is_loaded(views_run: Path, solids: Path, tmp_path: Path, command: Command) -> None:
    """Code is not run even if all hashes match."""
    run = shutil.copytree(views_run, tmp_path / "run")
    mark = tmp_path / "executed"
    evil = pickle.dumps(Payload(mark))
    (run / "model.safetensors").write_bytes(evil)
    (run / "resume").mkdir()
    (run / "resume" / "state.pkl").write_bytes(evil)
    reseal(run)
    done = command("predict", run, solids / "box/cube.off", "--json")
    assert (done.status, done.json("error")["error"]["kind"]) == (1, "stored-data")
    assert not mark.exists()
    pickle.loads(evil)
    assert mark.exists()  # it would have


@pytest.mark.parametrize("options", [["--up", "w"], ["--device", "tpu"], ["--set", "a=b"], []])
def test_a_bad_option_is_status_2(views_run: Path, command: Command, options: list[str]) -> None:
    meshes = ["mesh.off"] if options else []
    assert command("predict", views_run, *meshes, *options).status == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_device_is_status_2(views_run: Path, command: Command) -> None:
    done = command("predict", views_run, "mesh.off", "--device", "cuda")
    assert (done.status, done.stdout) == (2, "")
    assert (
        done.stderr == "Error: --device cuda: torch finds no CUDA device on this machine. Use --device cpu or auto.\n"
    )


def test_neither_torch_nor_timm_is_loaded_once_an_engine_is_kept(run: Path, solids: Path, command: Command) -> None:
    code = """
import socket, sys
asked = []
def hook(event, args):
    if event == "socket.getaddrinfo" or (event == "socket.__new__" and args[1] != socket.AF_UNIX):  # of workers
        asked.append(event)
sys.addaudithook(hook)
from shapecnn.cli.main import run
try:
    run()
finally:
    print(asked, sorted({"torch", "timm", "torchvision", "open3d", "pyrender"} & sys.modules.keys()), file=sys.stderr)
"""
    words = ["predict", str(run), str(solids / "box/cube.off"), "--json"]
    assert command(*words).status == 0
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["label"] == "box"
    assert done.stderr == "[] []\n"


def test_an_orientation_the_run_was_not_trained_in_is_refused(views_run: Path, solids: Path, command: Command) -> None:
    mesh = solids / "box" / "cube.off"
    told = command("predict", views_run, mesh, "--orientation", "auto", "--device", "cpu")
    assert told.status != 0
    assert "--orientation upright, not auto" in told.stderr


def test_up_defaults_to_that_of_the_training_meshes(solids: Path, tmp_path: Path, command: Command) -> None:
    run = write_run(tmp_path / "run", solids, up="y")
    mesh = solids / "round/cone.off"
    assert command("predict", run, mesh, "--json").json("predict") == command(
        "predict", run, mesh, "--up", "y", "--json"
    ).json("predict")
    done = command("predict", run, mesh, "--up", "z")
    assert (
        f"Note: the meshes that {run} was trained on were read with --up y, the given meshes with --up z."
        in done.stderr
    )
    assert command("explain", run, mesh, "--up", "y").stderr == ""


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_see_doubts_and_the_most_similar_shapes_in_a_table(
    trusted_run: Path, solids: Path, tmp_path: Path, command: Command
) -> None:
    cube, torus = solids / "box/cube.off", write(tmp_path / "torus.off", trimesh.creation.torus(0.9, 0.05))
    words = [trusted_run, cube, torus, "--evidence", 2]
    known, other = command("predict", *words, "--json").json("predict")
    text = command("predict", *words).stdout
    assert text.startswith("mesh, and the")
    table = cells(text.splitlines())
    unknown = next(row for row in table if "unknown" in row)
    assert unknown[unknown.index("unknown") + 1] == f"most like {other['label']} {other['score']:.1%}"  # no probability
    likely = next(row for row in table if f"{known['score']:.1%}" in row)
    second = known["top"][1]
    doubt = "or " if known["alternative"] else ""
    assert likely[-1] == f"{doubt}{second['label']} {second['score']:.1%}"
    near = known["evidence"][0]
    assert [near["id"], near["label"], f"{near['similarity']:.2f}"] in table
    text = command("predict", *words[:-1], 0).stdout
    assert "similarity" not in text
    assert "mesh" in text.splitlines()[0]
