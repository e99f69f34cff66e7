"""What each stage costs for one mesh: CPU time, memory and storage. docs/scale.md estimates clusters from it.

    python benchmarks/costs.py --work /tmp/costs --json results/costs.json

The meshes are those of the Princeton Shape Benchmark, all 953. Each stage runs twice on few meshes, first to fill the
caches (compiled code, networks converted for the engine), and then ``--repeats`` times on all; each time into a new
folder, and figures are medians. From the CPU time of all processes on few meshes and on all follow that of one mesh
(``cpu_ms``) and that of a start (``start_seconds``). ``bytes`` are those of the folder for each mesh.

``listing`` is what each job pays for a shape of another shard: the CPU time and the memory of a command whose shard is
nearly empty, by the difference between collections (CSV) of two sizes.
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
LISTED = (200_000, 1_000_000)
GRIDS = "{network: {kind: shapenets}, validation: {folds: 0, select: last}, stages: [{kind: lda, name: closed}]}\n"


def size(folder: Path) -> int:
    """Bytes of all its files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def stage(name: str, words: list[str | Path], few: Path, source: Path, work: Path, repeats: int) -> dict[str, Any]:
    """One command on few meshes and on all."""
    command, *flags = words
    out = work / "out"
    steps = []
    for number in range(repeats + 2):
        shutil.rmtree(out, ignore_errors=True)
        step = Step(name, 1)
        answer = step.run([command, few if number < 2 else source, out, *flags, "--up", "y", "--skip-errors"], out)
        step.meshes = answer.get("written", answer.get("added"))
        steps.append(step)
    _, first, *others = steps
    meshes, cpu = others[0].meshes, median(step.cpu for step in others)
    each = (cpu - first.cpu) / (meshes - first.meshes)
    row = {
        "stage": name,
        "meshes": meshes,
        "cpu_ms": round(1000 * each, 2),
        "start_seconds": round(first.cpu - first.meshes * each, 2),
        "peak_mb": median(step.row()["peak_mb"] for step in others),
        "bytes": size(out) / meshes,
    }
    shutil.rmtree(out)
    print(row, flush=True)
    return row


def listing(work: Path) -> dict[str, float]:
    """What a job pays for each shape that is not of its shard."""
    jobs = []
    for count in LISTED:
        file = work / f"{count}.csv"
        rows = (f"part-{number // 1000}/{number:08d}.off,class{number % 40},train\n" for number in range(count))
        file.write_text("path,label,split\n" + "".join(rows))
        step = Step("listing", count)
        step.run(["voxelize", file, work / "out", "--shard", "1/9999", "--skip-errors", "--workers", "1"])
        shutil.rmtree(work / "out", ignore_errors=True)
        jobs.append(step)
    few, many = jobs
    added = many.meshes - few.meshes
    return {"cpu_us": round(1e6 * (many.cpu - few.cpu) / added, 1), "bytes": round((many.peak - few.peak) / added)}


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
            ("… small rows, no pictures", ["index", "--model", "@imagenet", "--rows", "small", "--no-pictures"]),
            ("index, mvcnn-psb", ["index", "--model", work / "mvcnn-psb"]),
            ("index, shapenets", ["index", "--model", work / "shapenets"]),
        ]
        for name, words in stages:
            rows.append(stage(name, words, few, source, work, options.repeats))
        listed = listing(work)
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    print(listed)
    save(options.json, {"rows": rows, "listing": listed}, [source])


if __name__ == "__main__":
    main()
