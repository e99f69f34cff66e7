"""Grids: what each choice of the training gains, one changed at a time, on one near fold of ModelNet10.

    python benchmarks/grids.py --config shapenets-modelnet10 --work cf --json results/grids/shapenets-modelnet10.json

Each row trains the config with one change and the same seed, and classifies the same held-out shapes:
shapenets-modelnet10 by discriminant analysis of the maps, voxresnet-modelnet10 as trained, as they are shipped. The
rows are compared with a training in which each shape is used once an epoch: gains are over it, shape by shape, as means
over classes with 95 % intervals of a bootstrap over shapes. An ensemble averages the scores of several trainings: with
three seeds; or one on solids and one on surfaces (the filled cells with an empty neighbour), beside which stand two on
solids. It is compared with the mean of its members. Runs in --work are used; benchmarks/closed_form.py makes those of
the shipped config.
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

SHAPENETS, VOXRESNET = "shapenets-modelnet10", "voxresnet-modelnet10"
AS_TRAINED, SHIPPED = WAYS.index("as trained"), WAYS.index("LDA of the maps (shipped)")
SEEDS = 3
AUGMENT = {"flip": True, "turn": True, "shift": 2}  # of the config
ONCE: dict[str, Any] = {"balance": False}  # what all rows are compared with
REPEATED = "small classes repeated"
CHANGES: dict[str, dict[str, Any]] = {
    "axes scaled by up to 15 %": {"augment": {**AUGMENT, "stretch": 0.15}},
    "no mirroring": {"augment": {**AUGMENT, "flip": False}},
    "no shifts": {"augment": {**AUGMENT, "shift": 0}},
    REPEATED: {"balance": True},
    "half the epochs, small classes repeated": {"balance": True, "epochs": 5},  # about as many steps as without
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


def changed(name: str, data: Path, work: Path, seed: int = 0) -> Path:
    """A run with one of CHANGES."""
    folder = f"{SHAPENETS}-{seed}" if name == REPEATED else f"{SHAPENETS}-{'-'.join(name.split()[:2])}"
    return trained(SHAPENETS, data, work / folder, seed, ONCE | CHANGES[name])


def together(members: Sequence[Judged]) -> Judged:
    """The mean of the scores, and all features."""
    scores = torch.stack([member.scores for member in members]).mean(dim=0)
    return Judged(scores.log(), torch.cat([member.features for member in members], dim=1), members[0].labels)


def row(name: str, judged: Sequence[Judged], over: str = "", base: Sequence[Judged] = ()) -> dict[str, Any]:
    """Figures, as means over seeds, and what they gain over those of the same seeds in base; ``over`` is its name."""
    figures = [one.figures() for one in judged]
    told: dict[str, Any] = {"name": name, "seeds": len(judged), "over": over}
    told |= {key: float(np.mean([each[key] for each in figures])) for key in FIGURES}
    if base:
        told["gains"] = {
            "mean_class_accuracy": gain([a.right for a in judged], [b.right for b in base], base[0].labels),
            "mAP_macro": gain([a.precision for a in judged], [b.precision for b in base], base[0].labels),
        }
    print(name, told, flush=True)
    return told


def shapenets(data: Path, work: Path) -> tuple[list[Judged], list[dict[str, Any]]]:
    """The trainings in which each shape is used once an epoch, and the rows."""
    (lda,) = (stage for stage in load_experiment(SHAPENETS).stages if isinstance(stage, LdaStage))
    runs = [trained(SHAPENETS, data, work / f"{SHAPENETS}-once-{seed}", seed, ONCE) for seed in range(SEEDS)]
    members = [judge(run, data, lda)[SHIPPED] for run in runs]
    first = members[:1]
    rows = [row("seed 0", first), row("three seeds", members)]
    rows += (row(name, [judge(changed(name, data, work), data, lda)[SHIPPED]], "seed 0", first) for name in CHANGES)
    hollow = surfaces(data, runs[0], work / "surfaces")
    surface = judge(trained(SHAPENETS, hollow, work / f"{SHAPENETS}-surface", 0, ONCE), hollow, lda)[SHIPPED]
    assert np.array_equal(surface.labels, first[0].labels)
    rows.append(row("surfaces in place of solids", [surface], "seed 0", first))
    for name, parts in {
        "ensemble of the three seeds": members,
        "ensemble of two of them": members[:2],
        "ensemble of one on solids and one on surfaces": [*first, surface],
    }.items():
        rows.append(row(name, [together(parts)] * len(parts), "its members", parts))
    ways = [judge(changed(REPEATED, data, work, seed), data, lda) for seed in range(SEEDS)]
    shipped = [each[SHIPPED] for each in ways]
    mixed = [together([each[AS_TRAINED], each[SHIPPED]]) for each in ways]
    rows.append(row(f"{REPEATED} (shipped)", shipped, "three seeds", members))
    rows.append(row("scores as trained and shipped averaged", mixed, "shipped", shipped))
    return members, rows


def voxresnet(data: Path, work: Path) -> tuple[list[Judged], list[dict[str, Any]]]:
    """The training in which each shape is used once an epoch, and the rows."""
    (lda,) = (stage for stage in load_experiment(SHAPENETS).stages if isinstance(stage, LdaStage))
    judged = judge(trained(VOXRESNET, data, work / f"{VOXRESNET}-once", 0, ONCE), data, lda)
    plain, closed = judged[AS_TRAINED : AS_TRAINED + 1], judged[SHIPPED : SHIPPED + 1]
    first = "`voxresnet-modelnet10`, seed 0"
    rows = [row(first, plain), row("discriminant analysis of its maps", closed, first, plain)]
    run = trained(VOXRESNET, data, work / f"{VOXRESNET}-wide", 0, ONCE, "network.width=48")
    rows.append(row("wide, with 48 channels", [judge(run, data, lda)[AS_TRAINED]], first, plain))
    ways = judge(trained(VOXRESNET, data, work / f"{VOXRESNET}-repeated", 0), data, lda)
    rows.append(row(f"{REPEATED} (shipped)", [ways[AS_TRAINED]], first, plain))
    rows.append(row("… and discriminant analysis of its maps", [ways[SHIPPED]], "shipped", [ways[AS_TRAINED]]))
    return plain, rows


def main() -> None:
    options = arguments(__doc__ or "", config=SHAPENETS, work="")
    use_cores(2)
    torch.set_num_threads(2)
    plan, experiment = PLANS[options.config], load_experiment(options.config)
    assert experiment.stages[0].model_dump(exclude_defaults=True)["augment"] == AUGMENT
    source = options.data / plan.source
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        data = work / plan.source.partition(".")[0]
        shapecnn(*(word.format(source=source, out=data) for word in plan.prepare))
        members, rows = {SHAPENETS: shapenets, VOXRESNET: voxresnet}[options.config](data, work)
    shown = [[each["name"], *(f"{100 * each[key]:.1f}" for key in FIGURES)] for each in rows]
    print(table(["change", *FIGURES], shown))
    save(options.json, {"config": options.config, "shapes": len(members[0].labels), "rows": rows}, [source])


if __name__ == "__main__":
    main()
