"""Fuzz the readers, the rasterizer and the voxelizer with generated inputs.

    python scripts/fuzz.py --inputs 100000 --json results/fuzz.json

Each input must be read or refused with one sentence, within the limits of time and memory of tests/fuzz/batches.py.
Worker processes take batches of two hundred inputs, so that crashes and hangs are caught and attributed to their input.
Inputs that broke something are saved in fuzz-findings/, and the exit status is then 1. The same --seed generates the
same inputs.
"""

from __future__ import annotations

import itertools
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]  # for the workers too

from measure import arguments, save, table  # noqa: E402

from shapecnn.errors import ItemError  # noqa: E402
from shapecnn.workers import pool  # noqa: E402
from tests.fuzz.batches import GROWTH, SECONDS, Batch, Task, run  # noqa: E402
from tests.fuzz.targets import TARGETS  # noqa: E402

BATCH = 200
TIMEOUT = 120.0  # seconds for a batch; most batches take five
MEMORY = 2.0  # GiB of memory for each process
HEADINGS = (
    "target",
    "inputs",
    "distinct",
    "read",
    "refused",
    "crashes",
    "hangs",
    "findings",
    "slowest_seconds",
    "peak_mb",
)


def tasks(inputs: int, seed: int, folder: Path) -> list[Task]:
    """Return the batches of all targets in alternation, each with its own seed.

    Args:
        inputs: Number of inputs of all targets together.
        seed: Seed of the generated inputs.
        folder: Folder in which a worker notes its current input.

    Returns:
        Tasks of ``BATCH`` inputs each.
    """
    numbers = itertools.count(seed * 1_000_000)
    shares = sum(target.share for target in TARGETS.values())
    pending = []
    for name, target in TARGETS.items():
        batches = -(-inputs * target.share // (shares * BATCH))
        pending += [(i / batches, Task(name, next(numbers), BATCH, folder)) for i in range(batches)]
    return [task for _, task in sorted(pending, key=lambda item: item[0])]


Finding = tuple[str, str, bytes]
"""Target, description of the fault, and the input."""


def fuzz(inputs: int, seed: int, workers: int, folder: Path) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Run all batches.

    Args:
        inputs: Number of inputs of all targets together.
        seed: Seed of the generated inputs.
        workers: Number of worker processes.
        folder: Folder in which a worker notes its current input.

    Returns:
        A row of figures for each target, and the findings.
    """
    sums = {name: Batch() for name in TARGETS}
    lost = {name: Counter[str]() for name in TARGETS}
    findings: list[Finding] = []

    def note(task: Task, batch: Batch) -> None:
        total = sums[task.target]
        total.outcomes += batch.outcomes
        total.digests |= batch.digests
        total.slowest, total.growth = max(total.slowest, batch.slowest), max(total.growth, batch.growth)
        for fault, data in batch.findings:
            findings.append((task.target, fault, data))
            print(f"{task.target}: {fault}", flush=True)

    retries = []
    work = tasks(inputs, seed, folder)
    for count, (task, batch) in enumerate(_run(work, workers), start=1):
        if isinstance(batch, ItemError):
            retries.append(task)  # other processes may have used up the memory: only repeated failures count
        else:
            note(task, batch)
        if count % 25 == 0:
            print(f"{sum(b.outcomes.total() for b in sums.values())} inputs, {len(findings)} findings", flush=True)
    for task, batch in _run(retries, 1):
        if isinstance(batch, ItemError):
            lost[task.target]["hangs" if batch.kind == "timeout" else "crashes"] += 1
            findings.append((task.target, str(batch), task.note.read_bytes() if task.note.exists() else b""))
        else:
            note(task, batch)
    rows = []
    for name, total in sums.items():
        refused = {kind: count for kind, count in sorted(total.outcomes.items()) if kind.startswith("refused")}
        rows.append({
            "target": name, "inputs": total.outcomes.total(), "distinct": len(total.digests),
            "read": total.outcomes["read"], "refused": {kind.split(": ")[1]: count for kind, count in refused.items()},
            "crashes": lost[name]["crashes"], "hangs": lost[name]["hangs"], "findings": total.outcomes["finding"],
            "slowest_seconds": round(total.slowest, 3), "peak_mb": round(total.growth, 1),
        })  # fmt: skip
    return rows, findings


def _run(work: list[Task], workers: int) -> Iterator[tuple[Task, Batch | ItemError]]:
    return pool.run(run, work, pool.Workers(workers, TIMEOUT, MEMORY))


def main() -> None:
    options = arguments(__doc__ or "", inputs=100_000, seed=0, workers=2)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shapecnn-fuzz-") as folder:
        rows, findings = fuzz(options.inputs, options.seed, options.workers, Path(folder))
    seconds = time.monotonic() - started
    print(
        table(HEADINGS, [[sum(v.values()) if isinstance(v := row[h], dict) else v for h in HEADINGS] for row in rows])
    )
    for number, (target, fault, data) in enumerate(findings):
        file = Path("fuzz-findings") / f"{re.sub(r'[^a-z]+', '-', target)}-{number:04}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        print(f"{file}: {fault}", file=sys.stderr)
    limits = {"seconds": SECONDS, "growth_mb": GROWTH, "data_gib": MEMORY, "batch_seconds": TIMEOUT}
    totals = {
        key: sum(row[key] for row in rows) for key in ("inputs", "distinct", "read", "crashes", "hangs", "findings")
    }
    figures = {"seed": options.seed, **totals, "seconds": round(seconds, 1), "limits": limits, "rows": rows}
    save(options.json, figures, [])
    print(f"{totals['inputs']} inputs in {seconds / 60:.1f} minutes, {len(findings)} findings")
    sys.exit(bool(findings) or totals["inputs"] < options.inputs)


if __name__ == "__main__":
    main()
