"""Seconds per epoch of a volumetric network with one and with two processes of one thread each.

    python benchmarks/processes.py --json results/processes.json

Both train the network of ``shapecnn demo`` on grids of 96 generated shapes, in batches of 32: one as usual, two by
torchrun. They run on as many cores as there are processes (on Linux), so that each has one thread. ``seconds`` is the
fastest epoch but for the first, which also reads the grids. Other programs on the machine slow down two processes more
than one, so measure on a quiet one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import arguments, save, shapecnn, table

from shapecnn.sources.shapes import CLASSES, make_shape, write_off

PER_CLASS, COUNT = 12, 8
EPOCHS = 5
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def make_grids(folder: Path) -> Path:
    """Grids of generated shapes of eight classes."""
    for label in CLASSES[:COUNT]:
        for seed in range(PER_CLASS):
            path = folder / "meshes" / label / f"{seed:02d}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(write_off(make_shape(label, seed)))
    shapecnn("voxelize", folder / "meshes", folder / "grids")
    return folder / "grids"


def measured(processes: int, grids: Path, out: Path) -> dict[str, Any]:
    """Seconds of the fastest epoch, and the losses of all epochs."""
    launch = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"] if processes > 1 else []
    words = ["train", "demo-shapenets", "--data", grids, "--out", out, "--device", "cpu", "--quiet"]
    changes = ["--set", f"stages.grids.epochs={EPOCHS}", "--set", "precision=float32"]
    command = [sys.executable, "-m", *launch, "shapecnn", *map(str, words), *changes]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:processes])  # what is started inherits them
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | THREADS)
    os.sched_setaffinity(0, cores)
    epochs = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    seconds = min(epoch["seconds"] for epoch in epochs[1:])
    return {"processes": processes, "seconds": seconds, "losses": [epoch["loss"] for epoch in epochs]}


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as folder:
        grids = make_grids(Path(folder))
        rows = [measured(processes, grids, Path(folder) / f"run{processes}") for processes in (1, 2)]
    ratio = rows[0]["seconds"] / rows[1]["seconds"]
    print(table(["processes", "seconds per epoch"], [[row["processes"], row["seconds"]] for row in rows]))
    print(f"Two processes are {ratio:.2f} times as fast as one.")
    save(options.json, {"rows": rows, "ratio": ratio}, [])


if __name__ == "__main__":
    main()
