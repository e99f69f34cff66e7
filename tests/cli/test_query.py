"""``shapecnn query``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from jsonschema import Draft202012Validator
from PIL import Image

from shapecnn.meshes.mesh import load_mesh
from shapecnn.models.model import resolve_model
from shapecnn.search.index import read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from shapecnn.workers.pool import Workers
from tests.cli.conftest import SCHEMAS, Command
from tests.solids import contents, write


@pytest.mark.parametrize("name", ["index", "query"])
def test_the_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_json_answers_in_the_order_of_the_questions(
    solids: Path, solids_index: Path, tmp_path: Path, command: Command
) -> None:
    cone, cube, nowhere, text = (
        solids / "round/cone.off",
        solids / "box/cube.off",
        tmp_path / "nowhere.off",
        tmp_path / "é.off",
    )
    text.write_bytes(b"no mesh")
    done = command("query", solids_index, cone, nowhere, cube, text, "-k", 3, "--json")
    assert done.status == 1
    first, missing, second, unreadable = done.json("query")
    assert first["query"] == str(cone)
    assert first["results"][0] == {"id": "round/cone.off", "path": str(cone), "label": "round", "score": 1.0}
    assert second["results"][0]["id"] == "box/cube.off"
    assert [len(answer["results"]) for answer in (first, second)] == [3, 3]
    error = {"kind": "missing", "message": "there is no such file"}
    assert missing == {"schema_version": 1, "path": str(nowhere), "error": error}
    assert (unreadable["path"], unreadable["error"]["kind"]) == (str(text), "format")
    assert f"Failed: {nowhere}: there is no such file\n" in done.stderr


def test_failures_may_be_passed_over(solids: Path, solids_index: Path, command: Command) -> None:
    done = command("query", solids_index, "nowhere.off", solids / "box/cube.off", "--json", "--skip-errors")
    assert done.status == 0
    assert [sorted(answer) for answer in done.json("query")] == [
        ["error", "path", "schema_version"],
        ["query", "results", "schema_version"],
    ]


def test_there_are_ten_results_or_k_or_all(solids: Path, solids_index: Path, command: Command) -> None:
    cube = solids / "box/cube.off"
    for options, count in (([], 9), (["-k", 1], 1), (["-k", 1000], 9)):
        (answer,) = command("query", solids_index, cube, "--json", *options).json("query")
        scores = [result["score"] for result in answer["results"]]
        assert len(scores) == count
        assert scores == sorted(scores, reverse=True)


def test_up_is_honoured(solids: Path, solids_index: Path, tmp_path: Path, command: Command) -> None:
    mesh = trimesh.load(solids / "cylinder/tube.off", process=False)
    x, y, z = mesh.vertices.T
    mesh.vertices = np.stack([x, z, -y], axis=1)  # by hand: what was up is now y
    lying = write(tmp_path / "lying.off", mesh)
    done = command("query", solids_index, lying, "--up", "y", "--json")
    (answer,) = done.json("query")
    assert answer["results"][0]["id"] == "cylinder/tube.off"
    assert answer["results"][0]["score"] == pytest.approx(1, abs=1e-4)
    assert done.stderr == f"Note: the meshes of {solids_index} were read with --up z, the given meshes with --up y.\n"
    (answer,) = command("query", solids_index, lying, "--json").json("query")
    assert answer["results"][0]["score"] < 0.99


def test_people_get_a_table_for_each_mesh(solids: Path, solids_index: Path, command: Command) -> None:
    cone, cube = solids / "round/cone.off", solids / "box/cube.off"
    done = command("query", solids_index, cone, "nowhere.off", cube, "-k", 2)
    assert done.status == 1
    first, second = done.stdout.split("\n\n")
    path, best, other = first.split("\n")
    assert path == str(cone)
    assert best.split() == ["1", "1.0000", "round", "round/cone.off"]
    assert other.split()[0] == "2"
    assert second.startswith(f"{cube}\n   1  1.0000  box ")
    assert done.stderr.startswith("Failed: nowhere.off: there is no such file\n")
    assert command("query", solids_index, "nowhere.off").stdout == ""


def test_html_is_written_beside_the_answer(solids: Path, solids_index: Path, tmp_path: Path, command: Command) -> None:
    page = tmp_path / "new folder" / "answer.html"
    done = command("query", solids_index, solids / "box/cube.off", "--html", page, "--json")
    assert done.status == 0
    assert done.json("query")
    assert done.stderr == f"Wrote {page}\n"
    assert page.read_text("utf-8").count("<img ") == 10


def test_a_query_changes_nothing(solids: Path, solids_index: Path, command: Command) -> None:
    before = contents(solids_index)
    command("query", solids_index, solids / "box/cube.off")
    assert contents(solids_index) == before
    assert sorted(path.name for path in solids_index.iterdir()) == [".lock", *sorted(before)]


@pytest.fixture(scope="module")
def run_index(solids: Path, voxels_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index made with a volumetric run, beside a copy of the run; read-only."""
    folder = tmp_path_factory.mktemp("by a run")
    model = resolve_model(str(shutil.copytree(voxels_run, folder / "run")))
    bring_up_to_date(solids, folder / "index", IndexPlan.of(model), command="", device="cpu", workers=Workers(1))
    return folder / "index"


