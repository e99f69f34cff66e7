"""Grids: what discriminant analysis adds to a network trained by gradient descent, on its last layer or on its maps.

    python benchmarks/closed_form.py --json results/closed_form/shapenets-modelnet10.json

For each config and training seed, the stages of gradient descent are trained once, on the near folds of the config.
Then the same held-out shapes are classified by the network as it was trained, by discriminant analysis (LDA) of its
last layer, and by the config as shipped: LDA of the last maps by height. What the shipped config gains over the trained
network is averaged over the seeds, with a 95 % interval from a bootstrap over shapes, class by class.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import arguments, save, shapecnn, summarize, table, use_cores
from numpy.typing import NDArray
from recognition import PLANS
from torch import Tensor

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.evaluation.intervals import class_means_interval
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.models.run import Run, open_run
from shapecnn.networks.discriminant import analyse
from shapecnn.settings.base import parse_assignments
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.stages import GradientStage, LdaStage

WAYS = ("as trained", "LDA of the last layer", "LDA of the maps (shipped)")
FIGURES = ("mean_class_accuracy", "accuracy", "mAP_macro", "mAP", "mAP_macro_penultimate", "mAP_penultimate")
BATCH = 64


class Judged:
    """What one way gives for the held-out shapes.

    scores: (N, C) probabilities.  features: (N, D).  labels: (N,).  right: (N,), whether each is classified correctly.
    precision: (N,), average precision of each query by scores.
    """

    def __init__(self, logits: Tensor, features: Tensor, labels: NDArray[np.int64]) -> None:
        self.scores, self.features, self.labels = logits.softmax(dim=1), features, labels
        self.right = (logits.argmax(dim=1).numpy() == labels).astype(np.float64)
        self.precision, self._feature_precision = (precisions(x, labels) for x in (self.scores, features))

    def figures(self) -> dict[str, float]:
        values = (self.right, self.precision, self._feature_precision)
        (mca, accuracy), (macro, mean), (macro_feature, mean_feature) = (
            (by_class(each, self.labels), float(each.mean())) for each in values
        )
        return dict(zip(FIGURES, (mca, accuracy, macro, mean, macro_feature, mean_feature), strict=True))


def precisions(features: Tensor, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The average precision of each of N shapes as a query among the others, (N,); NaN if no other has its class."""
    found = mvcnn(np.ascontiguousarray(features.numpy(), np.float32), [str(label) for label in labels])
    return np.array([np.nan if each is None else each for each in found.average_precisions])


