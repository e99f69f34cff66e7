"""A Ray cluster of several nodes on this machine, and a program that voxelizes meshes of which some do harm."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from shapecnn.artefacts.maker import ArtefactData
from shapecnn.artefacts.on_cluster import prepare_on_cluster
from shapecnn.artefacts.prepare import Recipe
from shapecnn.meshes import on_cluster
from shapecnn.meshes.collection import Shape
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.workers.cluster import Node
from shapecnn.workers.pool import Workers
from tests.solids import write_box

ROOT = Path(__file__).resolve().parent.parent

SMALL = VoxelSettings(resolution=8, padding=1)


class Harmful(Recipe):
    """Voxelizes slowly; the id of a shape tells what else its mesh does to the process that opens it.

    Beside each mesh it notes which node has opened it, by the process that Ray runs there.
    """

    def open(self, shape: Shape) -> tuple[str, Callable[[], ArtefactData]]:
        shape.file.with_suffix(f".by-{os.environ.get('RAY_RAYLET_PID', 'none')}").touch()
        time.sleep(0.1)
        if "crash" in shape.id:
            ctypes.string_at(0)
        if "hungry" in shape.id:
            eaten = shape.file.with_suffix(".eaten")
            if not eaten.exists():
                eaten.touch()
                meal = bytearray(int(os.environ["MEAL"]))  # until Ray ends the task
                meal[::4096] = b"1" * len(meal[::4096])
                time.sleep(60)
                raise AssertionError("Ray has not ended the task")
        return super().open(shape)


def write_meshes(folder: Path, count: int, *more: str) -> Path:
    """Boxes that all differ, and more of the given names, as a collection of one class."""
    for number in range(count):
        write_box(folder / "box" / "train" / f"{number}.off", 1, 1 + number, 2)
    for name in more:
        write_box(folder / "box" / "train" / f"{name}.off", 1, 2, 3)
    return folder


COMMAND_LINE = """
from shapecnn.cli.main import main
from shapecnn.meshes import on_cluster
on_cluster._LEAST = 3
main()
"""


class OneProcess:
    """In place of a cluster: makes all parts in this process, for tests of what is made. It loses no task.

    Args:
        stop: Number of shards after which the command is interrupted.
        afterwards: Called when all parts are made, before they are merged.
    """

    def __init__(self, stop: int | None = None, afterwards: Callable[[], object] = lambda: None) -> None:
        self.stop, self.afterwards = stop, afterwards

    def nodes(self) -> list[Node]:
        return [Node("id", "here", 1, 0)]

    def on_each_node(self, function: Callable[[Any], None], task: Any, nodes: list[Node]) -> None:
        for _ in nodes:
            function(pickle.loads(pickle.dumps(task)))

    def run(
        self, function: Callable[[Any], Any], tasks: Iterator[Any], *, cores: int, gpus: int, beat: Callable[[], None]
    ) -> Iterator[tuple[Any, Any]]:
        assert (cores, gpus) == (1, 0)
        for number, task in enumerate(tasks):
            if number == self.stop:
                raise KeyboardInterrupt
            yield task, function(pickle.loads(pickle.dumps(task)))
            beat()
        self.afterwards()


@contextmanager
def one_process(stop: int | None = None, afterwards: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Inside, ``--cluster`` needs no Ray."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_cluster, "_LEAST", 3)
        patch.setattr(on_cluster, "connected", lambda _address: nullcontext(OneProcess(stop, afterwards)))
        yield


@contextmanager
def ray_cluster(nodes: int, **environment: str) -> Iterator[Any]:
    """A cluster of nodes with one core each. Drivers find it by RAY_ADDRESS; ``environment`` is that of its nodes."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'shapecnn[ray]'")
    # Ray makes the processes of tasks nice, and beside other work on this machine they would hardly run.
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT), **environment}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, value in settings.items():
            patch.setenv(key, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        try:
            for _ in range(nodes - 1):
                cluster.add_node(**node)
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield cluster
        finally:
            cluster.shutdown()


def start(*arguments: object, module: str = "shapecnn", folder: Path | None = None) -> subprocess.Popen[str]:
    """Start a driver in a process of its own: the command line, with small shards, or this module."""
    driver = ["-c", COMMAND_LINE] if module == "shapecnn" else ["-m", module]
    line = [sys.executable, "-P", *driver, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


def run(*arguments: object, module: str = "shapecnn", folder: Path | None = None) -> tuple[int, str, str]:
    """Run a driver; return its exit status and what it printed."""
    process = start(*arguments, module=module, folder=folder)
    stdout, stderr = process.communicate(timeout=300)
    return process.returncode, stdout, stderr


if __name__ == "__main__":
    from tests.clusters import Harmful as Named  # under a name that nodes can import

    on_cluster._LEAST = 15
    made = prepare_on_cluster(
        Path(sys.argv[1]), Path(sys.argv[2]), Named(SMALL), "ray", command="again", workers=Workers(memory=8)
    )
    print(json.dumps(dataclasses.asdict(made)))
