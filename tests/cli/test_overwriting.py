"""Files of the user in an output folder are reported and kept, unless --overwrite is given."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from shapecnn.errors import UsageError
from shapecnn.models.engine import Engine
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.index import FAILURES
from shapecnn.search.plan import IndexPlan
from shapecnn.search.update import bring_up_to_date
from shapecnn.workers.pool import Workers
from tests.cli.conftest import Command
from tests.solids import contents, write_box

SMALL = ("--resolution", "8", "--padding", "1")


@pytest.mark.parametrize("name", ["box/a.binvox", "SHA256SUMS", "settings.json", ".partial/letter", "letter.txt"])
def test_voxelize_keeps_foreign_files(name: str, tmp_path: Path, command: Command) -> None:
    for label in ("box", "lamp"):
        write_box(tmp_path / "meshes" / label / "a.off")
    place = tmp_path / "out" / name
    place.parent.mkdir(parents=True)
    place.write_text("dear")
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL)
    assert done.status == 2
    assert "--overwrite" in done.stderr
    assert contents(tmp_path / "out") == {name: b"dear"}
    assert command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL, "--overwrite").status == 0
    assert (tmp_path / "out" / "box" / "a.binvox").stat().st_size > 4


def test_a_file_in_the_place_of_an_artefact_outlives_its_mesh(tmp_path: Path, command: Command) -> None:
    for name in ("a", "b"):
        write_box(tmp_path / "meshes" / f"{name}.off")
    assert command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL).status == 0
    (tmp_path / "out" / "a.binvox").write_text("dear")
    (tmp_path / "meshes" / "a.off").unlink()
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL)
    assert (done.status, "holds a.binvox, not written by shapecnn" in done.stderr) == (2, True)
    assert command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL, "--overwrite").status == 0
    assert (tmp_path / "out" / "a.binvox").read_text() == "dear"  # it is in nobody's way


@pytest.mark.parametrize("name", ["resume/notes", "config.yaml", "split.json", "metrics.jsonl"])
def test_train_keeps_foreign_files(name: str, tmp_path: Path, command: Command) -> None:
    for k in range(6):
        write_box(tmp_path / "meshes" / "ab"[k % 2] / "train" / f"{k}.off")
    assert command("voxelize", tmp_path / "meshes", tmp_path / "grids", *SMALL).status == 0
    place = tmp_path / "run" / name
    place.parent.mkdir(parents=True)
    place.write_text("dear")
    done = command("train", "demo-shapenets", "--data", tmp_path / "grids", "--out", tmp_path / "run")
    assert done.status == 2, done.stderr
    assert "which shapecnn did not write" in done.stderr or "was not written by this version of shapecnn" in done.stderr
    assert contents(tmp_path / "run") == {name: b"dear"}


def test_failures_stay_in_the_index(tmp_path: Path, engine: Engine) -> None:  # made once
    write_box(tmp_path / "meshes" / "a.off")
    (tmp_path / "meshes" / "b.off").touch()
    folder, model = tmp_path / "index", UntrainedModel.of()
    bring_up_to_date(tmp_path / "meshes", folder, IndexPlan.of(model), command="", device="cpu", workers=Workers(1))
    (failed,) = pyarrow.parquet.read_table(folder / FAILURES).to_pylist()
    assert failed == {"id": "b.off", "path": str(tmp_path / "meshes" / "b.off"), "error": "the file is empty"}
    (folder / FAILURES).write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"holds failures\.parquet"):
        bring_up_to_date(tmp_path / "meshes", folder, IndexPlan.of(model), command="", device="cpu", workers=Workers(1))


def test_a_page_on_a_full_disk_does_not_cost_the_answer(solids: Path, solids_index: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
    mesh = min(solids.rglob("*.off"))
    words = ["query", solids_index, mesh, "--html", tmp_path / "page.html", "--device", "cpu", "--json"]
    code = limit + "from shapecnn.cli.main import run; run()"
    # Python 3.11 would keep a module's .pyc file that was cut off, and fail to read it later.
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    (answer,) = json.loads(done.stdout)
    assert len(answer["results"]) == 9
    assert "File too large" in done.stderr


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_page_stays_private_and_goes_through_no_link(
    overwrite: bool, solids: Path, solids_index: Path, tmp_path: Path, command: Command
) -> None:
    mesh, page = min(solids.rglob("*.off")), tmp_path / "page.html"
    words = ("query", solids_index, mesh, "--device", "cpu", *["--overwrite"] * overwrite, "--html")
    assert command(*words, page).status == 0
    page.chmod(0o600)
    assert command(*words, page).status == 0
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    (tmp_path / "link.html").symlink_to(page)
    done = command(*words, tmp_path / "link.html")
    assert (done.status, "is a link, and shapecnn does not write through links" in done.stderr) == (2, True)
    assert command(*words, "/dev/null").status == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_an_audit_says_that_files_failed_and_where_all_of_them_are(tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "good.off")
    for k in range(60):
        (tmp_path / "meshes" / f"{k:02}.off").touch()
    listed = tmp_path / "failed.csv"
    command("audit", tmp_path / "meshes", "--out", tmp_path / "audit", "--failures", listed)
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "<h2>60 shapes could not be used</h2>" in page
    assert "Nothing to see" not in page
    assert listed.read_text().count("the file is empty") == 60


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("c/a.off", "c/a.binvox/b.off"), "into a folder of the same name: rename one"),
        (("manifest.parquet/a.off", "c/b.off"), "where shapecnn writes its own manifest.parquet: rename the input"),
        (("settings.json/a.off", "c/b.off"), "where shapecnn writes its own settings.json: rename the input"),
        (("model.json/a.off", "c/b.off"), "where shapecnn writes its own model.json: rename the input"),
        (("index.json/a.off", "c/b.off"), "where shapecnn writes its own index.json: rename the input"),
        (("SHA256SUMS/a.off", "c/b.off"), "where shapecnn writes its own SHA256SUMS: rename the input"),
    ],
)
def test_names_that_collide_are_reported_before_any_work(
    names: tuple[str, ...], told: str, tmp_path: Path, command: Command
) -> None:
    for name in names:
        write_box(tmp_path / "meshes" / name)
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL)
    assert (done.status, told in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["out/manifest.parquet", "page.html", "README"])
def test_failures_are_listed_in_a_csv_and_in_no_file_of_another_kind(
    name: str, tmp_path: Path, command: Command
) -> None:
    write_box(tmp_path / "meshes" / "a.off")
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", *SMALL, "--failures", tmp_path / name)
    assert (done.status, "give it a name that ends in .csv" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_failures_replace_nothing_that_the_command_itself_has_put_there(tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "a.off")
    listed = tmp_path / "audit" / "audit.csv"
    done = command("audit", tmp_path / "meshes", "--out", tmp_path / "audit", "--failures", listed)
    assert (done.status, "exists, but shapecnn did not write the file" in done.stderr) == (2, True)
    assert "path,error" not in listed.read_text()
