"""Throw generated inputs at the readers, the rasteriser and the voxelizer, and see that none breaks them.

    python scripts/fuzz.py --inputs 100000 --json results/fuzz.json

Each input has to be read, or refused in one sentence, within the limits of time and memory of tests/fuzz/batches.py.
They are worked on in processes of their own, two hundred at a time, so that a crash or a hang is seen too and laid on
the input that was at work. Inputs that broke something are kept in fuzz-findings/; the exit status is 1 if there are
any. The same --seed makes the same inputs.
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
TIMEOUT = 120.0  # seconds for a batch, most of which take five
MEMORY = 2.0  # GiB of data that a process may take
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
    """Batches of all targets by turns, each with a seed of its own."""
    numbers = itertools.count(seed * 1_000_000)
    shares = sum(target.share for target in TARGETS.values())
    pending = []
    for name, target in TARGETS.items():
        batches = -(-inputs * target.share // (shares * BATCH))
        pending += [(i / batches, Task(name, next(numbers), BATCH, folder)) for i in range(batches)]
    return [task for _, task in sorted(pending, key=lambda item: item[0])]


Found = tuple[str, str, bytes]
"""Target, what is wrong, and the input."""


def fuzz(inputs: int, seed: int, workers: int, folder: Path) -> tuple[list[dict[str, Any]], list[Found]]:
    """A row of figures for each target, and what was found."""
    sums = {name: Batch() for name in TARGETS}
    lost = {name: Counter[str]() for name in TARGETS}
    found: list[Found] = []

    def note(task: Task, batch: Batch) -> None:
        total = sums[task.target]
        total.outcomes += batch.outcomes
        total.digests |= batch.digests
        total.slowest, total.growth = max(total.slowest, batch.slowest), max(total.growth, batch.growth)
        for wrong, data in batch.findings:
            found.append((task.target, wrong, data))
            print(f"{task.target}: {wrong}", flush=True)

    again = []
    work = tasks(inputs, seed, folder)
    for done, (task, batch) in enumerate(_run(work, workers), start=1):
        if isinstance(batch, ItemError):
            again.append(task)  # another process may have eaten the machine's memory: only what happens twice counts
        else:
            note(task, batch)
        if done % 25 == 0:
            print(f"{sum(b.outcomes.total() for b in sums.values())} inputs, {len(found)} findings", flush=True)
    for task, batch in _run(again, 1):
        if isinstance(batch, ItemError):
            lost[task.target]["hangs" if batch.kind == "timeout" else "crashes"] += 1
            found.append((task.target, str(batch), task.note.read_bytes() if task.note.exists() else b""))
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
    return rows, found


def _run(work: list[Task], workers: int) -> Iterator[tuple[Task, Batch | ItemError]]:
    return pool.run(run, work, pool.Workers(workers, TIMEOUT, MEMORY))


def main() -> None:
    options = arguments(__doc__ or "", inputs=100_000, seed=0, workers=2)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shapecnn-fuzz-") as folder:
        rows, found = fuzz(options.inputs, options.seed, options.workers, Path(folder))
    seconds = time.monotonic() - started
    print(
        table(HEADINGS, [[sum(v.values()) if isinstance(v := row[h], dict) else v for h in HEADINGS] for row in rows])
    )
    for number, (target, wrong, data) in enumerate(found):
        kept = Path("fuzz-findings") / f"{re.sub(r'[^a-z]+', '-', target)}-{number:04}"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(data)
        print(f"{kept}: {wrong}", file=sys.stderr)
    limits = {"seconds": SECONDS, "growth_mb": GROWTH, "data_gib": MEMORY, "batch_seconds": TIMEOUT}
    totals = {
        key: sum(row[key] for row in rows) for key in ("inputs", "distinct", "read", "crashes", "hangs", "findings")
    }
    figures = {"seed": options.seed, **totals, "seconds": round(seconds, 1), "limits": limits, "rows": rows}
    save(options.json, figures, [])
    print(f"{totals['inputs']} inputs in {seconds / 60:.1f} minutes, {len(found)} findings")
    sys.exit(bool(found) or totals["inputs"] < options.inputs)


if __name__ == "__main__":
    main()
