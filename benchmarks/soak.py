"""Long runs: check that memory, open files and processes do not grow with the number of meshes.

    python benchmarks/soak.py --json results/soak.json

`render` and `voxelize` process generated meshes; `index` processes some of them with two small trained runs, one on
grids and one on pictures. Each command runs in its own process, on two cores. The whole process tree is sampled every
second: memory (proportional set size), open files, number of processes. The exit status is 1 if a row fails:

- memory: the line through the samples of allocated memory, after the first fifth of the meshes, rises by more than 5 %
  of its level plus what a command must keep of each mesh until it publishes (measured: the same rows and hashes, read
  back);
- open files and processes: the minimum of the last fifth exceeds the minimum of the second fifth;
- processes: a process of the tree is alive five seconds after the command ended;
- files: temporary files are left in TMPDIR;
- meshes: a mesh failed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measure import arguments, save, table, use_cores

from shapecnn.artefacts.manifest import read_manifest
from shapecnn.search.index import read_index
from shapecnn.sources.shapes import CLASSES, make_shape, write_off
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK
from shapecnn.workers import pool

POINTS = 20
"""Of each curve, in the record."""

RUN = """
network: {network}
validation: {{folds: 0, select: last}}
stages: [{{kind: lda, name: classifier}}]
"""
NETWORKS = {
    "grids": "{kind: voxresnet, width: 4}",
    "pictures": "{kind: mvcnn, backbone: test_efficientnet, weights: none}",
}
SEEN = {
    "grids": ("voxelize", ["--resolution", "22", "--padding", "1"]),
    "pictures": ("render", ["--size", "64", "--samples", "1"]),
}
TRAINED_ON = 20 * len(CLASSES)


@dataclass(frozen=True)
class Sample:
    """What the processes of a command held between them when it had done so many meshes."""

    meshes: int
    memory: int  # bytes they allocated; code of libraries is shared with whatever else the machine runs
    resident: int  # bytes, code included
    handles: int
    processes: int


def write_meshes(collection: Path, start: int, stop: int) -> None:
    """Append the generated meshes of these numbers to a zip, by class and split."""
    with (
        zipfile.ZipFile(collection, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        closing(pool.run(_off, range(start, stop))) as made,
    ):
        for number, data in made:
            assert isinstance(data, bytes), data
            split = "test" if number // len(CLASSES) % 4 == 3 else "train"
            archive.writestr(f"{CLASSES[number % len(CLASSES)]}/{split}/{number:05}.off", data)


def _off(number: int) -> bytes:
    return write_off(make_shape(CLASSES[number % len(CLASSES)], number // len(CLASSES)))


def watch(words: list[str], out: Path, interval: float = 1.0) -> dict[str, Any]:
    """Run a command to its end and look at all its processes every ``interval`` seconds."""
    started = time.perf_counter()
    samples: list[Sample] = []
    seen: set[psutil.Process] = set()
    peak = 0
    command = [sys.executable, "-m", "shapecnn", *words, "--json"]
    temporary = out.parent / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    # Not a pipe, whose end would not come before that of whatever is left behind.
    with tempfile.TemporaryFile() as stdout, subprocess.Popen(command, stdout=stdout, env=environment) as process:
        root = psutil.Process(process.pid)
        done = lines_of(out / WORK / "journal.jsonl")
        while process.poll() is None:
            tree = [root, *root.children(recursive=True)]
            seen.update(tree)
            sample = Sample(next(done), *map(sum, zip(*map(usage, tree), strict=True)))
            peak = max(peak, sample.resident)
            if sample.meshes:
                samples.append(sample)
            time.sleep(interval)
        seconds = time.perf_counter() - started
        stdout.seek(0)
        answer = json.loads(stdout.read() or b"{}")
    _, left = psutil.wait_procs(seen, timeout=5)
    files = [path.name for path in temporary.iterdir()]
    shutil.rmtree(temporary)
    return {
        "samples": samples,
        "peak": peak,
        "seconds": seconds,
        "status": process.returncode,
        "answer": answer,
        "left_behind": len(left),
        "files": files,
    }


def usage(process: psutil.Process) -> tuple[int, int, int, int]:
    """Proportional set size in bytes, of what is no file and of all; open files; and 1. Zeros once it has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
        size = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return size["Pss_Anon"] + size["Pss_Shmem"], size["Pss"], process.num_fds(), 1
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return 0, 0, 0, 0


def lines_of(journal: Path) -> Iterator[int]:
    """How many meshes a journal names so far, each time it is asked."""
    while not journal.exists():
        yield 0
    with journal.open("rb") as file:
        meshes = -1  # the first line says what the run is
        while True:
            while block := file.read(1 << 20):
                meshes += block.count(b"\n")
            yield max(meshes, 0)


