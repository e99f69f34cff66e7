"""The division of a collection for a cluster, and what a task looks at; tests/cli/test_cluster.py has the rest."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shapecnn import __version__
from shapecnn.errors import ClusterError, UsageError
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.on_cluster import Division, _begin_run, _cores
from shapecnn.meshes.shard_tasks import Premise, ShardTask, look, make_part
from shapecnn.meshes.shards import Shard, divide, divide_all
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.publishing import exclusive
from shapecnn.workers.cluster import Node
from shapecnn.workers.pool import Workers
from tests.clusters import write_meshes


def division(out: Path, shapes: int = 1, **settings: object) -> Division:
    listed = [Shape(f"{number}.off", None, None, out.parent / f"{number}.off") for number in range(shapes)]
    return Division(listed, out.parent, out, settings, "")


@pytest.mark.parametrize(
    ("shapes", "count"), [(1, 1), (1023, 1), (1024, 2), (5000, 8), (100_000, 128), (10_000_000, 1024)]
)
def test_the_number_of_shards_follows_the_collection(shapes: int, count: int, tmp_path: Path) -> None:
    listed = [Shape("a.off", None, None, tmp_path)] * shapes
    assert Division(listed, tmp_path, tmp_path, {}, "").count == count


def test_parts_of_other_settings_are_in_another_folder(tmp_path: Path) -> None:
    one = division(tmp_path / "out", size=32).place
    assert one == division(tmp_path / "out", size=32).place != division(tmp_path / "out", size=64).place


def test_objects_are_not_looked_for_on_nodes(tmp_path: Path) -> None:
    bucket = as_path("s3://bucket/meshes")
    (tmp_path / "b.off").touch()
    shapes = [Shape("a.off", None, None, bucket / "a.off"), Shape("b.off", None, None, tmp_path / "b.off")]
    assert Division(shapes[:1], bucket, tmp_path, {}, "").local_paths == ()
    assert Division(shapes, tmp_path, tmp_path, {}, "", [bucket]).local_paths == (tmp_path, tmp_path / "b.off")


def test_all_shards_at_once_are_those_one_by_one(tmp_path: Path) -> None:
    shapes = list_shapes(write_meshes(tmp_path, 20))
    shards = divide_all(shapes, 3)
    assert shards == [divide(shapes, Shard(number, 3)) for number in (1, 2, 3)]
    assert sum(len(chosen) for chosen, _ in shards) == 20


def node(cores: int, gpus: int = 0) -> Node:
    return Node("id", "name", cores, gpus)


def test_the_cores_of_a_task() -> None:
    assert _cores([node(8), node(4)], Workers(), 0) == 4
    assert _cores([node(8), node(4)], Workers(6), 0) == 6
    assert _cores([node(64, 8), node(32, 2), node(4)], Workers(), 1) == 8  # each GPU gets a task
    assert _cores([node(1, 8)], Workers(), 1) == 1
    with pytest.raises(ClusterError, match=r"^No node of the cluster has a core for tasks"):
        _cores([], Workers(), 0)
    with pytest.raises(UsageError, match=r"^--device cuda: no node of the cluster has a GPU"):
        _cores([node(64)], Workers(), 1)
    with pytest.raises(UsageError, match=r"^No node of the cluster has 16 cores and a GPU, the largest has 8: "):
        _cores([node(64), node(8, 1)], Workers(16), 1)


def test_a_task_of_an_earlier_run_does_not_begin(tmp_path: Path) -> None:
    first = _begin_run(division(tmp_path / "out"))
    look(first)
    look(_begin_run(division(tmp_path / "out", other=True)))
    with pytest.raises(UsageError, match=f"^{tmp_path / 'out'} is not there, or is not the folder of the command: "):
        look(first)


def make_nothing(*_: object) -> None:
    pass


def lock_only(_shapes: object, _part: object, folder: Path, *_: object) -> None:
    with exclusive(folder):
        pass


def task(run: Path, make: object) -> ShardTask:
    folder = run.parent / "parts" / "1"
    shapes = [Shape("a.off", None, None, run)]
    (_, part), *_ = divide_all(shapes, 1)
    return ShardTask(make, shapes, part, folder, Workers(1), Premise(run, run.parent, ()))  # type: ignore[arg-type]


def test_a_task_whose_command_has_ended_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(FileNotFoundError):  # the command has removed its parts
        make_part(task(tmp_path / "run", make_nothing))
    (tmp_path / "run").unlink()
    with pytest.raises(UsageError, match="is not the folder of the command"):
        make_part(task(tmp_path / "run", make_nothing))
    assert [*tmp_path.iterdir()] == []


def test_nodes_without_locks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / "run").touch()
    (tmp_path / "parts").mkdir()
    with pytest.raises(UsageError, match=f"^{tmp_path} is on a file system without locks there"):
        make_part(task(tmp_path / "run", lock_only))


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^shapecnn {__version__} is installed there, not 0.0.1: "):
        look(Premise(tmp_path, tmp_path, (), "0.0.1"))


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^{tmp_path / 'meshes'} does not exist there: put it on storage"):
        look(Premise(tmp_path, tmp_path, (tmp_path / "meshes",)))
