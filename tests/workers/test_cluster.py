"""Tasks on a Ray cluster: what a lost process costs, and which errors stop everything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapecnn.errors import BusyError, ClusterError, ProcessError, UsageError
from shapecnn.workers.cluster import ATTEMPTS, Cluster, Node, _joined, connected, require_address
from tests.clusters import ray_cluster


def test_addresses() -> None:
    assert require_address("ray") is None
    assert require_address("ray://10.0.0.1:10001") == ("10.0.0.1", 10001)
    assert require_address("ray://[::1]:6379") == ("[::1]", 6379)
    for wrong in ("", "RAY", "ray:", "ray://", "ray://a", "ray://a:0", "ray://a:99999", "ray://u@a:1", "ray://a:1/x"):
        with pytest.raises(UsageError, match="is not of the form"):
            require_address(wrong)


def test_slots() -> None:
    node = Node("id", "name", cores=8, gpus=2)
    assert [node.slots(3, 0), node.slots(9, 0), node.slots(1, 1), node.slots(8, 1)] == [2, 0, 2, 1]


def test_a_message_of_ray_is_one_line() -> None:
    other = RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.1\n    Python: 3.9.1\n.")
    assert _joined(other) == "Version mismatch: The cluster was started with: Ray: 2.1 Python: 3.9.1"
    trace = RuntimeError("Traceback (most recent call last):\n  File 'x'\nValueError: it is wrong.\n")
    assert _joined(trace) == "ValueError: it is wrong"


def test_a_lost_connection_is_one_sentence() -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'shapecnn[ray]'")
    unconnected = Cluster(ray)
    with pytest.raises(ClusterError, match=r"^The connection to the Ray cluster was lost. Finished work is kept; "):
        unconnected.nodes()
    with pytest.raises(ClusterError, match=r"^The connection to the Ray cluster was lost. "):
        [*unconnected.run(live_dangerously, [("fine", Path())], cores=1, beat=lambda: None)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster(2), connected("ray") as joined:
        yield joined


def live_dangerously(task: tuple[str, Path]) -> str:
    """Do what a task says; ``folder`` counts how often it was begun."""
    what, folder = task
    begun = len([*folder.glob(f"{what}-*")]) + 1
    (folder / f"{what}-{begun}").touch()
    if what == "killed" or (what == "killed-once" and begun == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "busy-once" and begun == 1:
        raise BusyError("an earlier task writes there")
    if what == "usage":
        raise UsageError("a wrong option")
    if what == "disk":
        raise OSError(28, "No space left on device", "place")
    if what == "bug":
        raise AssertionError("a bug")
    if what == "sleep":
        time.sleep(60)
    return f"{what} {begun}"


def test_a_lost_task_is_begun_again_up_to_a_limit(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [(what, tmp_path) for what in ("killed", "fine", "killed-once", "busy-once", "last")]
    beats: list[float] = []
    outcomes = dict(cluster.run(live_dangerously, tasks, cores=1, beat=lambda: beats.append(time.monotonic())))
    assert beats
    lost = outcomes.pop(tasks[0])
    assert isinstance(lost, ClusterError)
    assert str(lost) == "its process died, or its node was lost"
    assert len([*tmp_path.glob("killed-[0-9]")]) == ATTEMPTS
    assert {task[0]: outcome for task, outcome in outcomes.items()} == {
        "fine": "fine 1",
        "killed-once": "killed-once 2",
        "busy-once": "busy-once 2",
        "last": "last 1",
    }


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("usage", UsageError, "^Node .+: a wrong option$"),
        ("disk", OSError, "No space left on device on node .+: 'place'$"),
        ("bug", ProcessError, "unexpected error occurred in a task .AssertionError: a bug.: use the same environment"),
    ],
)
def test_other_errors_stop_all_tasks(
    what: str, kind: type[Exception], message: str, cluster: Cluster, tmp_path: Path
) -> None:
    tasks = [("sleep", tmp_path), (what, tmp_path)]
    started = time.monotonic()
    with pytest.raises(kind, match=message):
        [*cluster.run(live_dangerously, tasks, cores=1, beat=lambda: None)]
    [*cluster.run(live_dangerously, [("fine", tmp_path), ("last", tmp_path)], cores=1, beat=lambda: None)]
    assert time.monotonic() - started < 60  # the sleeper was killed


def test_tasks_are_taken_when_there_is_room(cluster: Cluster, tmp_path: Path) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[tuple[str, Path]]:
        for number in range(20):
            taken.append(number)
            yield f"task{number}", tmp_path

    results = cluster.run(live_dangerously, tasks(), cores=1, beat=lambda: None)
    next(results)
    assert len(taken) <= 4  # two run, and two wait
    assert len([*results]) == 19


def look(task: tuple[Path, str]) -> None:
    (task[0] / str(os.getpid())).touch()
    if task[1]:
        raise UsageError(task[1])


def test_each_node_is_asked(cluster: Cluster, tmp_path: Path) -> None:
    nodes = cluster.nodes()
    cluster.on_each_node(look, (tmp_path, ""), nodes[:1])
    assert len([*tmp_path.iterdir()]) == 1
    cluster.on_each_node(look, (tmp_path, ""), nodes[1:])
    assert len([*tmp_path.iterdir()]) == 2
    with pytest.raises(UsageError, match=r"^Node .+: something is missing$"):
        cluster.on_each_node(look, (tmp_path, "something is missing"), nodes)
