"""What a mesh costs more with ``--cluster ray`` than with the local engine, on the same cores of one machine.

    python benchmarks/cluster.py --json results/cluster.json

The cluster is one node with all cores of this machine, so both engines have the same means. Each repeat takes a few
meshes and many, with each engine, in alternating order; from the two durations follow the start-up of an engine and its
time for a mesh. Only ratios within a repeat are compared, so other work on the machine disturbs them less. ``load`` is
that of the whole machine in the last 5 minutes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from measure import arguments, save, shapecnn, table

from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.workers.pool import available_cores

FEW = 32
COMMANDS = {"voxelize": 4, "render": 1}  # copies of each mesh of the Princeton Shape Benchmark, with other bytes
ENGINES: dict[str, tuple[str, ...]] = {"local": (), "ray": ("--cluster", "ray")}


def unpack(shapes: list[Shape], folder: Path, copies: int = 1) -> Path:
    for shape, copy in itertools.product(shapes, range(copies)):
        path = folder / Path(shape.id).with_suffix(f".{copy}.off")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shape.read() + f"\n# {copy}\n".encode())
    return folder


def seconds(meshes: Path, out: Path, engine: str, command: str) -> float:
    made = shapecnn(command, meshes, out, "--up", "y", "--quiet", *ENGINES[engine])
    shutil.rmtree(out)
    assert made["failed"] == 0
    return float(made["seconds"])


def start_cluster() -> tuple[Any, float]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # the local engine is not nice, either
    from ray.cluster_utils import Cluster

    started = time.perf_counter()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": available_cores(), "object_store_memory": 10**8, "include_dashboard": False},
    )
    os.environ["RAY_ADDRESS"] = cluster.address
    return cluster, time.perf_counter() - started


def main() -> None:
    options = arguments(__doc__ or "", repeats=3)
    shapes = list_shapes(options.data / "psb.zip")
    cluster, start = start_cluster()
    try:
        commands = {command: measure(shapes, copies, command, options.repeats) for command, copies in COMMANDS.items()}
    finally:
        cluster.shutdown()
    keys = [key for key in next(iter(commands.values())) if key != "repeats"]
    print(table(["figure", *commands], [(key, *(each[key] for each in commands.values())) for key in keys]))
    figures = {"cores": available_cores(), "cluster_start_seconds": start, "load": os.getloadavg()[1], **commands}
    save(options.json, figures, [options.data / "psb.zip"])


def measure(shapes: list[Shape], copies: int, command: str, repeats: int) -> dict[str, Any]:
    rows, many = [], copies * len(shapes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = unpack(shapes[:: len(shapes) // FEW][:FEW], folder / "few")
        collections = {"few": few, "many": unpack(shapes, folder / "many", copies)}
        for engine in ENGINES:  # compiles kernels, fills caches of files
            seconds(collections["few"], folder / "out", engine, command)
        for repeat in range(repeats):
            row: dict[str, float] = {}
            for engine in list(ENGINES) if repeat % 2 == 0 else list(ENGINES)[::-1]:
                for size, meshes in collections.items():
                    row[f"{engine}_{size}"] = seconds(meshes, folder / "out", engine, command)
            rows.append(row)
    return {"few": FEW, "many": many, "repeats": rows, **derived(rows, FEW, many)}


def derived(rows: list[dict[str, float]], few: int, many: int) -> dict[str, float]:
    """Medians over the repeats; overheads are ratios of the two engines in one repeat, less 1."""
    each = [
        {engine: (row[f"{engine}_many"] - row[f"{engine}_few"]) / (many - few) for engine in ENGINES} for row in rows
    ]
    begun = [
        {engine: row[f"{engine}_few"] - few * per[engine] for engine in ENGINES}
        for row, per in zip(rows, each, strict=True)
    ]
    return {
        "local_seconds_per_mesh": median(per["local"] for per in each),
        "ray_seconds_per_mesh": median(per["ray"] for per in each),
        "overhead_per_mesh": median(per["ray"] / per["local"] - 1 for per in each),
        "overhead_per_mesh_least": min(per["ray"] / per["local"] - 1 for per in each),
        "overhead_per_mesh_most": max(per["ray"] / per["local"] - 1 for per in each),
        "overhead_with_start": median(row["ray_many"] / row["local_many"] - 1 for row in rows),
        "local_start_seconds": median(start["local"] for start in begun),
        "ray_start_seconds": median(start["ray"] for start in begun),
    }


if __name__ == "__main__":
    main()