def test_a_trained_run_answers_and_the_page_shows_views(
    solids: Path, run_index: Path, tmp_path: Path, command: Command
) -> None:
    cone = solids / "round/cone.off"
    done = command("query", run_index, cone, "-k", 2, "--html", tmp_path / "answer.html", "--json")
    assert done.status == 0
    results = done.json("query")[0]["results"]
    assert (results[0]["id"], results[0]["score"]) == ("round/cone.off", 1)
    assert (tmp_path / "answer.html").read_text("utf-8").count("<img ") == 3


def test_a_run_that_moved_is_named(
    solids: Path, run_index: Path, voxels_run: Path, views_run: Path, tmp_path: Path, command: Command
) -> None:
    shutil.copytree(run_index.parent, tmp_path / "copy")
    folder, moved = tmp_path / "copy" / "index", tmp_path / "copy" / "moved"
    model = resolve_model(str(tmp_path / "copy" / "run"))
    bring_up_to_date(solids, folder, IndexPlan.of(model), command="", device="cpu", workers=Workers(1))
    (tmp_path / "copy" / "run").rename(moved)
    cube = solids / "box/cube.off"
    done = command("query", folder, cube)
    assert (done.status, done.stdout) == (2, "")
    assert f"made with the run {tmp_path / 'copy' / 'run'}, which does not exist any more" in done.stderr
    assert "--model RUN" in done.stderr
    done = command("query", folder, cube, "--model", moved, "--json")
    assert (done.status, done.json("query")[0]["results"][0]["id"]) == (0, "box/cube.off")
    done = command("query", folder, cube, "--model", views_run, "--json")
    error = done.json("error")["error"]
    assert (done.status, error["kind"]) == (2, "mismatch")
    assert str(views_run) in error["message"]
    assert str(tmp_path / "copy" / "run") in error["message"]


@pytest.mark.parametrize("place", ["nowhere", "folder", "file"])
def test_a_folder_that_is_not_an_index_is_status_2(tmp_path: Path, command: Command, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    done = command("query", tmp_path / place, "mesh.off", "--json")
    assert done.status == 2
    told = {
        "nowhere": "There is no index at {}.",
        "folder": "{} is not an index: shapecnn wrote no files into this folder",
        "file": "{} is a file",
    }
    message = done.json("error")["error"]["message"]
    assert message.startswith(told[place].format(tmp_path / place))
    assert message.endswith("To make one: shapecnn index COLLECTION INDEX")


@pytest.mark.parametrize("name", ["index.json", "shapes.parquet", "features.safetensors"])
def test_a_damaged_index_is_status_1(solids_index: Path, tmp_path: Path, command: Command, name: str) -> None:
    index = shutil.copytree(solids_index, tmp_path / "index")
    (index / name).write_bytes((index / name).read_bytes()[:-9])
    done = command("query", index, "mesh.off", "--json")
    assert done.status == 1
    assert done.json("error")["error"]["kind"] == "stored-data"
    assert name in done.stderr


@pytest.fixture
def photograph(solids: Path, tmp_path: Path) -> Path:
    """Picture file: view 2 of a cone."""
    picture = render_views(load_mesh(solids / "round/cone.off"), ViewSettings())[2]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_pictures_are_answered_behind_the_meshes(
    solids: Path, solids_index: Path, photograph: Path, tmp_path: Path, command: Command
) -> None:
    page, cube = tmp_path / "answer.html", solids / "box/cube.off"
    images = ["--image", photograph, "--image", tmp_path / "nowhere.png"]
    done = command("query", solids_index, *images, cube, "-k", 2, "--json", "--html", page)
    assert done.status == 1
    mesh, picture, missing = done.json("query")
    assert (mesh["query"], picture["query"], missing["path"]) == (
        str(cube),
        str(photograph),
        str(tmp_path / "nowhere.png"),
    )
    assert missing["error"] == {"kind": "missing", "message": "there is no such file"}
    assert mesh["results"][0].keys() == {"id", "path", "label", "score"}
    assert picture["results"][0].keys() == {"id", "path", "label", "score", "view"}
    assert picture["results"][0]["id"] == "round/cone.off"
    source = page.read_text("utf-8")
    assert source.count("<img ") == 1 + 2 + 1 + 2
    assert f"view {picture['results'][0]['view']} of round/cone.off" in source


def test_people_see_which_view_a_picture_matched(solids_index: Path, photograph: Path, command: Command) -> None:
    done = command("query", solids_index, "--image", photograph, "-k", 1)
    assert (done.status, done.stderr) == (0, "")
    path, best = done.stdout.splitlines()
    assert path == str(photograph)
    assert re.fullmatch(r"   1  0\.\d{4}  round +round/cone.off  view \d+", best)


def test_an_index_of_grids_takes_no_picture(run_index: Path, photograph: Path, command: Command) -> None:
    done = command("query", run_index, "--image", photograph)
    assert (done.status, done.stdout) == (2, "")
    assert "takes grids, not pictures. --image needs an index made with @imagenet or with a run that" in done.stderr


def test_a_reader_who_leaves_takes_no_page_along(solids: Path, solids_index: Path, tmp_path: Path) -> None:
    """Regression: ``shapecnn query … --html q.html | head -1`` wrote no page."""
    reader, writer = os.pipe()
    os.close(reader)
    words = ["query", solids_index, solids / "box/cube.off", "--device", "cpu", "--html", tmp_path / "q.html"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "shapecnn", *words], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert done.returncode == 1
    assert "cube.off" in (tmp_path / "q.html").read_text()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [["-k", "0"], ["--up", "w"], ["--device", "tpu"], ["--html", "."], []])