def judge(watched: dict[str, Any], meshes: int, held: int) -> dict[str, Any]:
    """The figures of one command over ``meshes``, whose rows take ``held`` bytes in memory, and whether they pass."""
    samples = watched["samples"]
    steady = [sample for sample in samples if meshes / 5 <= sample.meshes < meshes]  # then the workers are gone
    second = [sample for sample in steady if sample.meshes < 2 * meshes / 5]
    last = [sample for sample in steady if sample.meshes >= 4 * meshes / 5]
    slope, level = np.polyfit([sample.meshes for sample in steady], [sample.memory for sample in steady], 1)
    growth, allowed = slope * 0.8 * meshes, 0.8 * held + 0.05 * (level + slope * meshes / 5)
    handles, processes = (
        [min(getattr(sample, name) for sample in part) for part in (second, last)] for name in ("handles", "processes")
    )
    answer = watched["answer"]
    passed = {
        "memory": growth <= allowed,
        "handles": handles[1] <= handles[0],
        "processes": processes[1] <= processes[0] and not watched["left_behind"],
        "files": not watched["files"],
        "meshes": answer["failed"] == 0 and answer.get("written", answer.get("added")) == meshes,
    }
    kept = [samples[i] for i in np.linspace(0, len(samples) - 1, min(POINTS, len(samples))).astype(int)]
    return {
        "meshes": meshes,
        "seconds": round(watched["seconds"], 1),
        "meshes_per_second": round(meshes / watched["seconds"], 1),
        "peak_mb": round(watched["peak"] / 1e6, 1),
        "slope_mb_per_10000": round(float(slope) * 1e4 / 1e6, 2),
        "growth_mb": round(float(growth) / 1e6, 2),
        "allowed_mb": round(float(allowed) / 1e6, 2),
        "rows_mb": round(held / 1e6, 2),
        "handles": handles,
        "processes": processes,
        "left_behind": watched["left_behind"],
        "files_left": watched["files"],
        "passed": {name: bool(value) for name, value in passed.items()},
        "samples": len(samples),
        "curve": [
            {"meshes": s.meshes, "mb": round(s.memory / 1e6, 1), "handles": s.handles, "processes": s.processes}
            for s in kept
        ],
    }


def artefact_rows(out: Path) -> int:
    """Bytes of memory that the manifest's rows and the artefacts' hashes take."""
    return _size({entry.id: entry for entry in read_manifest(out)}) + _size(open_sealed(out, "").sums)


def index_rows(out: Path) -> int:
    """Bytes of memory that the rows of an index take without what was computed."""
    return _size({item.id: item for item in read_index(out).shapes})


def _size(rows: Mapping[str, Any]) -> int:
    parts = [part for row in rows.values() for part in ([row] if isinstance(row, str) else [row, *astuple(row)])]
    once = {id(part): part for part in [*rows, *parts]}
    return sys.getsizeof(rows) + sum(map(sys.getsizeof, once.values()))


def main() -> None:
    options = arguments(__doc__ or "", meshes=50_000, indexed=20_000)
    use_cores(2)
    rows: dict[str, dict[str, Any]] = {}

    def soak(name: str, command: str, flags: list[str], meshes: int, rows_held: Callable[[Path], int]) -> None:
        out = folder / name
        watched = watch([command, str(collection), str(out), *flags], out)
        if watched["status"] != 0 or not watched["samples"]:
            sys.exit(f"{name} ended with status {watched['status']} after {watched['seconds']:.0f} s.")
        rows[name] = {
            "options": shlex.join(flags).replace(f"{folder}/", ""),
            **judge(watched, meshes, rows_held(out)),
        }
        print(name, {key: value for key, value in rows[name].items() if key != "curve"}, flush=True)
        shutil.rmtree(out)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        collection = folder / "meshes.zip"
        write_meshes(collection, 0, TRAINED_ON)
        runs = {name: train(folder, collection, name) for name in SEEN}
        write_meshes(collection, TRAINED_ON, options.indexed)
        for name, run in runs.items():
            soak(f"index, {name}", "index", ["--model", str(run)], options.indexed, index_rows)
        write_meshes(collection, options.indexed, options.meshes)
        for command, flags in SEEN.values():
            soak(command, command, flags, options.meshes, artefact_rows)
    headings = ("meshes", "seconds", "peak_mb", "slope_mb_per_10000", "growth_mb", "allowed_mb", "handles", "processes")
    print(table(["command", *headings], [[name, *(row[key] for key in headings)] for name, row in rows.items()]))
    save(options.json, {"rows": rows}, [])
    failed = [f"{name}: {what}" for name, row in rows.items() for what, passed in row["passed"].items() if not passed]
    if failed:
        sys.exit("Failed: " + "; ".join(failed))


def train(folder: Path, collection: Path, name: str) -> Path:
    """A small run that sees pictures or grids of the meshes, already converted for the engine that will run it."""
    command, flags = SEEN[name]
    config, data, run = folder / f"{name}.yaml", folder / f"{name} to train on", folder / f"run of {name}"
    config.write_text(RUN.format(network=NETWORKS[name]))
    for words in (
        [command, str(collection), str(data), *flags],
        ["train", str(config), "--data", str(data), "--out", str(run)],
        ["index", str(collection), str(folder / f"first index of {name}"), "--model", str(run)],
    ):
        subprocess.run([sys.executable, "-m", "shapecnn", *words], check=True)
    return run


if __name__ == "__main__":
    main()
