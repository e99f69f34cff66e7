"""Fault injection: kills, full disks, lost and damaged files, dead workers and foreign files in the way.

Each fault is provoked from outside, on whole commands. Finished work must survive it, and the command must then finish
with the same bytes as an undisturbed run.

    python scripts/faults --kills 100 --json results/faults-full.json

The exit status is 1 if any try fails. Two commands run at a time, each on one core. Mounts need root; without it their
rows are skipped with a note.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import damage  # noqa: E402
import disks  # noqa: E402
import kills  # noqa: E402
import names  # noqa: E402
import planted  # noqa: E402
import removals  # noqa: E402
import workers  # noqa: E402
from measure import arguments, save  # noqa: E402
from rows import run_rows  # noqa: E402
from subjects import open_workshop  # noqa: E402

PARTS = (planted, names, removals, workers, disks, damage, kills)  # the slowest last


def main() -> None:
    options = arguments(__doc__ or "", kills=5, seed=0, cores=2, only="")
    start = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        folder = Path(scratch)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # cache of converted networks
        os.sched_setaffinity(0, cores[:1])  # one core, as for every try
        shop = open_workshop(folder)
        os.sched_setaffinity(0, cores)
        rows = [row for part in PARTS for row in part.rows(shop, options.kills) if re.search(options.only, row.name)]
        results = run_rows(rows, folder, options.seed, cores)
    failed = [row for row in results if row["failures"]]
    seconds = round(time.monotonic() - start)
    print(f"{sum(row['passed'] for row in results)} of {sum(row['tries'] for row in results)} tries, in {seconds} s")
    save(options.json, {"kills": options.kills, "seed": options.seed, "seconds": seconds, "rows": results}, [])
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
