"""What each choice of a shipped closed-form config is worth: everything else stays, one thing is taken out or put in.

    python benchmarks/ablation.py --config mvcnn-psb --json results/ablation/mvcnn-psb.json

Looks go through the networks once. Every row is then the package's discriminant analysis over the five folds of five
divisions of the train split, and is compared with the shipped config shape by shape: accuracy and average precision
(protocol mvcnn, by class scores), means over the divisions; intervals are by the bootstrap over shapes. Rows in which
the pictures themselves are changed are measured on Lite0 alone, and compared with Lite0 alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from measure import arguments, save, table
from PIL import Image
from recognition import PLANS
from scipy import ndimage
from torch import Tensor

from shapecnn.artefacts import Entry
from shapecnn.datasets import Artefacts, open_artefacts
from shapecnn.experiment import LdaStage, load_experiment
from shapecnn.inputs import Input, Looks
from shapecnn.intervals import mean_interval
from shapecnn.networks.build import build_network
from shapecnn.networks.discriminant import analyse
from shapecnn.retrieval.protocols import mvcnn
from shapecnn.significance import sign_flips
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.activations import encoder, open_activations
from shapecnn.training.splits import divide

DIVISIONS = 5
WIDTH = 1 << 13  # features whose products are summed at a time
Scores = dict[tuple[int, int], Tensor]
"""(division, fold) → (N, C) probabilities of the held-out shapes."""


class Kernel(NamedTuple):
    """Inner products of all rows, (M, M), and of how many features.  All that discriminant analysis needs of them."""

    products: Tensor
    size: int

    @classmethod
    def of(cls, x: Tensor, roots: bool = True) -> Kernel:
        """Of rows (M, D), of which signed square roots are taken."""
        products = torch.zeros((len(x), len(x)), dtype=torch.float64)
        for part in x.split(WIDTH, dim=1):
            columns = part.double()
            columns = columns.sign() * columns.abs().sqrt() if roots else columns
            products += columns @ columns.T
        return cls(products, x.shape[1])

    def unit(self, weight: float = 1.0) -> Kernel:
        """Of the same rows, divided by their length."""
        lengths = self.products.diagonal().clamp(min=1e-30).sqrt()
        return Kernel(weight * self.products / lengths[:, None] / lengths, self.size)


def joined(kernels: Iterable[Kernel]) -> Kernel:
    """That of features side by side."""
    kernels = list(kernels)
    return Kernel(sum(kernel.products for kernel in kernels), sum(kernel.size for kernel in kernels))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Data:
    """labels: (N,).  folds: (division, fold) → rows to train on, rows held out.  lda: the shipped stage."""

    artefacts: Artefacts
    entries: list[Entry]
    classes: tuple[str, ...]
    labels: Tensor
    folds: dict[tuple[int, int], tuple[Tensor, Tensor]]
    lda: LdaStage

    @property
    def names(self) -> list[str]:
        """The label of each shape."""
        return [str(entry.label) for entry in self.entries]


def opened(config: str, folder: Path) -> Data:
    """The train split in its folds."""
    experiment, artefacts = load_experiment(config), open_artefacts(folder)
    entries = artefacts.select("train")
    at = {entry.id: row for row, entry in enumerate(entries)}
    folds = {}
    for seed in range(DIVISIONS):
        for fold in range(experiment.validation.folds):
            validation = experiment.validation.model_copy(update={"seed": seed, "fold": fold})
            train, val, classes = divide(artefacts, entries, validation)
            folds[seed, fold] = (torch.tensor([at[e.id] for e in train]), torch.tensor([at[e.id] for e in val]))
    labels = torch.tensor([classes.index(str(entry.label)) for entry in entries])
    (lda,) = (stage for stage in experiment.stages if isinstance(stage, LdaStage))
    return Data(artefacts, entries, classes, labels, folds, lda)


def scored(
    data: Data, kernel: Kernel, *, copies: int = 1, voting: int = 1, shrinkage: float = 0.0, scale: float = 0.0
) -> Scores:
    """The class scores of every fold.

    kernel: of the N shapes, then of as many copies of all, to be trained on too.  voting: copies whose logits are
    averaged.
    """
    values, axes = torch.linalg.eigh(kernel.products)
    kept = values > values.max() * 1e-12
    rows = axes[:, kept] * values[kept].sqrt()  # as far apart as the features, but no longer than there are shapes
    # Shrinkage is relative to the number of features; what prepare will take roots of, to one length, are squares.
    odds = (shrinkage or data.lda.shrinkage) / (1 - (shrinkage or data.lda.shrinkage)) * rows.shape[1] / kernel.size
    squares = 1e6 * rows * rows.abs()
    count, blocks = len(data.labels), [rows.shape[1]]
    scores = {}
    for key, (train, val) in data.folds.items():
        trained = torch.cat([train + count * copy for copy in range(copies)])
        space, directions = analyse(
            squares[trained], data.labels[train].repeat(copies), blocks, shrinkage=odds / (1 + odds)
        )
        cosines = sum(space(squares[val + count * copy].float()) @ directions.T for copy in range(voting)) / voting
        scores[key] = ((scale or data.lda.scale) * cosines.double()).softmax(dim=1)
    return scores


def averaged(members: Sequence[Scores]) -> Scores:
    """The mean of the scores of several networks."""
    return {key: sum(member[key] for member in members) / len(members) for key in members[0]}  # type: ignore[misc]


class Figures(NamedTuple):
    """right, precision: (divisions, N), nan where a shape was not measured.  accuracy, mean_ap: of each fold."""

    right: np.ndarray
    precision: np.ndarray
    accuracy: list[float]
    mean_ap: list[float]


def figures(data: Data, scores: Scores, keys: Iterable[tuple[int, int]]) -> Figures:
    """Accuracy and average precision by scores in these folds."""
    right, precision = (np.full((DIVISIONS, len(data.labels)), np.nan) for _ in range(2))
    accuracy, mean_ap = [], []
    for seed, fold in keys:
        val, names = data.folds[seed, fold][1], data.names
        retrieval = mvcnn(scores[seed, fold].float().numpy(), [names[row] for row in val])
        right[seed, val] = (scores[seed, fold].argmax(dim=1) == data.labels[val]).numpy()
        precision[seed, val] = [np.nan if each is None else each for each in retrieval.average_precisions]
        accuracy.append(float(right[seed, val].mean()))
        mean_ap.append(float(retrieval.mAP or 0))
    return Figures(right, precision, accuracy, mean_ap)


def compared(data: Data, name: str, scores: Scores, against: str, baseline: Scores | None) -> dict[str, Any]:
    """One row of the table; what it gains is over ``baseline`` on the same folds, with 95 % intervals."""
    own = figures(data, scores, scores)
    row: dict[str, Any] = {"name": name, "against": against, "folds": len(scores)}
    for key, values in (("accuracy", own.accuracy), ("mAP", own.mean_ap)):
        row[key] = {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)), "folds": values}
    if baseline is not None:
        other = figures(data, baseline, scores)
        for key, first, second in (
            ("accuracy", own.right, other.right),
            ("mAP", own.precision, other.precision),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a shape alone in its class in all folds
                gains = np.nanmean(first - second, axis=0)
            gains = gains[np.isfinite(gains)]
            row[key] |= {"gain": float(gains.mean()), "interval": mean_interval(gains), "p": sign_flips(gains)}
    print(
        f"{name:60} {100 * row['accuracy']['mean']:.2f} ± {100 * row['accuracy']['std']:.1f}  "
        f"{100 * row['mAP']['mean']:.2f}  "
        + "  ".join(
            f"{100 * row[key]['gain']:+.2f} ({100 * row[key]['interval'][0]:+.2f} {100 * row[key]['interval'][1]:+.2f})"
            for key in ("accuracy", "mAP")
            if baseline is not None
        ),
        file=sys.stderr,
        flush=True,
    )
    return row


@dataclass(frozen=True)
class Changed:
    """Pictures that are changed before a network sees them."""

    seen: Input
    change: Callable[[Looks, np.random.Generator], Looks]

    def read(self, artefacts: Artefacts, entry: Entry) -> Looks:
        """(V, S, S) uint8."""
        seed = np.frombuffer(entry.id.encode(), np.uint8)
        return self.change(self.seen.read(artefacts, entry), np.random.default_rng(seed))


def plain(looks: Looks, _: np.random.Generator) -> Looks:
    return looks


def mirrored(looks: Looks, _: np.random.Generator) -> Looks:
    return np.ascontiguousarray(looks[..., ::-1])


def erased(looks: Looks, generator: np.random.Generator) -> Looks:
    """A rectangle of 2 to 33 % of each picture filled with noise (Zhong et al. 2020)."""
    looks, side = looks.copy(), looks.shape[-1]
    for look in looks:
        area, ratio = generator.uniform(0.02, 0.33), np.exp(generator.uniform(np.log(0.3), np.log(3.3)))
        height, width = (min(side, round(side * (area * r) ** 0.5)) for r in (ratio, 1 / ratio))
        top, left = generator.integers(0, side - height + 1), generator.integers(0, side - width + 1)
        look[top : top + height, left : left + width] = generator.integers(0, 256, (height, width))
    return looks


def fitted(looks: Looks, _: np.random.Generator) -> Looks:
    """Each picture moved to its middle, and all scaled alike, so that the largest fills 90 % of a side of 224."""
    boxes = [Image.fromarray(255 * (look < 250).astype(np.uint8)).getbbox() or (0, 0, *look.shape) for look in looks]
    side = max(max(right - left, bottom - top) for left, top, right, bottom in boxes) / 0.9
    pictures = []
    for look, (left, top, right, bottom) in zip(looks, boxes, strict=True):
        x, y = (left + right - side) / 2, (top + bottom - side) / 2
        affine = (side / 224, 0, x, 0, side / 224, y)
        moved = Image.fromarray(look).transform(
            (224, 224), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC, fillcolor=255
        )
        pictures.append(np.asarray(moved))
    return np.stack(pictures)


class Views(NamedTuple):
    """What leaves each backbone for each view, mapped from disk; ``part`` gives (N, V, D) float32 of one block."""

    bits: np.ndarray
    bfloat16: bool
    blocks: dict[str, slice]

    def part(self, block: str) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(self.bits[0, :, :, self.blocks[block]]))
        return (values.view(torch.bfloat16) if self.bfloat16 else values).float()


def views(data: Data, config: str, work: Path, change: Callable[..., Looks] = plain, backbones: int = 3) -> Views:
    """Computed now, unless they are in ``work``."""
    experiment = load_experiment(config)
    names = experiment.network.backbones[:backbones]  # type: ignore[union-attr]
    settings = experiment.network.model_copy(update={"backbone": names if len(names) > 1 else names[0]})
    seen = Input.of(data.artefacts.settings)
    size = 224 if change is fitted else seen.side
    network = build_network(settings, size, 0)
    accelerator = open_accelerator("cpu", experiment.precision, None)
    activations = open_activations(
        work / f"{config}-{change.__name__}-{backbones}.npy",
        data.artefacts,
        data.entries,
        Changed(seen, change),  # type: ignore[arg-type]
        encoder(network, len(network.parts), accelerator),
        False,
        lambda done, total: None,
    )
    sizes = network.blocks[: 2 * len(names)]
    ends = np.cumsum([0, *sizes]).tolist()
    labels = [f"{kind}{i}" for i in range(len(names)) for kind in ("last", "maps")]
    blocks = {label: slice(ends[i], ends[i + 1]) for i, label in enumerate(labels)}
    return Views(activations.values, activations.bfloat16, blocks)


def pooled(x: Tensor, how: str) -> Tensor:
    """(N, V, D) → (N, D), or side by side (N, V D)."""
    return {"max": lambda: x.amax(dim=1), "mean": lambda: x.mean(dim=1), "placed": lambda: x.flatten(1)}[how]()


if __name__ == "__main__":
    pass
