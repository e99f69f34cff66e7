"""What happens to finished and unfinished work when a command is killed, the disk is full, a file is gone or damaged,
a worker dies, somebody's files are in the way: each fault is provoked from outside, on whole commands, and has to leave
nothing behind.

    python scripts/faults --kills 100 --json results/faults-full.json

Exit status 1 if any try fails. Runs two commands at a time, each on one core; mounts need root, without which those
rows are left out and say so.
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

PARTS = (planted, names, removals, workers, disks, damage, kills)  # the longest last


def main() -> None:
    options = arguments(__doc__ or "", kills=5, seed=0, cores=2, only="")
    started = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        folder = Path(scratch)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # of converted networks
        os.sched_setaffinity(0, cores[:1])  # as every try
        shop = open_workshop(folder)
        os.sched_setaffinity(0, cores)
        rows = [row for part in PARTS for row in part.rows(shop, options.kills) if re.search(options.only, row.name)]
        told = run_rows(rows, folder, options.seed, cores)
    failed = [row for row in told if row["failures"]]
    seconds = round(time.monotonic() - started)
    print(f"{sum(row['passed'] for row in told)} of {sum(row['tries'] for row in told)} tries, in {seconds} s")
    save(options.json, {"kills": options.kills, "seed": options.seed, "seconds": seconds, "rows": told}, [])
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
