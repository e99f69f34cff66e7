"""How validation figures fall as near copies are kept on one side: a shipped config on folds of several kinds.

    python benchmarks/validation.py --config mvcnn-psb --json results/validation/mvcnn-psb.json

Every kind of folds is a value of ``validation.groups`` and ``validation.tolerance``; ``newest`` holds out the highest
file numbers. Closed-form configs are fitted to all five folds of each of five divisions, from views that the network
processes once. Networks that gradient descent trains are trained anew on the folds of one division, as many as
``--folds`` says.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import SHIPPED, Data, joined, kernels, opened, scored, views
from measure import arguments, save, shapecnn, summarize, table, use_cores
from recognition import PLANS

from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.validation import Validation
from shapecnn.training.grouping import group_shapes
from shapecnn.training.validation import figures_of

TOLERANCES = (0.1, 0.2, 0.3, 0.4)
CLOSED_FORM = ("mvcnn-psb", "mvcnn-modelnet10")
KINDS: dict[str, dict[str, Any]] = {
    "exact": {"groups": "exact"},
    **{f"near, {tolerance}": {"groups": "near", "tolerance": tolerance} for tolerance in TOLERANCES},
    "newest": {"groups": "exact", "hold_out": "newest"},
}
FIGURES = ("accuracy", "mean_class_accuracy", "mAP", "mAP_macro")


def closed_form(config: str, folder: Path, work: Path) -> dict[str, list[dict[str, float]]]:
    """The figures of each fold, by kind of folds."""
    data = opened(config, folder, KINDS["exact"], divisions=1)
    kernel = joined(each.unit() for each in kernels(views(data, config, work, size=SHIPPED), data.way).values())
    rows = {}
    for name, changes in KINDS.items():
        divided = opened(config, folder, changes, divisions=1 if "hold_out" in changes else 5)
        scores = scored(replace(data, folds=divided.folds), kernel)
        rows[name] = [_figures(divided, key, probabilities) for key, probabilities in scores.items()]
    return rows


def _figures(data: Data, key: tuple[int, int], probabilities: torch.Tensor) -> dict[str, float]:
    figures = figures_of(probabilities.log().float(), data.labels[data.folds[key][1]], data.classes)
    return {name: getattr(figures, name) for name in FIGURES}


def trained(config: str, folder: Path, work: Path, kinds: list[str], folds: int) -> dict[str, list[dict[str, float]]]:
    """The figures of each fold, by kind of folds."""
    rows: dict[str, list[dict[str, float]]] = {}
    for name in kinds:
        changes = {f"validation.{key}": value for key, value in KINDS[name].items()}
        rows[name] = []
        for fold in range(1 if name == "newest" else folds):
            with tempfile.TemporaryDirectory(dir=work) as run:
                sets = [f"{key}={value}" for key, value in {**changes, "validation.fold": fold}.items()]
                words = [word for each in sets for word in ("--set", each)]
                answer = shapecnn("train", config, "--data", folder, "--out", Path(run) / "run", *words)
            rows[name].append({key: answer["validation"][key] for key in FIGURES})
    return rows


def grouping(artefacts: Artefacts, changes: dict[str, Any]) -> dict[str, int | None]:
    """How many groups there are, the largest, and how many pairs of near copies are apart."""
    grouped = group_shapes(artefacts, artefacts.select("train"), Validation(**changes), 5)
    sizes = np.unique(grouped.groups, return_counts=True)[1]
    apart = None if grouped.apart is None else len(grouped.apart)
    return {"shapes": len(grouped.groups), "groups": len(sizes), "largest": int(sizes.max()), "apart": apart}


def main() -> None:
    options = arguments(__doc__ or "", config="mvcnn-psb", work="", kinds="", folds=3)
    use_cores(2)
    config, plan = options.config, PLANS[options.config]
    source = options.data / plan.source
    kinds = options.kinds.split(";") if options.kinds else list(KINDS)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        folder = work / plan.source.partition(".")[0]
        if not folder.exists():
            shapecnn(*(word.format(source=source, out=folder) for word in plan.prepare))
        if config in CLOSED_FORM:
            measured = closed_form(config, folder, work)
        else:
            measured = trained(config, folder, work, kinds, options.folds)
        artefacts = open_artefacts(folder)
        rows: list[dict[str, Any]] = [
            {
                "kind": name,
                **grouping(artefacts, {key: value for key, value in KINDS[name].items() if key != "hold_out"}),
                "folds": folds,
                "summary": summarize(folds, FIGURES),
            }
            for name, folds in measured.items()
        ]
    shown = []
    for row in rows:
        means = [f"{row['summary'][key]['mean']:.3f}" for key in FIGURES]
        shown.append([row["kind"], row["groups"], row["largest"], row["apart"], *means])
    print(table(["folds", "groups", "largest", "apart", *FIGURES], shown))
    save(options.json, {"config": config, "config_hash": load_experiment(config).digest(), "rows": rows}, [source])


if __name__ == "__main__":
    main()
