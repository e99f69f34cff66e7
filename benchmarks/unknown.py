"""Detection of unknown classes by `predict`: some classes of psb are left out of training, by the commands alone.

    python benchmarks/unknown.py --json results/unknown.json

Each draw leaves out 8 of the 40 classes and trains on the train split of the others, except one fold. Known shapes are
those of that fold, unknown shapes the train split of the 8 classes; the test split is not read. AUROC is the chance
that a known shape is more familiar than an unknown one. On one core shared with other work, a draw took 14 minutes.
"""

from __future__ import annotations

import csv
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import arguments, save, shapecnn, summarize, table, use_cores
from sklearn.metrics import roc_auc_score

from shapecnn.settings.experiment import load_experiment
from shapecnn.training.calibration import rejection_threshold

CONFIG, LEFT_OUT, FOLDS = "mvcnn-psb", 8, 5
MEANT = ("auroc", "auroc_score", "told_unknown", "rejected", "rejected_crossfitted", "accuracy", "ece_before", "ece")


def main() -> None:
    options = arguments(__doc__ or "", draws=4, set="")
    use_cores(2)
    source = options.data / "psb.zip"
    with tempfile.TemporaryDirectory() as scratch:
        meshes = Path(scratch) / "meshes"
        zipfile.ZipFile(source).extractall(meshes)
        shapes = [path.relative_to(meshes).as_posix() for path in sorted(meshes.rglob("*/train/*.off"))]
        tried = dict(pair.split("=") for pair in options.set.split())  # none for reported figures
        rows = [measure(draw, meshes, shapes, Path(scratch) / str(draw), tried) for draw in range(options.draws)]
    print(table(("draw", *MEANT), [[row["draw"], *(round(row[key], 3) for key in MEANT)] for row in rows]))
    summary = summarize(rows, MEANT)
    print(json.dumps(summary, indent=2))
    figures = {
        "config": CONFIG,
        "config_hash": load_experiment(CONFIG).digest(),
        "changes": tried,
        "rows": rows,
        "summary": summary,
    }
    save(options.json, figures, [source])


def measure(draw: int, meshes: Path, shapes: list[str], work: Path, changes: dict[str, str]) -> dict[str, Any]:
    """Train without the classes of one draw; ask what the others are.  shapes: paths …/CLASS/train/NAME."""
    label = {shape: Path(shape).parts[-3] for shape in shapes}
    classes = sorted({*label.values()})
    left_out = sorted(np.random.default_rng(draw).choice(classes, LEFT_OUT, replace=False).tolist())
    collection = meshes / f"known-{draw}.csv"
    with collection.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("path", "label", "split"))
        lines.writerows((shape, label[shape], "train") for shape in shapes if label[shape] not in left_out)
    views, run = work / "views", work / "run"
    shapecnn("render", str(collection), str(views), "--up", "y")
    settings = {"validation.fold": draw % FOLDS, **changes}
    assignments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    trained = shapecnn("train", CONFIG, "--data", str(views), "--out", str(run), *assignments)

    def ask(chosen: list[str]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = shapecnn("predict", str(run), *(str(meshes / s) for s in chosen), "--up", "y")
        return answers

    held_out = json.loads((run / "split.json").read_text())["val"]
    strange = [shape for shape in shapes if label[shape] in left_out]
    known, unknown = ask(held_out), ask(strange)
    familiarity = np.array([answer["familiarity"] for answer in known])
    by_class = {
        name: {
            "shapes": len(chosen),
            "auroc": auroc(known, chosen, "familiarity"),
            "told_unknown": share_unknown(chosen),
        }
        for name in left_out
        for chosen in [[a for a, shape in zip(unknown, strange, strict=True) if label[shape] == name]]
    }
    return {
        "draw": draw,
        "changes": settings,
        "left_out": by_class,
        "known": len(known),
        "unknown": len(unknown),
        "auroc": auroc(known, unknown, "familiarity"),
        "auroc_score": auroc(known, unknown, "score"),
        "told_unknown": share_unknown(unknown),
        "rejected": share_unknown(known),
        "rejected_crossfitted": rejected_crossfitted(familiarity),
        "accuracy": trained["validation"]["accuracy"],
        "ece_before": trained["calibration"]["ece_before"],
        "ece": trained["calibration"]["ece"],
        "temperature": trained["calibration"]["temperature"],
        "train_seconds": trained["seconds"],
    }


def auroc(known: list[dict[str, Any]], unknown: list[dict[str, Any]], by: str) -> float:
    truth = np.repeat([1, 0], [len(known), len(unknown)])
    return float(roc_auc_score(truth, [answer[by] for answer in [*known, *unknown]]))


def share_unknown(answers: list[dict[str, Any]]) -> float:
    return float(np.mean([answer["unknown"] for answer in answers]))


def rejected_crossfitted(familiarity: np.ndarray) -> float:
    """The share below the threshold that the shapes of the other folds ask for."""
    fold = np.arange(len(familiarity)) % FOLDS
    below = [familiarity[k] < rejection_threshold(familiarity[fold != fold[k]]) for k in range(len(familiarity))]
    return float(np.mean(below))


if __name__ == "__main__":
    main()
