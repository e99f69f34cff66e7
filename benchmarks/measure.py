"""Common parts of all benchmarks: options, commands, and results as a table and as JSON.

The JSON file also describes the machine, the versions and the data, so that the figures can be checked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shapecnn.meshes.collection import list_shapes
from shapecnn.storage.reading import sha256

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["numpy", "numba", "torch", "timm", "openvino", "faiss-cpu", "trimesh", "open3d", "pyrender", "shapecnn"]


def arguments(description: str, **options: Any) -> argparse.Namespace:
    """``--data`` and ``--json``, and what else a benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    data = os.environ.get("SHAPECNN_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of psb.zip (default: $SHAPECNN_DATA)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def use_cores(count: int) -> None:
    """Run on this many cores from here on, so that figures of machines with more can be compared."""
    cores = sorted(os.sched_getaffinity(0))[:count]
    for thread in os.listdir("/proc/self/task"):  # also those that numpy has started
        os.sched_setaffinity(int(thread), cores)
    threadpool_limits(count)  # two threads of a product of matrices would wait for each other on one core


def shapecnn(*words: str | Path) -> Any:
    """The answer of one command; its messages go to stderr."""
    command = [sys.executable, "-m", "shapecnn", *map(str, words), "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def save(path: Path | None, figures: dict[str, Any], data: Sequence[Path]) -> None:
    """Write the figures with commit, command, data hashes and environment."""
    if path is None:
        return
    record = {
        "schema_version": 1,
        "command": shlex.join(["python", *map(_anywhere, sys.argv)]),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "shapecnn", "benchmarks")),
        "data": {file.name: sha256(file.read_bytes()) for file in data},
        "environment": environment(),
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")


def _anywhere(word: str) -> str:
    """A word of a command line as anybody can type it: paths seen from the project's root, temporary ones by name."""
    path = Path(word)
    if path.is_absolute() or word == sys.argv[0]:
        seen = os.path.relpath(path.resolve(), ROOT)
        return seen if not seen.startswith("../..") and not seen.startswith("../tmp") else path.name
    return word


def environment() -> dict[str, Any]:
    """Processor, cores in use, operating system, Python and package versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text in columns."""
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def summarize(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation of each key over the rows; None of a single one."""
    return {
        key: {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else None}
        for key in keys
        for values in [[row[key] for row in rows]]
    }


def unpacked(psb: Path, folder: Path, count: int) -> Path:
    """A folder of so many meshes of the train split, spread over it."""
    shapes = [shape for shape in list_shapes(psb) if shape.split == "train"]
    for row in np.unique(np.linspace(0, len(shapes) - 1, count).astype(int)):
        place = folder / shapes[row].id
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(shapes[row].read())
    return folder


def mean_precision(similarity: NDArray[Any], labels: NDArray[Any]) -> float:
    """mAP of the first shapes as queries, each without itself; those without another of their class are left out."""
    values = []
    for row, scores in enumerate(similarity):
        order = np.argsort(-scores, kind="stable")
        right = labels[order[order != row]] == labels[row]
        if right.any():
            places = np.flatnonzero(right) + 1
            values.append(np.mean(np.arange(1, len(places) + 1) / places))
    return float(np.mean(values))


def _processor() -> str:
    info = Path("/proc/cpuinfo").read_text()
    name = next(
        (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "unknown"
    )
    features = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in info]
    return f"{name} ({', '.join(features) or 'no AVX-512'})"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
