"""What each stage costs for one mesh: CPU time, memory and storage. docs/scale.md estimates clusters from it.

    python benchmarks/costs.py --work /tmp/costs --json results/costs.json

The meshes are those of the Princeton Shape Benchmark, all 953. Each stage runs once to fill the caches (compiled
code, networks converted for the engine) and then ``--repeats`` times into new folders; figures are medians. ``cpu_ms``
is the time of all processes for each mesh, with the start of the command, which ``start_seconds`` of CPU time tells by
a run on few meshes. ``bytes`` are those of the folder for each mesh.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from measure import arguments, save, shapecnn, table, unpacked, use_cores
from shards import Step

FEW = 20
GRIDS = "{network: {kind: shapenets}, validation: {folds: 0, select: last}, stages: [{kind: lda, name: closed}]}\n"


def size(folder: Path) -> int:
    """Bytes of all its files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def stage(name: str, words: list[str | Path], few: Path, source: Path, work: Path, repeats: int) -> dict[str, Any]:
    """One command on few meshes and on all."""
    command, *flags = words
    out = work / "out"
    rows = []
    start = 0.0
    for number in range(repeats + 2):
        shutil.rmtree(out, ignore_errors=True)
        step = Step(name, 1)
        answer = step.run([command, few if number < 2 else source, out, *flags, "--up", "y", "--skip-errors"], out)
        if number == 1:
            start = step.cpu
        step.meshes = answer.get("written", answer.get("added"))
        if number > 1:
            rows.append({**step.row(), "bytes": size(out) / step.meshes})
    shutil.rmtree(out)
    keys = ("meshes_per_second", "cpu_ms", "peak_mb", "bytes")
    row = {"stage": name, "meshes": step.meshes, "start_seconds": round(start, 2)}
    row |= {key: median(each[key] for each in rows) for key in keys}
    print(row, flush=True)
    return row


def main() -> None:
    options = arguments(__doc__ or "", work="", repeats=3)
    use_cores(2)
    source = options.data / "psb.zip"
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        work.mkdir(parents=True, exist_ok=True)
        few = unpacked(source, work / "few", FEW)
        views, grids, config = work / "views", work / "grids", work / "grids.yaml"
        config.write_text(GRIDS)
        shapecnn("render", source, views, "--up", "y", "--skip-errors")
        shapecnn("voxelize", source, grids, "--up", "y", "--skip-errors")
        rows = []
        for name, given, data in (("mvcnn-psb", "mvcnn-psb", views), ("shapenets", str(config), grids)):
            if not (work / name).exists():
                shapecnn("train", given, "--data", data, "--out", work / name, "--set", "validation.folds=0")
        stages: list[tuple[str, list[str | Path]]] = [
            ("render", ["render"]),
            ("voxelize", ["voxelize"]),
            ("index, @imagenet", ["index", "--model", "@imagenet"]),
            ("index, mvcnn-psb", ["index", "--model", work / "mvcnn-psb"]),
            ("index, shapenets", ["index", "--model", work / "shapenets"]),
        ]
        for name, words in stages:
            rows.append(stage(name, words, few, source, work, options.repeats))
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    save(options.json, {"rows": rows}, [source])


if __name__ == "__main__":
    main()
