"""Wall time and peak memory of whole commands on psb.zip, on two cores.

    python benchmarks/commands.py --json results/commands.json

Memory is the proportional set size, summed over all processes of a command and sampled every 50 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from measure import arguments, save, table, use_cores


def run(*words: str) -> dict[str, Any]:
    """Seconds, peak memory in MB and the JSON answer of one command."""
    started = time.perf_counter()
    peak = 0
    with subprocess.Popen([sys.executable, "-m", "shapecnn", *words], stdout=subprocess.PIPE, text=True) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory(root))
            time.sleep(0.05)
        text = process.stdout.read() if process.stdout else ""
    answer = json.loads(text) if text.startswith(("{", "[")) else None
    return {
        "seconds": time.perf_counter() - started,
        "peak_mb": peak / 1e6,
        "status": process.returncode,
        "answer": answer,
    }


def _memory(root: psutil.Process) -> int:
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def main() -> None:
    options = arguments(__doc__ or "")
    use_cores(2)
    rows = []
    for collection, up in (("psb.zip", "y"), ("psb-unaligned.zip", "z"), ("modelnet-samples", "z")):
        with tempfile.TemporaryDirectory() as scratch:
            path, out = str(options.data / collection), Path(scratch)
            commands = {
                "render": ["render", path, str(out / "views"), "--up", up, "--json"],
                "voxelize": ["voxelize", path, str(out / "grids"), "--up", up, "--json"],
                "index": ["index", path, str(out / "index"), "--up", up, "--json"],
            }
            for name, words in commands.items():
                done = run(*words)
                failed, seconds, peak = done["answer"]["failed"], done["seconds"], done["peak_mb"]
                count = done["answer"].get("written", done["answer"].get("added"))
                rows.append(
                    (name, collection, count, failed, round(seconds, 2), round(count / seconds, 1), round(peak))
                )
    helps = sorted(run("--help")["seconds"] for _ in range(9))
    rows.append(("--help", "-", 0, 0, round(helps[4], 3), 0, 0))
    headings = ("command", "collection", "meshes", "failed", "seconds", "meshes_per_second", "peak_mb")
    print(table(headings, rows))
    figures = [dict(zip(headings, row, strict=True)) for row in rows]
    save(options.json, {"rows": figures}, [options.data / "psb.zip", options.data / "psb-unaligned.zip"])


if __name__ == "__main__":
    main()
