"""``--cluster`` on the command line, against a Ray cluster of three nodes on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shapecnn.artefacts.prepare import prepare_collection
from shapecnn.meshes.shards import Shard
from shapecnn.workers.pool import Workers
from tests.cli.conftest import Command
from tests.clusters import SMALL, Harmful, ray_cluster, run, start, write_meshes
from tests.solids import contents, write_two_classes

GRIDS = ("--resolution", 8, "--padding", 1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster(3) as nodes:
        yield nodes


def wait_until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def answer(stdout: str) -> dict[str, Any]:
    """The JSON value of a command, without its duration."""
    value: dict[str, Any] = json.loads(stdout)
    assert value.pop("seconds") > 0
    return value


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("voxelize", GRIDS),
        pytest.param("render", ("--size", 32), marks=pytest.mark.slow),
        ("index", ("--model", "@sph", "--no-pictures", "--check")),
    ],
)
def test_answers_and_bytes_are_those_of_one_machine(
    name: str, options: tuple[object, ...], cluster: object, tmp_path: Path, command: Command
) -> None:
    write_two_classes(tmp_path / "meshes")
    # Nothing is imported from the current folder, neither here nor on a node.
    (tmp_path / "json.py").write_text("raise SystemExit('code of the current folder ran')")
    local = command(name, tmp_path / "meshes", tmp_path / "local", *options, "--workers", 1, "--json", "--quiet")
    there = (name, "meshes", "out", *options, "--cluster", "ray", "--json", "--quiet")
    status, stdout, stderr = run(*there, folder=tmp_path)
    assert status == local.status == 1  # a mesh cannot be read
    assert stderr == local.stderr.replace(f"{tmp_path}/", "")
    assert answer(stdout) == answer(local.stdout.replace(f"{tmp_path}/", ""))
    assert contents(tmp_path / "out") == contents(tmp_path / "local")

    # The same command again does nothing, and only what is new is made.
    (tmp_path / "meshes" / "box" / "train" / "1.off").unlink()
    write_meshes(tmp_path / "meshes", 1, "new")
    before = contents(tmp_path / "out")
    local = command(name, tmp_path / "meshes", tmp_path / "local", *options, "--workers", 1, "--json", "--quiet")
    status, stdout, _ = run(*there, folder=tmp_path)
    assert answer(stdout) == answer(local.stdout.replace(f"{tmp_path}/", ""))
    assert contents(tmp_path / "out") == contents(tmp_path / "local") != before


def test_nothing_is_lost_with_a_node_and_a_crashing_mesh(cluster: Any, tmp_path: Path) -> None:
    meshes = write_meshes(tmp_path / "meshes", 120, "crash")
    local = prepare_collection(meshes, tmp_path / "local", Harmful(SMALL), command="", workers=Workers(2))
    crashed = [(str(meshes / "box/train/crash.off"), "the worker process died (Segmentation fault)")]
    assert local.failures == crashed
    extra = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    out = tmp_path / "out"
    driver = start(meshes, out, module="tests.clusters")
    mark = f".by-{extra.all_processes['raylet'][0].process.pid}"
    wait_until(lambda: [*meshes.glob(f"*/*/*{mark}")])
    cluster.remove_node(extra, allow_graceful=False)
    stdout, stderr = driver.communicate(timeout=200)
    assert (driver.returncode, stderr) == (0, "")
    assert json.loads(stdout) | {"seconds": 0} == json.loads(json.dumps(dataclasses.asdict(local) | {"seconds": 0}))
    assert contents(out) == contents(tmp_path / "local")
    opened = [(path.suffix, str(path.relative_to(meshes).with_suffix(".off"))) for path in meshes.rglob("*.by-*")]
    lost = {shape_id for suffix, shape_id in opened if suffix == mark}
    other = {shape_id for suffix, shape_id in opened if suffix not in (mark, ".by-none")}
    shards = [Shard(number, 8) for number in range(1, 9)]
    assert any(any(map(shard.holds, lost)) and any(map(shard.holds, other)) for shard in shards)  # it was begun twice


@pytest.mark.slow
def test_an_interrupted_command_continues(cluster: object, tmp_path: Path, command: Command) -> None:
    meshes = write_meshes(tmp_path / "meshes", 150)
    out = tmp_path / "out"
    line = ("voxelize", meshes, out, "--resolution", 64, "--rotations", 4, "--cluster", "ray")

    def made() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in out.glob(".partial/parts/*/*/*/train/*.binvox")}

    def interrupt(number: int, finished: int) -> dict[Path, int]:
        driver = start(*line)
        wait_until(lambda: len(made()) > finished)
        driver.send_signal(number)
        _, stderr = driver.communicate(timeout=60)
        assert driver.returncode == 128 + number
        assert stderr.endswith("Finished work is kept; run the same command again to continue.\n")
        assert "Traceback" not in stderr
        return made()

    first = interrupt(signal.SIGINT, 0)
    second = interrupt(signal.SIGTERM, len(first))
    assert 0 < len(first) < len(second) < 600
    assert len(first.items() - second.items()) <= 4 * 4  # made again: the mesh that each of the workers had
    other = command("voxelize", meshes, out, "--resolution", 32, "--cluster", "ray")
    assert other.status == 2  # as after an interruption on one machine
    assert "--overwrite" in other.stderr
    status, stdout, stderr = run(*line)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("150 written, 0 unchanged, 0 failed in ")
    names = {path.name for path in out.iterdir()}
    assert names == {".lock", "SHA256SUMS", "box", "manifest.parquet", "settings.json"}


def test_a_folder_that_a_node_does_not_see(cluster: object, tmp_path: Path) -> None:
    write_meshes(tmp_path / "meshes", 2)
    there = Path("/proc/self/cwd/meshes")  # each process sees another
    if not there.parent.exists():
        pytest.skip("no /proc on this system")
    status, stdout, stderr = run("voxelize", there, tmp_path / "out", "--cluster", "ray", folder=tmp_path)
    assert (status, stdout) == (2, "")
    assert stderr.startswith("Error: Node ")
    assert f": {there} does not exist there" in stderr
    assert stderr.endswith("put it on storage that all nodes share, at the same path.\n")
    assert stderr.count("\n") == 1
    assert not (tmp_path / "out" / ".partial").exists()  # nothing was begun


def test_more_cores_than_a_node_has(cluster: object, tmp_path: Path) -> None:
    write_meshes(tmp_path / "meshes", 2)
    status, _, stderr = run("voxelize", tmp_path / "meshes", tmp_path / "out", "--cluster", "ray", "--workers", 2)
    assert (status, stderr) == (
        2, "Error: No node of the cluster has 2 cores, the largest has 1: use fewer --workers.\n"
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_collection_at_a_url_is_fetched_by_the_nodes(cluster: object, tmp_path: Path, command: Command) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'shapecnn[objects]'")
    meshes = f"file://{write_two_classes(tmp_path / 'meshes')}"
    local = command("voxelize", meshes, tmp_path / "local", *GRIDS, "--workers", 1, "--json", "--quiet")
    status, stdout, stderr = run("voxelize", meshes, tmp_path / "out", *GRIDS, "--cluster", "ray", "--json", "--quiet")
    assert (status, stderr) == (local.status, local.stderr)
    assert answer(stdout) == answer(local.stdout)
    assert contents(tmp_path / "out") == contents(tmp_path / "local")


@pytest.mark.parametrize("name", ["render", "voxelize", "index"])
def test_a_url_is_not_written_to(name: str, tmp_path: Path, command: Command) -> None:
    write_meshes(tmp_path / "meshes", 2)
    done = command(name, tmp_path / "meshes", "s3://bucket/out", "--cluster", "ray")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "Error: --cluster needs a folder that all nodes share for the unfinished work, not s3:"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["render", "voxelize", "index"])
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("ray", "--shard", "1/2"), 2, "--shard 1/2 and --cluster: a cluster divides the collection itself."),
        (("rays",), 2, "--cluster 'rays' is not of the form ray or ray://HOST:PORT"),
        (("ray://head",), 2, "--cluster 'ray://head' is not of the form ray or ray://HOST:PORT"),
        (("ray://127.0.0.1:1",), 1, "The Ray cluster at 127.0.0.1:1 cannot be reached (Connection refused)"),
    ],
)
def test_wrong_values(
    name: str, options: tuple[str, ...], status: int, message: str, tmp_path: Path, command: Command
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'shapecnn[ray]'")
    write_meshes(tmp_path / "meshes", 2)
    done = command(name, tmp_path / "meshes", tmp_path / "out", "--cluster", *options)
    assert (done.status, done.stdout) == (status, "")
    assert done.stderr.startswith(f"Error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_ray(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    write_meshes(tmp_path / "meshes", 2)
    monkeypatch.setitem(sys.modules, "ray", None)
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", "--cluster", "ray", "--json", "--quiet")
    assert done.status == 1
    assert json.loads(done.stdout)["error"]["kind"] == "missing-library"
    assert done.stderr.endswith(": pip install 'shapecnn[ray]'\n")


@pytest.mark.slow
def test_a_task_that_runs_out_of_memory_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        total, free = (1024 * int(lines[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    except OSError:
        pytest.skip("the memory of this system is not known")
    if free < 10e9:
        pytest.skip(f"10 GB of free memory are needed, there are {free / 1e9:.1f}")
    monkeypatch.setenv("MEAL", str(int(4.5e9)))
    meshes = write_meshes(tmp_path / "meshes", 20, "hungry")
    (meshes / "box/train/hungry.eaten").touch()
    prepare_collection(meshes, tmp_path / "local", Harmful(SMALL), command="", workers=Workers(1))
    (meshes / "box/train/hungry.eaten").unlink()
    limit = (total - free + 3e9) / total  # of the memory of the machine; then Ray ends a task
    with ray_cluster(1, RAY_memory_usage_threshold=f"{limit:.3f}", MEAL=os.environ["MEAL"]):
        status, stdout, stderr = run(meshes, tmp_path / "out", module="tests.clusters")
    assert (status, stderr) == (0, "")
    assert (meshes / "box/train/hungry.eaten").exists()
    assert json.loads(stdout)["failures"] == []
    assert contents(tmp_path / "out") == contents(tmp_path / "local")
