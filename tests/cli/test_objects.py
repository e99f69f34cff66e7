"""All in a bucket: the commands from meshes to answers, on a server of S3 on this machine, and what goes wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

import shapecnn
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.cli.free_paths import beside, free_run
from shapecnn.errors import CollectionError, UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.settings.base import settings_hash
from shapecnn.storage import csv_reader
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.objects.store import delete_objects, list_objects, read_object, write_object
from shapecnn.storage.objects.url import Url
from shapecnn.storage.outputs import written
from shapecnn.storage.publishing import publish, published
from tests.cli.conftest import Command
from tests.evaluations import write_splits
from tests.sealing import forge
from tests.solids import contents
from tests.stores import Proxy, forget, put_folder

SMALL = ["--resolution", "16", "--padding", "1", "--workers", "1"]


def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose workers see the environment variables of the test."""
    command = [sys.executable, "-P", "-m", "shapecnn", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


def answer(*arguments: object, status: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", status=status).stdout)


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "meshes", train=2, test=1)


@pytest.fixture
def stored(meshes: Path, bucket: Url) -> Url:
    """The meshes in a bucket."""
    put_folder(meshes, bucket / "meshes")
    return bucket / "meshes"


def test_the_pipeline_in_a_bucket_gives_what_it_gives_on_disk(
    meshes: Path, stored: Url, bucket: Url, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grids = bucket / "grids"

    def here(*arguments: object, status: int = 0) -> Any:
        """The answer of a command without workers, which runs in this process."""
        done = command(*arguments, "--json")
        assert done.status == status, done.stderr
        return json.loads(done.stdout)

    for number in (1, 2):
        run("voxelize", stored, bucket / "parts" / str(number), "--workers", 1, "--shard", f"{number}/2")
    merged = here("merge", bucket / "parts" / "1", bucket / "parts" / "2", grids, "--objects", "shards")
    assert (merged["total"], merged["failed"]) == (9, 0)
    here("voxelize", meshes, tmp_path / "grids", "--workers", 1)
    local, remote = open_artefacts(tmp_path / "grids"), open_artefacts(grids)
    assert str(remote.folder) == str(grids)
    assert published(grids, SUMS).read_bytes() == (tmp_path / "grids" / SUMS).read_bytes()
    assert [remote.digest(entry) for entry in remote.entries] == [local.digest(entry) for entry in local.entries]

    options = ["--set", "stages.grids.epochs=1", "--set", "validation.folds=2", "--device", "cpu"]
    trained = here("train", "demo-shapenets", "--data", grids, "--out", bucket / "run", *options)
    assert trained["run"] == str(bucket / "run")
    here("train", "demo-shapenets", "--data", tmp_path / "grids", "--out", tmp_path / "run", *options)
    assert read_file(bucket / "run", "model.safetensors") == (tmp_path / "run" / "model.safetensors").read_bytes()
    assert json.loads(read_file(bucket / "run", "model.json"))["data"]["folder"] == str(grids)
    assert here("train", "--resume", bucket / "run")["epochs"] == 1

    local_figures = here("eval", tmp_path / "run", "--data", tmp_path / "grids", "--device", "cpu")
    figures = here("eval", bucket / "run", "--data", grids, "--device", "cpu")
    assert (figures["model"], figures["data"]) == (str(bucket / "run"), str(grids))
    assert figures["retrieval"] == local_figures["retrieval"]
    assert figures["classification"] == local_figures["classification"]
    mesh = stored / "box" / "test" / "2.off"
    predicted = answer("predict", bucket / "run", mesh, bucket / "no.off", "--device", "cpu", status=1)
    assert [each["path"] for each in predicted] == [str(mesh), str(bucket / "no.off")]
    assert predicted[1]["error"] == {"kind": "missing", "message": "there is no such object"}

    made = answer("index", stored, bucket / "index", "--model", bucket / "run", "--device", "cpu", "--workers", 1)
    assert made["added"] == 9
    delete_objects([stored / "box" / "train" / "0.off"])
    again = answer("index", stored, bucket / "index", "--device", "cpu", "--workers", 1)
    assert (again["unchanged"], again["removed"]) == (8, 1)
    page = tmp_path / "answer.html"
    found = answer("query", bucket / "index", mesh, "-k", 1, "--device", "cpu", "--html", page)
    assert found[0]["results"][0]["path"] == str(mesh)
    assert "data:image" in page.read_text()

    kinds = {name: here("info", bucket / name)["kind"] for name in ("meshes", "grids", "run", "index")}
    assert kinds == {"meshes": "collection", "grids": "artefacts", "run": "run", "index": "index"}
    assert here("info", mesh)["kind"] == "mesh"
    assert here("verify", grids, bucket / "run", bucket / "index")["good"]
    stale = command("verify", grids, "--collection", stored)
    assert (stale.status, "box/train/0.off is not in" in stale.stdout) == (1, True)


def read_file(url: Url, name: str) -> bytes:
    forget()
    return published(url, name).read_bytes()


@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_views_in_shards_are_samples_of_webdataset(scheme: str, meshes: Path, bucket: Url, tmp_path: Path) -> None:
    out = bucket / "views" if scheme == "s3" else f"file://{tmp_path}/store/views"
    run("render", meshes, out, "--size", 32, "--views", 2, "--layout", "files", "--objects", "shards", "--workers", 1)
    forget()
    artefacts = open_artefacts(out)
    assert artefacts.pictures(artefacts.entries[0]).shape == (2, 32, 32)
    packs = [name for name, _ in list_objects(artefacts.folder) if name.endswith(".tar")]  # type: ignore[arg-type]
    assert len(packs) == 1
    with tarfile.open(fileobj=io.BytesIO(read_object(artefacts.folder / packs[0]))) as archive:  # type: ignore[arg-type]
        names = archive.getnames()
    assert names[:4] == ["box/test/2.001.png", "box/test/2.002.png", "box/train/0.001.png", "box/train/0.002.png"]
    (meshes / "box" / "train" / "0.off").unlink()
    done = answer("render", meshes, out, "--size", 32, "--views", 2, "--layout", "files", "--workers", 1)
    assert (done["written"], done["skipped"]) == (0, 8)
    forget()
    assert len(open_artefacts(out).entries) == 8


def test_verify_reads_the_store_and_not_the_cache(bucket: Url, meshes: Path, command: Command) -> None:
    assert command("voxelize", meshes, bucket / "grids", *SMALL).status == 0
    assert command("verify", bucket / "grids").status == 0
    grids = [name for name, _ in list_objects(bucket / "grids") if name.endswith(".binvox")]
    write_object(bucket / "grids" / grids[0], b"damaged")
    delete_objects([bucket / "grids" / grids[-1]])
    done = command("verify", bucket / "grids", "--json")
    findings = json.loads(done.stdout)["folders"][0]["findings"]
    assert done.status == 1
    assert [finding["fault"] for finding in findings] == ["corrupt"] * 2
    assert "objects in it were lost" in str(findings)


def test_views_by_another_program_are_imported_into_a_bucket(bucket: Url, tmp_path: Path) -> None:
    meshes = write_splits(tmp_path / "meshes", train=1, test=1)
    run("voxelize", meshes, tmp_path / "grids", *SMALL)
    done = answer("data", "import", tmp_path / "grids", bucket / "imported", "--layout", "binvox", "--workers", 1)
    assert done["written"] == 6
    forget()
    assert len(open_artefacts(bucket / "imported").entries) == 6


def test_a_list_in_a_bucket(stored: Url, bucket: Url) -> None:
    write_object(
        bucket / "list.csv", b"path,label,split\nmeshes/box/train/0.off,brick,test\nmeshes/absent.off,x,train\n"
    )
    done = answer("voxelize", bucket / "list.csv", bucket / "out", *SMALL, status=1)
    assert done["failures"] == [{"path": f"{bucket}/meshes/absent.off", "error": "there is no such object"}]
    forget()
    assert [(entry.id, entry.label, entry.split) for entry in open_artefacts(bucket / "out").entries] == [
        ("meshes/box/train/0.off", "brick", "test")
    ]


def test_an_update_fetches_only_what_has_changed(stored: Url, bucket: Url, proxy: Proxy) -> None:
    line = ("index", stored, bucket / "index", "--model", "@sph", "--no-pictures", "--workers", 1)
    time.sleep(2.1)  # an object that was written a moment ago is not trusted
    assert answer(*line)["added"] == 9

    def fetched() -> list[str]:
        names = [request for request, _ in proxy.faults.seen if "GET" in request and ".off" in request]
        proxy.faults.seen.clear()
        return names

    assert len(fetched()) == 9
    assert answer(*line)["unchanged"] == 9
    assert fetched() == []
    write_object(stored / "box/train/0.off", read_object(stored / "box/train/1.off"))
    assert answer(*line)["updated"] == 1
    assert len(fetched()) == 2  # this test's, and that of the command
    assert answer(*line, "--check")["unchanged"] == 9
    assert len(fetched()) == 9


def test_faults_pass_unseen_or_are_reported_for_their_mesh(stored: Url, bucket: Url, proxy: Proxy) -> None:
    proxy.faults.plan = {
        r"GET .*/box/train/1\.off": ["503", "…"],
        r"GET .*/round/": ["503", "reset", "cut", "ok", "503", "cut"],
        r"GET .*list-type": ["cut", "503"],
        r"PUT .*/objects/": ["503", "ok", "reset", "ok", "503", "503"],
        r"PUT .*/heads/": ["lost"],
    }
    done = answer("voxelize", stored, bucket / "grids", *SMALL, status=1)
    assert (done["written"], done["failed"]) == (8, 1)
    failure = done["failures"][0]
    assert failure["path"] == f"{stored}/box/train/1.off"
    assert failure["error"].startswith("the object store did not answer as expected, also not when asked again (503")
    assert {fault for _, fault in proxy.faults.seen} == {"ok", "503", "reset", "cut", "lost"}
    proxy.faults.plan = {}
    assert answer("voxelize", stored, bucket / "grids", *SMALL)["written"] == 1  # only the mesh that failed
    assert answer("verify", bucket / "grids")["good"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render", "s3://b/zipped.zip", "out"], "a zip in an object store"),
        (["demo", "s3://b/x"], "s3://b/x is a URL, but a local path is needed here"),
        (["eval", "@sph", "--data", "x", "--out", "s3://b/x"], "is a URL, but a local path is needed here"),
        (["render", "meshes", "out", "--objects", "shards"], "out is a local folder: leave it out"),
        (["render", "s3://", "out"], "s3:// names nothing: add a bucket"),
        (["render", "meshes", "gcs://b/x"], "'gcs://b/x' is not a URL that shapecnn knows: use s3://, gs://, az://"),
        (["demo", "S3://b/x"], "'S3://b/x' is not a URL that shapecnn knows"),
        (
            ["train", "demo-shapenets", "--data", "x", "--out", "s3://b/x", "--tensorboard"],
            "--tensorboard writes its log",
        ),
    ],
)
def test_what_a_url_cannot_be_is_a_usage_error(
    arguments: list[str], message: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meshes").mkdir()
    done = command(*arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert contents(tmp_path) == {}


def test_there_is_nothing_at_a_url(bucket: Url, command: Command) -> None:
    for arguments, message in (
        (["info", bucket / "x"], f"There is nothing at {bucket}/x. Give a mesh ("),
        (["verify", bucket / "x"], f"{bucket}/x does not exist"),
        (["query", bucket / "x", "a.off"], f"There is no index at {bucket}/x"),
        (["predict", bucket / "x", "a.off"], f"There is no run at {bucket}/x"),
        (["eval", "@sph", "--data", bucket / "x"], f"There is no folder of artefacts at {bucket}/x"),
    ):
        done = command(*arguments)
        assert done.status == 2
        assert message in done.stderr


def test_a_killed_render_continues_where_it_stopped(
    meshes: Path, bucket: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was drawn before stays in the work folder: the same command draws the rest, and publishes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "shapecnn", "voxelize", str(meshes), str(bucket / "grids"), "--workers", "1",
         "--resolution", "120"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )  # fmt: skip
    work = tmp_path / "cache" / "shapecnn" / "objects" / "work"
    while process.poll() is None and len(list(work.rglob("grids/*/*/*.binvox"))) < 3:
        pass
    os.kill(process.pid, 9)
    process.wait()
    assert [*list_objects(bucket / "grids")] == []
    done = answer("voxelize", meshes, bucket / "grids", "--workers", 1, "--resolution", 120)
    assert done["skipped"] >= 2
    assert done["written"] + done["skipped"] == 9
    assert answer("verify", bucket / "grids")["good"]


def test_what_is_suggested_at_a_url_is_free(bucket: Url) -> None:
    assert beside(bucket, "views") == f"{bucket}/views"  # not in another bucket
    assert beside(bucket / "meshes", "views") == f"{bucket}/meshes-views"
    assert free_run(bucket / "views") == f"{bucket}/views-run"
    with written(bucket / "views-run") as made:
        publish(made, {"model.json": b"{}"})
    assert free_run(bucket / "views") == f"{bucket}/views-run-2"


def test_info_of_a_local_index_whose_run_cannot_be_reached(
    bucket: Url, solids_index: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"kind": "run", "up": "z", "weights": "0" * 64, "network": {"kind": "mvcnn"}, "input": {}}
    record = {"settings": {**settings, "hash": settings_hash(settings)}}

    def state(run: object) -> str:
        shutil.copytree(solids_index, tmp_path / "index", dirs_exist_ok=True)
        forge(tmp_path / "index", "index.json", lambda header: {**header, **record, "model": str(run)})
        forget()
        done = command("info", tmp_path / "index", "--json")
        assert done.status == 0, done.stderr
        return str(json.loads(done.stdout)["facts"]["run"])

    assert state(tmp_path / "run") == "missing"
    assert state(bucket / "run") == "missing"
    for endpoint in ("http://127.0.0.1:9", "no URL"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert state(bucket / "run") == "unknown"
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert state(bucket / "run") == "unknown"
    assert state("gcs://bucket/run") == "unknown"


def test_a_list_in_a_bucket_has_a_limit(bucket: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    write_object(bucket / "list.csv", b"path" * 100)
    monkeypatch.setattr(csv_reader, "_LARGEST", 100)
    with pytest.raises(CollectionError, match=r"list\.csv is larger than"):
        list_shapes(bucket / "list.csv")


def test_a_ladder_is_written_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="s3://b/ladder is a URL, but a local path is needed here"):
        shapecnn.climb_ladder("meshes", "s3://b/ladder", ["logistic-grids"])
    assert contents(tmp_path) == {}
