"""Accuracy and retrieval of a shipped config: from files to figures by the commands alone, on two cores.

    python benchmarks/recognition.py --config mvcnn-psb --json results/recognition/mvcnn-psb.json

Views are cross-validated over five folds of the train split; grids are measured on one fold, with three training seeds.
If the data has a test split, one more training on the whole train split is evaluated there, once. Retrieval is by class
scores, by the penultimate feature and by the learned metric, protocol mvcnn on the held-out shapes.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import arguments, save, shapecnn, summarize, table, use_cores

from shapecnn.settings.experiment import load_experiment


@dataclass(frozen=True)
class Plan:
    """source: file of the shared data.  prepare: the command that makes artefacts of it.  repeat: what differs between
    trainings.  test: whether the data has a test split."""

    source: str
    prepare: tuple[str, ...]
    repeat: tuple[dict[str, int], ...]
    test: bool = False


FOLDS = tuple({"validation.fold": fold} for fold in range(5))
SEEDS = tuple({"seed": seed} for seed in range(3))
GRIDS = ("data", "import", "{source}", "{out}", "--layout", "voxels-npz", "--skip-errors")
PLANS = {
    "mvcnn-psb": Plan("psb.zip", ("render", "{source}", "{out}", "--up", "y"), FOLDS, test=True),
    "mvcnn-adapter": Plan("psb.zip", ("render", "{source}", "{out}", "--up", "y"), FOLDS),
    "mvcnn-modelnet10": Plan(
        "modelnet10-views-train.zip", ("data", "import", "{source}", "{out}", "--layout", "views-by-shape"), FOLDS
    ),
    "voxresnet-modelnet10": Plan("modelnet10-voxels-train.npz", GRIDS, SEEDS),
    "shapenets-modelnet10": Plan("modelnet10-voxels-train.npz", GRIDS, SEEDS),
}
EVERYTHING = {"validation.folds": 0, "validation.select": "last"}
FEATURES = ("scores", "penultimate", "metric")
RETRIEVED = tuple(f"{figure}_{feature}" for figure in ("mAP_macro", "mAP") for feature in FEATURES)
MEANT = ("mean_class_accuracy", "accuracy", *RETRIEVED, "train_seconds")


def measure(config: str, data: Path, run: Path, changes: dict[str, Any], split: str) -> dict[str, Any]:
    """Train once, evaluate on one split."""
    assignments = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    started = time.perf_counter()
    trained = shapecnn("train", config, "--data", str(data), "--out", str(run), *assignments)
    seconds = time.perf_counter() - started
    shapecnn("metric", str(run), "--data", str(data))
    told = {
        feature: shapecnn("eval", str(run), "--data", str(data), "--split", split, "--feature", feature)
        for feature in FEATURES
    }
    by_scores = told["scores"]
    return {
        "changes": changes,
        "split": split,
        "shapes": by_scores["count"],
        "accuracy": by_scores["classification"]["accuracy"],
        "mean_class_accuracy": by_scores["classification"]["mean_class_accuracy"],
        **{
            f"{figure}_{feature}": told[feature]["retrieval"][figure]
            for figure in ("mAP_macro", "mAP")
            for feature in FEATURES
        },
        "ece": by_scores["classification"]["ece"],
        "intervals": {
            **{name: by_scores["intervals"][name] for name in ("mean_class_accuracy", "accuracy")},
            **{
                f"{figure}_{feature}": told[feature]["intervals"][figure]
                for figure in ("mAP_macro", "mAP")
                for feature in FEATURES
            },
        },
        "calibration": trained["calibration"],
        "epochs": trained["epochs"],
        "train_seconds": seconds,
    }


def main() -> None:
    options = arguments(__doc__ or "", config="mvcnn-psb", work="", set="", repeats=0)
    use_cores(2)
    config, plan = options.config, PLANS[options.config]
    tried = dict(pair.split("=") for pair in options.set.split())  # choices under trial, none for reported figures
    source = options.data / plan.source
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        data = work / plan.source.partition(".")[0]
        shapecnn(*(word.format(source=source, out=data) for word in plan.prepare))
        repeat = plan.repeat[: options.repeats or None]
        with tempfile.TemporaryDirectory(dir=work) as runs:
            rows = [
                measure(config, data, Path(runs) / str(i), {**tried, **change}, "val")
                for i, change in enumerate(repeat)
            ]
            final = None
            if plan.test and not options.repeats and not tried:
                final = measure(config, data, Path(runs) / "final", EVERYTHING, "test")
    headings = ("changes", "shapes", *MEANT)
    shown = [[row[key] for key in headings] for row in [*rows, *([final] if final else [])]]
    print(table(headings, shown))
    summary = summarize(rows, MEANT)
    print(json.dumps(summary, indent=2))
    figures = {
        "config": config,
        "config_hash": load_experiment(config).digest(),
        "seeds": {"training": load_experiment(config).seed, "division": load_experiment(config).validation.seed},
        "groups": load_experiment(config).validation.groups,
        "rows": rows,
        "summary": summary,
        "test": final,
    }
    save(options.json, figures, [source])


if __name__ == "__main__":
    main()
