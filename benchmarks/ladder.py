"""The lecture's ladder on the Princeton Shape Benchmark: each rung is trained on train, and measured on test once.

    python benchmarks/ladder.py --work ladder-psb --json results/ladder.json

An interrupted run continues where it stopped if --work names a folder; the time is that of all runs together.
``make pictures`` draws the curves of the results.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from measure import arguments, save, shapecnn, table, use_cores

FIGURES = ("mean_class_accuracy", "mAP_macro", "accuracy", "mAP", "NN")


def main() -> None:
    options = arguments(__doc__ or "", work="", rung="")
    use_cores(2)
    source = options.data / "psb.zip"
    rungs = [word for name in options.rung.split() for word in ("--rung", name)]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(options.work or scratch)
        clock = out / "benchmark-clock.json"
        before = json.loads(clock.read_text()) if clock.exists() else {"seconds": 0.0, "finished": False}
        started, finished = time.perf_counter(), False
        try:
            answer = shapecnn("ladder", "--data", source, "--up", "y", "--out", out, *rungs)
            finished = not rungs
        finally:
            seconds = before["seconds"]
            if not before["finished"]:  # later runs only measure and draw again
                seconds += time.perf_counter() - started
                out.mkdir(parents=True, exist_ok=True)
                clock.write_text(json.dumps({"seconds": seconds, "finished": finished}))
    rows = [
        {
            **rung,
            "figures": {name: model["figures"][name] for name in FIGURES},
            "pr11": model["pr11"],
            "parameters": model["parameters"],
            "feature_size": model["feature_size"],
            "seconds_per_shape": model["seconds_per_shape"],
        }
        for rung, model in zip(answer["rungs"], answer["comparison"]["models"], strict=True)
    ]
    comparison = answer["comparison"]
    figures = {"shapes": comparison["count"], "retrieval": comparison["retrieval"], "seconds": seconds, "rows": rows}
    print(table(["rung", *FIGURES], [[r["title"], *(_percent(r, n) for n in FIGURES)] for r in rows]))
    save(options.json, figures, [source])


def _percent(row: dict[str, dict[str, dict[str, float | None]]], name: str) -> str:
    value = row["figures"][name]["value"]
    return "" if value is None else f"{value:.1%}"


if __name__ == "__main__":
    main()
