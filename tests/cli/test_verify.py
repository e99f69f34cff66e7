"""Flipped bits in every stored file are found by verify and by the command that reads the file."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.models.model import resolve_model
from shapecnn.report.evaluation import write_report
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.workers.pool import Workers
from tests.cli.conftest import Command, Run, cells
from tests.evaluations import write_artefacts, write_splits
from tests.runs import VOXRESNET, write_run
from tests.sealing import forge, reseal

FLIPS = 12  # of each file: the first and the last byte, and others anywhere
GRIDS = VoxelSettings(resolution=16, padding=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with meshes, grids, run (with a metric), index and report, each made from those before; read-only."""
    from shapecnn.search.plan import IndexPlan
    from shapecnn.search.update import bring_up_to_date
    from shapecnn.training.metric import learn_metric

    here = tmp_path_factory.mktemp("world")
    meshes = write_splits(here / "meshes", train=2, test=1)
    artefacts = write_artefacts(meshes, here / "grids", GRIDS)
    write_run(here / "run", meshes, VOXRESNET, GRIDS, gallery=True)
    model = resolve_model(str(here / "run"))
    learn_metric(model, artefacts, device="cpu")
    bring_up_to_date(meshes, here / "index", IndexPlan.of(model), command="", device="cpu", workers=Workers(1))
    write_report(here / "report", evaluate_model(model, artefacts, device="cpu"), artefacts.grids)
    return here


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Function that copies one of them, for changes."""
    return lambda name: Path(shutil.copytree(world / name, tmp_path / name))


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def flipped(content: bytes, seed: str) -> list[bytes]:
    """Yield copies of the content with one flipped bit each."""
    chance = random.Random(seed)
    places = [0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(FLIPS - 2))]
    changed = []
    for place in places:
        altered = bytearray(content)
        altered[place] ^= 1 << chance.randrange(8)
        changed.append(bytes(altered))
    return changed


def told(done: Run) -> str:
    """Return the error message of a command that ended with status 1."""
    assert done.status == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_untouched_folders_are_good(world: Path, command: Command) -> None:
    folders = [world / name for name in ("grids", "run", "index", "report")]
    done = command("verify", *folders, "--json")
    answer = done.json("verify")
    assert (done.status, answer["good"]) == (0, True)
    assert [(each["kind"], each["findings"]) for each in answer["folders"]] == [
        ("artefacts", []), ("run", []), ("index", []), ("report", [])
    ]  # fmt: skip
    for folder, each in zip(folders, answer["folders"], strict=True):
        assert each["files"] == len(stored(folder)) - 1  # all but SHA256SUMS
    shown = command("verify", *folders)
    assert shown.stdout.splitlines()[1] == f"{world / 'run'}: run, {answer['folders'][1]['files']} files, good"
    assert command("verify", world / "grids", "--collection", world / "meshes").status == 0


@pytest.mark.parametrize("name", ["grids", "run", "index", "report"])
def test_a_flipped_bit_in_any_file_is_found(name: str, copy: Callable[[str], Path], command: Command) -> None:
    folder = copy(name)
    for path in stored(folder):
        content = path.read_bytes()
        for altered in flipped(content, path.name):
            path.write_bytes(altered)
            done = command("verify", folder, "--json")
            assert done.status == 1
            (finding,) = done.json("verify")["folders"][0]["findings"]
            assert (finding["fault"], finding["path"]) == ("corrupt", str(path))
        path.write_bytes(content)
    assert command("verify", folder).status == 0


USED = {
    "grids": ["manifest.parquet", "settings.json", "box/test/2.binvox"],
    "run": ["model.json", "model.safetensors", "split.json", "gallery.safetensors"],
    "index": ["index.json", "shapes.parquet", "features.safetensors"],
}


@pytest.mark.parametrize("name", ["grids", "run", "index"])
def test_a_flipped_bit_is_found_before_it_is_used(
    name: str, world: Path, copy: Callable[[str], Path], command: Command
) -> None:
    folder = copy(name)
    mesh = world / "meshes/box/test/2.off"
    use = {
        "grids": ["eval", world / "run", "--data", folder, "--task", "classification"],
        "run": ["predict", folder, mesh],
        "index": ["query", folder, mesh],
    }[name]
    for file in [*USED[name], "SHA256SUMS"]:
        content = (folder / file).read_bytes()
        for altered in flipped(content, file)[:4]:
            (folder / file).write_bytes(altered)
            line = told(command(*use, "--device", "cpu"))
            assert str(folder) in line
            assert "hash differs" in line or "SHA256SUMS is damaged (the hash in the first line" in line
        (folder / file).write_bytes(content)
    assert command(*use, "--device", "cpu").status == 0


def test_a_damaged_metric_is_not_compared_by(world: Path, copy: Callable[[str], Path], command: Command) -> None:
    run = copy("run")
    use = ["eval", run, "--data", world / "grids", "--feature", "metric", "--device", "cpu", "--task", "retrieval"]
    for file in ("metric.json", "metric.safetensors"):
        content = (run / file).read_bytes()
        for altered in flipped(content, file)[:4]:
            (run / file).write_bytes(altered)
            assert "To learn the metric anew: shapecnn metric" in told(command(*use))
        (run / file).write_bytes(content)
    assert command(*use).status == 0


def test_missing_files_are_named(copy: Callable[[str], Path], command: Command) -> None:
    for name in ("grids", "run", "index"):
        folder = copy(name)
        for path in stored(folder):
            content = path.read_bytes()
            path.unlink()
            (finding,) = command("verify", folder, "--json").json("verify")["folders"][0]["findings"]
            assert (finding["fault"], finding["path"]) == ("missing", str(path))
            path.write_bytes(content)


def test_a_mesh_that_changed_since_is_stale_one_that_is_gone_missing(
    world: Path, copy: Callable[[str], Path], command: Command
) -> None:
    meshes = copy("meshes")
    (meshes / "box/train/0.off").write_bytes((meshes / "round/train/0.off").read_bytes())
    (meshes / "box/train/1.off").unlink()
    (meshes / "box/train/9.off").write_bytes((meshes / "round/train/0.off").read_bytes())
    expected = [("stale", "box/train/0.off"), ("missing", "box/train/1.off"), ("stale", "box/train/9.off")]
    for name in ("grids", "index"):
        done = command("verify", world / name, "--collection", meshes, "--json")
        findings = done.json("verify")["folders"][0]["findings"]
        assert (done.status, [(f["fault"], f["path"]) for f in findings]) == (1, expected)


def test_a_mesh_that_failed_is_not_new(tmp_path: Path, world: Path, command: Command) -> None:
    meshes = Path(shutil.copytree(world / "meshes", tmp_path / "mine"))
    (meshes / "box/train/bad.off").write_bytes(b"OFF")
    for name, line in (
        ("grids", ["voxelize", "--resolution", "16"]),
        ("index", ["index", "--model", world / "run", "--device", "cpu"]),
    ):
        made = command(line[0], meshes, tmp_path / name, *line[1:], "--workers", "1", "--skip-errors")
        assert made.status == 0, made.stderr
        assert command("verify", tmp_path / name, "--collection", meshes).status == 0
    (meshes / "box/train/bad.off").unlink()
    (finding,) = command("verify", tmp_path / "index", "--collection", meshes, "--json").json("verify")["folders"][0][
        "findings"
    ]
    assert (finding["fault"], finding["path"]) == ("missing", "box/train/bad.off")


def test_an_index_knows_where_its_meshes_were(tmp_path: Path, world: Path, command: Command) -> None:
    meshes = Path(shutil.copytree(world / "meshes", tmp_path / "mine"))
    command("index", meshes, tmp_path / "index", "--model", world / "run", "--device", "cpu", "--workers", "1")
    assert command("verify", tmp_path / "index").status == 0
    (meshes / "box/test/2.off").write_bytes(b"OFF")
    (finding,) = command("verify", tmp_path / "index", "--json").json("verify")["folders"][0]["findings"]
    assert (finding["fault"], finding["path"]) == ("stale", "box/test/2.off")
    assert "mine/box/test/2.off has changed since shapecnn read it." in finding["message"]


def test_an_index_of_a_run_whose_weights_changed_is_stale(
    tmp_path: Path, world: Path, copy: Callable[[str], Path], command: Command
) -> None:
    run = copy("run")
    command("index", world / "meshes", tmp_path / "index", "--model", run, "--device", "cpu", "--workers", "1")
    shutil.rmtree(run)
    write_run(run, world / "meshes", VOXRESNET, GRIDS, seed=1)
    (finding,) = command("verify", tmp_path / "index", "--json").json("verify")["folders"][0]["findings"]
    assert (finding["fault"], finding["path"]) == ("stale", str(run))
    shutil.rmtree(run)
    (finding,) = command("verify", tmp_path / "index", "--json").json("verify")["folders"][0]["findings"]
    assert (finding["fault"], finding["path"]) == ("missing", str(run))


def test_a_metric_of_other_weights_and_a_config_of_another_training_are_stale(
    world: Path, copy: Callable[[str], Path], command: Command
) -> None:
    run = copy("run")
    forge(run, "metric.json", lambda described: {**described, "weights": "0" * 64})
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("seed: 0", "seed: 1"))
    reseal(run)
    findings = command("verify", run, "--json").json("verify")["folders"][0]["findings"]
    assert [(f["fault"], f["path"]) for f in findings] == [("stale", "config.yaml"), ("stale", "metric.json")]


def test_interrupted_work_is_stale(copy: Callable[[str], Path], command: Command) -> None:
    folder = copy("grids")
    (folder / ".partial").mkdir()
    (finding,) = command("verify", folder, "--json").json("verify")["folders"][0]["findings"]
    assert finding["fault"] == "stale"
    assert "was interrupted: run it again" in finding["message"]


def test_foreign_folders_are_status_2(tmp_path: Path, world: Path, command: Command) -> None:
    for path in (tmp_path, tmp_path / "nowhere", world / "meshes", world / "run/model.json"):
        assert command("verify", path).status == 2
    assert command("verify").status == 2
    assert command("verify", world / "run", "--collection", world / "meshes").status == 2
    assert command("verify", world / "run", tmp_path).status == 2


def test_a_collection_is_compared_with_artefacts_and_indexes_only(
    world: Path, copy: Callable[[str], Path], command: Command
) -> None:
    meshes = copy("meshes")
    (meshes / "box/train/1.off").unlink()
    folders = [world / name for name in ("run", "report", "grids", "index")]
    answer = command("verify", *folders, "--collection", meshes, "--json").json("verify")
    found = [[(f["fault"], f["path"]) for f in each["findings"]] for each in answer["folders"]]
    assert found == [[], [], [("missing", "box/train/1.off")], [("missing", "box/train/1.off")]]


def test_a_path_that_does_not_exist_is_reported(tmp_path: Path, command: Command) -> None:
    done = command("verify", tmp_path / "no")
    assert (done.status, f"{tmp_path / 'no'} does not exist. Give the folder of artefacts" in done.stderr) == (2, True)


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_a_table_of_folders_and_one_of_findings(
    tmp_path: Path, copy: Callable[[str], Path], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: len(stored(copy(name))) - 1 for name in ("run", "grids")}  # all but SHA256SUMS
    monkeypatch.chdir(tmp_path)
    Path("run/model.safetensors").unlink()
    done = command("verify", "run", "grids")
    assert done.status == 1
    table = cells(done.stdout.splitlines())
    assert table[0] == ["folder", "kind", "files", "result"]
    assert [row[:3] for row in table if row[0] in ("run", "grids")] == [
        ["run", "run", str(files["run"])],
        ["grids", "artefacts", str(files["grids"])],
    ]
    assert [row[3] for row in table if row[0] == "grids"] == ["good"]
    assert ["fault", "what is wrong"] in table
    assert any(row[0] == "missing" and "model.safetensors" in row[1] for row in table)