def by_class(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean over classes of the mean in each class."""
    return float(np.mean([values[labels == label].mean() for label in np.unique(labels)]))


def gain(first: list[NDArray[np.float64]], second: list[NDArray[np.float64]], labels: NDArray[np.int64]) -> list[float]:
    """By how much the class-averaged mean is higher, over all seeds: the gain, and the ends of its 95 % interval."""
    differences = np.mean(np.stack(first) - np.stack(second), axis=0)
    groups = [differences[labels == label] for label in np.unique(labels)]
    return [by_class(differences, labels), *class_means_interval(groups, np.full(len(groups), 1 / len(groups)))]


def batches(model: Run, artefacts: Artefacts, entries: Sequence[Entry]) -> Iterator[Tensor]:
    """The inputs of shapes, in batches of :data:`BATCH`."""
    for first in range(0, len(entries), BATCH):
        some = [model.input.read(artefacts, entry) for entry in entries[first : first + BATCH]]
        yield torch.from_numpy(np.stack(some))


def judge(run: Path, data: Path, lda: LdaStage) -> list[Judged]:
    """The three ways, on one trained network."""
    model, artefacts = open_run(run), open_artefacts(data)
    entries = [model.split(artefacts, "train"), model.split(artefacts, "val")]
    assert model.head is not None
    classes = model.head.classes
    labels = [np.array([classes.index(str(entry.label)) for entry in each]) for each in entries]
    networks = [model.network.build(), model.network.build()]
    assert networks[1].profile is not None
    start = len(networks[1].parts) - networks[1].profile.replaces  # the parts before are the same in both
    networks[1].shorten()
    logits: list[Tensor] = []
    features: list[list[Tensor]] = [[], []]  # of each network: train, val
    with torch.inference_mode():
        for each in entries:
            rows: list[list[Tensor]] = [[], [], []]
            for grids in batches(model, artefacts, each):
                maps = networks[0].stem(grids, stop=start)
                outputs = [network(maps, start) for network in networks]
                for row, found in zip(rows, (outputs[0][0], outputs[0][1], outputs[1][1]), strict=True):
                    row.append(found)
            logits.append(torch.cat(rows[0]))
            features[0].append(torch.cat(rows[1]))
            features[1].append(torch.cat(rows[2]))
    judged = [Judged(logits[1], features[0][1], labels[1])]
    for network, (train, val) in zip(networks, features, strict=True):
        space, directions = analyse(train, torch.from_numpy(labels[0]), network.blocks, shrinkage=lda.shrinkage)
        coordinates = space(val)
        judged.append(Judged(lda.scale * coordinates @ directions.T, coordinates, labels[1]))
    return judged


def trained(
    config: str, data: Path, run: Path, seed: int, change: dict[str, Any] | None = None, *settings: str
) -> Path:
    """A run of the stages of gradient descent alone, each with a change; trained now unless it is there.

    settings: more of ``train --set``.
    """
    stages = [
        stage.model_dump(exclude_defaults=True) | {"kind": "gradient"} | (change or {})
        for stage in load_experiment(config).stages
        if isinstance(stage, GradientStage)
    ]
    sets = [f"stages={json.dumps(stages)}", f"seed={seed}", *settings]
    if not (run / "model.json").exists():
        shapecnn("train", config, "--data", data, "--out", run, *(word for one in sets for word in ("--set", one)))
    asked, found = load_experiment(config, parse_assignments(tuple(sets))), load_experiment(str(run / "config.yaml"))
    assert asked == found, f"{run} was trained with other settings: choose another --work"
    return run


def measure(config: str, data: Path, work: Path, seeds: int) -> dict[str, Any]:
    """One config."""
    experiment = load_experiment(config)
    (lda,) = (stage for stage in experiment.stages if isinstance(stage, LdaStage))
    judged = []
    for seed in range(seeds):
        judged.append(judge(trained(config, data, work / f"{config}-{seed}", seed), data, lda))
        print(config, seed, [one.figures() for one in judged[-1]], flush=True)
    rows = []
    for number, way in enumerate(WAYS):
        folds = [one[number].figures() for one in judged]
        rows.append({"way": way, "seeds": folds, "summary": summarize(folds, FIGURES)})
    shipped, plain = ([one[number] for one in judged] for number in (2, 0))
    labels = judged[0][0].labels
    gains = {
        "mean_class_accuracy": gain([one.right for one in shipped], [one.right for one in plain], labels),
        "mAP_macro": gain([one.precision for one in shipped], [one.precision for one in plain], labels),
    }
    return {"config_hash": experiment.digest(), "shapes": len(labels), "rows": rows, "gains": gains}


def main() -> None:
    options = arguments(__doc__ or "", configs="shapenets-modelnet10", work="", seeds=3)
    use_cores(2)
    torch.set_num_threads(2)
    configs = options.configs.split()
    plan = PLANS[configs[0]]
    source = options.data / plan.source
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        data = work / plan.source.partition(".")[0]
        shapecnn(*(word.format(source=source, out=data) for word in plan.prepare))
        measured = {config: measure(config, data, work, options.seeds) for config in configs}
    shown = [
        [config, row["way"], *(f"{100 * row['summary'][key]['mean']:.1f}" for key in FIGURES)]
        for config, each in measured.items()
        for row in each["rows"]
    ]
    print(table(["config", "way", *FIGURES], shown))
    print(json.dumps({config: each["gains"] for config, each in measured.items()}, indent=2))
    save(options.json, {"configs": measured}, [source])


if __name__ == "__main__":
    main()