def test_a_bad_option_is_status_2(solids_index: Path, command: Command, options: list[str]) -> None:
    meshes = ["mesh.off"] if options else []
    assert command("query", solids_index, *meshes, *options).status == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_device_is_status_2(solids_index: Path, command: Command) -> None:
    done = command("query", solids_index, "mesh.off", "--device", "cuda")
    assert (done.status, done.stdout) == (2, "")
    assert (
        done.stderr == "Error: --device cuda: torch finds no CUDA device on this machine. Use --device cpu or auto.\n"
    )


@pytest.mark.parametrize("name", ["solids_index", "run_index"])
def test_neither_torch_nor_timm_is_loaded_and_nothing_is_sent(
    solids: Path, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
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
    arguments = [
        "query",
        request.getfixturevalue(name),
        solids / "box/cube.off",
        "--html",
        tmp_path / "answer.html",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0]["results"][0]["score"] == 1
    assert done.stderr == f"Wrote {tmp_path / 'answer.html'}\n[] []\n"


def test_the_up_of_the_index_is_that_of_the_queries(tmp_path: Path, command: Command) -> None:
    meshes = tmp_path / "meshes"
    mesh = trimesh.creation.cone(0.3, 2.0)
    for name, turn in (("cone", [0, 1, 2]), ("lying", [0, 2, 1])):
        turned = mesh.copy()
        turned.vertices = mesh.vertices[:, turn]
        write(meshes / f"{name}.off", turned)
    made = ["index", meshes, tmp_path / "index", "--workers", 1]
    chosen = ["--set", "backbone=test_efficientnet", "--set", "weights=none", "--set", "size=32"]
    assert command(*made, "--up", "y", *chosen).status == 0
    done = command("query", tmp_path / "index", meshes / "lying.off", "--json")
    (answer,) = done.json("query")
    assert (answer["results"][0]["id"], done.stderr) == ("lying.off", "")
    assert answer["results"][0]["score"] == pytest.approx(1, abs=1e-4)
    for _ in range(2):  # neither the up nor the network is asked for again
        write(meshes / "new.off", trimesh.creation.box())
        assert command(*made).status == 0
    assert read_index(tmp_path / "index").record.up == "y"


def test_another_kind_of_folder_is_refused_without_advice_to_remove_it(
    solids: Path, solids_index: Path, views_run: Path, tmp_path: Path, command: Command
) -> None:
    mesh = solids / "box/cube.off"
    calls = [
        (["query", views_run, mesh], f"{views_run} is a run, not an index."),
        (["predict", solids_index, mesh], f"{solids_index} is an index, not a run."),
        (["explain", solids_index, mesh], f"{solids_index} is an index, not a run."),
        (["eval", solids_index, "--data", views_run], f"{solids_index} is an index, not a run."),
        (["eval", views_run, "--data", solids_index], f"{solids_index} is an index, not a folder of artefacts."),
        (["train", "mvcnn-psb", "--data", views_run, "--out", tmp_path / "out"], f"{views_run} is a run, not a folder"),
        (["metric", solids_index, "--data", views_run], f"{solids_index} is an index, not a run."),
        (["index", solids, tmp_path / "index", "--model", solids_index], f"{solids_index} is an index, not a run."),
    ]
    for words, told in calls:
        done = command(*words)
        assert done.status == 2, words
        assert told in done.stderr
        for advice in ("rm -r", "Remove", "train the run again"):
            assert advice not in done.stderr


def test_a_photograph_is_decoded_within_the_limits_of_a_worker(
    solids_index: Path, tmp_path: Path, command: Command
) -> None:
    rows = np.tile(np.arange(0, 256, dtype=np.uint8), (9000, 36))[:, :9000]
    Image.fromarray(np.stack([rows] * 3, axis=2)).save(tmp_path / "huge.png", compress_level=1)  # 81 megapixels
    Image.fromarray(np.pad(np.zeros((40, 30), np.uint8), 20, constant_values=255)).save(tmp_path / "good.png")
    photographs = ["--image", tmp_path / "huge.png", "--image", tmp_path / "good.png"]
    done = command("query", solids_index, *photographs, "--memory", "0.5", "--workers", "1", "--json")
    first, second = done.json("query")
    assert done.status == 1
    assert first["error"]["kind"] == "memory"
    assert len(second["results"]) == 9
