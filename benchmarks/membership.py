"""Membership coordinates of the discriminant space: what their length costs and gains in retrieval.

    python benchmarks/membership.py --json results/membership.json

A run of each config is trained on its first near fold. On the features of the network, discriminant spaces are fitted
whose membership coordinates have several lengths. Retrieval (protocol mvcnn) is measured twice: among held-out shapes
of classes that the space was fitted to, and among shapes of a third of the classes that were left out of the fit, drawn
six times. The scores are the class probabilities. A run in --work, which benchmarks/closed_form.py may have made, is
used as it is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from closed_form import batches, by_class, precisions
from measure import arguments, save, shapecnn, table, use_cores
from numpy.typing import NDArray
from recognition import PLANS
from torch import Tensor

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.models.run import open_run
from shapecnn.networks import discriminant
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.stages import LdaStage

LENGTHS = (0.0, 0.3, 0.5, 0.7, 1.0)
DRAWS = 6
Features = tuple[Tensor, NDArray[np.int64]]  # (N, D) features and (N,) class numbers


def features_of(run: Path, data: Path) -> tuple[Features, Features, tuple[int, ...]]:
    """Features of the training and of the held-out shapes before the discriminant space, and their blocks."""
    trained, artefacts = open_run(run), open_artefacts(data)
    network = trained.network.build()
    if network.profile is not None:
        network.shorten()
    network.discriminant = network.classifier = None
    assert trained.head is not None
    found: list[Features] = []
    for part in ("train", "val"):
        entries = trained.split(artefacts, "train" if part == "train" else "val")
        with torch.inference_mode():
            rows = [network(inputs)[1] for inputs in batches(trained, artefacts, entries)]
        labels = np.array([trained.head.classes.index(str(entry.label)) for entry in entries])
        found.append((torch.cat(rows).clone(), labels))
    return found[0], found[1], network.blocks


def retrieval(fitted: Features, judged: Features, blocks: tuple[int, ...], lda: LdaStage) -> list[list[float]]:
    """mAP and macro mAP of the scores, and of each length of the membership coordinates."""
    (features, labels), (others, wanted) = fitted, judged
    numbers = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    space, directions = discriminant.analyse(features, numbers, blocks, shrinkage=lda.shrinkage)
    compared = [(lda.scale * space(others) @ directions.T).softmax(dim=1)]
    for length in LENGTHS:
        with patch.object(discriminant, "_MEMBERSHIP", length):
            compared.append(space(others))
    figures = []
    for each in compared:
        found = precisions(each, wanted)
        known = ~np.isnan(found)
        figures.append([float(found[known].mean()), by_class(found[known], wanted[known])])
    return figures


def measure(config: str, data: Path, work: Path) -> list[dict[str, Any]]:
    """One config."""
    run = work / f"{config}-0"
    if not (run / "model.json").exists():
        shapecnn("train", config, "--data", data, "--out", run)
    (lda,) = (stage for stage in load_experiment(config).stages if isinstance(stage, LdaStage))
    train, val, blocks = features_of(run, data)
    known = retrieval(train, val, blocks, lda)
    random, classes = np.random.default_rng(0), int(train[1].max()) + 1
    unseen = []
    for _ in range(DRAWS):
        out = random.permutation(classes)[: classes // 3]
        kept, left = ~np.isin(train[1], out), np.isin(val[1], out)
        fitted = train[0][torch.from_numpy(kept)], train[1][kept]
        unseen.append(retrieval(fitted, (val[0][torch.from_numpy(left)], val[1][left]), blocks, lda))
    names = ("scores", *(f"membership {length:g}" for length in LENGTHS))
    return [
        {"compared": name, "known": known[i], "unseen": np.mean([each[i] for each in unseen], axis=0).tolist()}
        for i, name in enumerate(names)
    ]


def main() -> None:
    options = arguments(__doc__ or "", configs="mvcnn-psb shapenets-modelnet10", work="")
    use_cores(2)
    torch.set_num_threads(2)
    measured = {}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        for config in options.configs.split():
            plan = PLANS[config]
            source = options.data / plan.source
            data = work / plan.source.partition(".")[0]
            shapecnn(*(word.format(source=source, out=data) for word in plan.prepare))
            measured[config] = measure(config, data, work)
            headings = ("compared", "known mAP", "known macro", "unseen mAP", "unseen macro")
            rows = [
                [row["compared"], *(f"{100 * value:.1f}" for value in (*row["known"], *row["unseen"]))]
                for row in measured[config]
            ]
            print(f"{config}\n{table(headings, rows)}\n", flush=True)
    save(options.json, {"configs": measured}, [options.data / PLANS[config].source for config in measured])


if __name__ == "__main__":
    main()
