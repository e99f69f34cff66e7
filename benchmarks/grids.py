"""Grids: what each choice of the training gains, one changed at a time, on one near fold of ModelNet10.

    python benchmarks/grids.py --work cf --json results/grids.json

Each row trains shapenets-modelnet10 with one change and the same seed, and classifies the same held-out shapes, by
discriminant analysis of the maps as shipped. Gains are over the shipped config, shape by shape, as means over classes
with 95 % intervals of a bootstrap over shapes. An ensemble averages the scores of several trainings: with three seeds;
or one on solids and one on surfaces (the filled cells with an empty neighbour), beside which stand two on solids. Rows
of voxresnet are compared with voxresnet-modelnet10 as shipped, without discriminant analysis. Runs in --work, which
benchmarks/closed_form.py may have made, are used as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from closed_form import FIGURES, WAYS, Judged, gain, judge, trained
from measure import arguments, save, shapecnn, table, use_cores
from recognition import PLANS
from scipy.ndimage import binary_erosion

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.models.run import open_run
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.stages import LdaStage
from shapecnn.voxels import binvox

CONFIG, RESIDUAL = "shapenets-modelnet10", "voxresnet-modelnet10"
AS_TRAINED, SHIPPED = WAYS.index("as trained"), WAYS.index("LDA of the maps (shipped)")
SEEDS = 3
AUGMENT = {"flip": True, "turn": True, "shift": 2}  # of the config
CHANGES: dict[str, dict[str, Any]] = {
    "axes scaled by up to 15 %": {"augment": {**AUGMENT, "stretch": 0.15}},
    "no mirroring": {"augment": {**AUGMENT, "flip": False}},
    "no shifts": {"augment": {**AUGMENT, "shift": 0}},
    "small classes repeated": {"balance": True},
    "no label smoothing": {"label_smoothing": 0.0},
    "twice the epochs: 20": {"epochs": 20},
}


def surfaces(data: Path, run: Path, out: Path) -> Path:
    """The grids of data, without the cells that have six filled neighbours, in the division of a run."""
    if not (out / "artefacts").exists():
        artefacts, model = open_artefacts(data), open_run(run)
        for split in ("train", "val"):
            for entry in model.split(artefacts, split):
                (grid,) = artefacts.grids(entry)
                file = out / "grids" / str(entry.label) / split / f"{Path(entry.id).stem}.binvox"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(binvox.write(grid & ~binary_erosion(grid)))
        shapecnn("data", "import", out / "grids", out / "artefacts", "--layout", "binvox")
    return out / "artefacts"


def together(members: Sequence[Judged]) -> Judged:
    """The mean of the scores, and all features."""
    scores = torch.stack([member.scores for member in members]).mean(dim=0)
    return Judged(scores.log(), torch.cat([member.features for member in members], dim=1), members[0].labels)


def row(name: str, judged: Judged, shipped: Judged | None) -> dict[str, Any]:
    """Figures, and what they gain."""
    told: dict[str, Any] = {"name": name, **judged.figures()}
    if shipped is not None:
        told["gains"] = {
            "mean_class_accuracy": gain([judged.right], [shipped.right], judged.labels),
            "mAP_macro": gain([judged.precision], [shipped.precision], judged.labels),
        }
    print(name, told, flush=True)
    return told


def main() -> None:
    options = arguments(__doc__ or "", work="")
    use_cores(2)
    torch.set_num_threads(2)
    plan, experiment = PLANS[CONFIG], load_experiment(CONFIG)
    assert experiment.stages[0].model_dump(exclude_defaults=True)["augment"] == AUGMENT
    (lda,) = (stage for stage in experiment.stages if isinstance(stage, LdaStage))
    source = options.data / plan.source
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        data = work / plan.source.partition(".")[0]
        shapecnn(*(word.format(source=source, out=data) for word in plan.prepare))
        runs = [trained(CONFIG, data, work / f"{CONFIG}-{seed}", seed) for seed in range(SEEDS)]
        members = [judge(run, data, lda)[SHIPPED] for run in runs]
        shipped = members[0]
        rows = [row("shipped", shipped, None)]
        rows.append(row(f"{SEEDS} trainings, scores averaged (an ensemble)", together(members), shipped))
        for name, change in CHANGES.items():
            run = trained(CONFIG, data, work / "-".join([CONFIG, *name.split()[:2]]), 0, change)
            rows.append(row(name, judge(run, data, lda)[SHIPPED], shipped))
        hollow = surfaces(data, runs[0], work / "surfaces")
        surface = judge(trained(CONFIG, hollow, work / f"{CONFIG}-surface", 0), hollow, lda)[SHIPPED]
        assert np.array_equal(surface.labels, shipped.labels)
        rows.append(row("surfaces in place of solids", surface, shipped))
        rows.append(row("solids and surfaces, scores averaged", together([shipped, surface]), shipped))
        rows.append(row("two trainings on solids, scores averaged", together(members[:2]), shipped))
        residual = judge(trained(RESIDUAL, data, work / f"{RESIDUAL}-0", 0), data, lda)
        rows.append(row("voxresnet", residual[AS_TRAINED], None))
        rows.append(row("voxresnet, discriminant analysis of its maps", residual[SHIPPED], residual[AS_TRAINED]))
        wide = trained(RESIDUAL, data, work / f"{RESIDUAL}-wide", 0, None, "network.width=48")
        rows.append(row("voxresnet, half as wide again: 48", judge(wide, data, lda)[AS_TRAINED], residual[AS_TRAINED]))
    shown = [[each["name"], *(f"{100 * each[key]:.1f}" for key in FIGURES)] for each in rows]
    print(table(["change", *FIGURES], shown))
    spread = {key: float(np.std([member.figures()[key] for member in members], ddof=1)) for key in FIGURES}
    figures = {"config": CONFIG, "config_hash": experiment.digest(), "shapes": len(shipped.labels), "spread": spread}
    save(options.json, {**figures, "rows": rows}, [source])


if __name__ == "__main__":
    main()
