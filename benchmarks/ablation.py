"""Ablation of a shipped closed-form config: the value of each choice, measured by changing one at a time.

    python benchmarks/ablation.py --config mvcnn-psb --json results/ablation/mvcnn-psb.json

The networks process all views once. Each row then fits the discriminant analysis of the package on the five folds of
five divisions of the train split, near copies on one side, and is compared with the shipped config shape by shape.
Figures are mean class accuracy and macro mAP (protocol mvcnn, by class scores), and both over shapes, as means over the
divisions with bootstrap intervals over shapes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from drawings import SIZE, WAYS, Drawn
from measure import arguments, save, shapecnn, table
from PIL import Image
from recognition import PLANS
from scipy import ndimage
from torch import Tensor

from shapecnn.artefacts.manifest import MANIFEST, Entry, read_manifest
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.evaluation.intervals import class_means_interval, mean_interval
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.evaluation.significance import sign_flips
from shapecnn.models.engine import open_engine
from shapecnn.models.input import Input, InputArray
from shapecnn.models.model import resolve_model
from shapecnn.networks.discriminant import analyse
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.stages import LdaStage
from shapecnn.settings.validation import Validation
from shapecnn.storage.sealed import publish_beside
from shapecnn.storage.tables import table_bytes
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.activations import encoder, open_activations
from shapecnn.training.splits import divide, folds_of

DIVISIONS = 5
VOLUMETRIC = 2  # folds on which voxresnet is trained: minutes each
VOXRESNET = ("--set", "validation.select=last", "--set", "stages.grids.epochs=15")
SIZES = (0, 1, 2)  # of the backbones: Lite0, 1, 2
SHIPPED = 1
MAP_PIXELS = 8 * 8  # of the maps that enter block6 of the shipped one at its size
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
        for part in torch.split(x, WIDTH, dim=1):
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
    """labels: (N,).  folds: (division, fold) → rows to train on, rows held out.  lda, way: the shipped stage, and how
    views are pooled."""

    artefacts: Artefacts
    entries: list[Entry]
    classes: tuple[str, ...]
    labels: Tensor
    folds: dict[tuple[int, int], tuple[Tensor, Tensor]]
    lda: LdaStage
    way: str

    @property
    def names(self) -> list[str]:
        """The label of each shape."""
        return [str(entry.label) for entry in self.entries]


def opened(config: str, folder: Path, changes: Mapping[str, Any] = {}, divisions: int = DIVISIONS) -> Data:
    """The train split in its folds; ``changes`` are settings of the validation."""
    experiment, artefacts = load_experiment(config), open_artefacts(folder)
    entries = artefacts.select("train")
    labels = [str(entry.label) for entry in entries]
    classes = tuple(sorted({*labels}))
    folds = {}
    for seed in range(divisions):
        settings = Validation(**{**experiment.validation.model_dump(), **changes, "seed": seed})
        if settings.hold_out == "newest":
            held = {entry.id for entry in divide(artefacts, entries, settings).val}
            numbers = np.array([0 if entry.id in held else -1 for entry in entries])
        else:
            numbers = folds_of(artefacts, entries, settings.folds, settings)  # type: ignore[assignment]  # enough shapes
        for fold in range(numbers.max() + 1):
            taught, held_out = (torch.from_numpy(np.flatnonzero(side)) for side in (numbers != fold, numbers == fold))
            folds[seed, fold] = taught, held_out
    (lda,) = (stage for stage in experiment.stages if isinstance(stage, LdaStage))
    targets = torch.tensor([classes.index(label) for label in labels])
    return Data(artefacts, entries, classes, targets, folds, lda, experiment.network.pooling)  # type: ignore[union-attr]


def scored(
    data: Data,
    kernel: Kernel,
    *,
    copies: int = 1,
    asked: Sequence[int] = (0,),
    shrinkage: float = 0.0,
    scale: float = 0.0,
) -> Scores:
    """The class scores of every fold.

    kernel: of the N shapes, then of as many copies of all.  copies: how many of these are trained on.  asked: numbers
    of those whose logits are averaged.
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
        cosines = sum(space(squares[val + count * copy].float()) @ directions.T for copy in asked) / len(asked)
        scores[key] = ((scale or data.lda.scale) * cosines.double()).softmax(dim=1)
    return scores


def averaged(members: Sequence[Scores]) -> Scores:
    """The mean of the scores of several networks."""
    return {key: sum(member[key] for member in members) / len(members) for key in members[0]}  # type: ignore[misc]


class Figures(NamedTuple):
    """right, precision: (divisions, N), nan where a shape was not measured.  folds: figures of each fold, by name."""

    right: np.ndarray
    precision: np.ndarray
    folds: dict[str, list[float]]


MACRO = ("mean_class_accuracy", "mAP_macro")


def figures(data: Data, scores: Scores, keys: Iterable[tuple[int, int]]) -> Figures:
    """Accuracy and average precision by scores in these folds."""
    right, precision = (np.full((DIVISIONS, len(data.labels)), np.nan) for _ in range(2))
    folds: dict[str, list[float]] = {name: [] for name in (*MACRO, "accuracy", "mAP")}
    for seed, fold in keys:
        val, names = data.folds[seed, fold][1], data.names
        retrieval = mvcnn(scores[seed, fold].float().numpy(), [names[row] for row in val])
        right[seed, val] = (scores[seed, fold].argmax(dim=1) == data.labels[val]).numpy()
        precision[seed, val] = [np.nan if each is None else each for each in retrieval.average_precisions]
        for balanced, plain_name, values in zip(MACRO, ("accuracy", "mAP"), (right, precision), strict=True):
            groups = grouped(values[seed, val], data.labels[val])
            folds[balanced].append(float(np.mean([group.mean() for group in groups])))
            folds[plain_name].append(float(np.concatenate(groups).mean()))
    return Figures(right, precision, folds)


def grouped(values: np.ndarray, labels: Tensor) -> list[np.ndarray]:
    """The values of the shapes of each class that has any, without nan."""
    known = np.isfinite(values)
    return [values[known & (labels == label).numpy()] for label in np.unique(labels[torch.from_numpy(known)].numpy())]


def compared(data: Data, name: str, scores: Scores, against: str, baseline: Scores | None) -> dict[str, Any]:
    """One row of the table; what it gains is over ``baseline`` on the same folds, with 95 % intervals."""
    own = figures(data, scores, scores)
    row: dict[str, Any] = {"name": name, "against": against, "folds": len(scores)}
    for key, values in own.folds.items():
        std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        row[key] = {"mean": float(np.mean(values)), "std": std, "folds": values}
    if baseline is not None:
        other = figures(data, baseline, scores)
        for balanced, key, first, second in (
            ("mean_class_accuracy", "accuracy", own.right, other.right),
            ("mAP_macro", "mAP", own.precision, other.precision),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a shape alone in its class in all folds
                gains = np.nanmean(first - second, axis=0)
            groups = grouped(gains, data.labels)
            equal = np.full(len(groups), 1 / len(groups))
            gain = float(np.mean([group.mean() for group in groups]))
            row[balanced] |= {"gain": gain, "interval": class_means_interval(groups, equal)}
            gains = gains[np.isfinite(gains)]
            row[key] |= {"gain": float(gains.mean()), "interval": mean_interval(gains), "p": sign_flips(gains)}
    print(
        f"{name:60} {100 * row[MACRO[0]]['mean']:.2f} ± {100 * row[MACRO[0]]['std']:.1f}  "
        f"{100 * row[MACRO[1]]['mean']:.2f}  "
        + "  ".join(
            f"{100 * row[key]['gain']:+.2f} ({100 * row[key]['interval'][0]:+.2f} {100 * row[key]['interval'][1]:+.2f})"
            for key in MACRO
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
    change: Callable[[InputArray, np.random.Generator], InputArray]

    def read(self, artefacts: Artefacts, entry: Entry) -> InputArray:
        """(V, S, S) uint8."""
        seed = np.frombuffer(entry.id.encode(), np.uint8)
        return self.change(self.seen.read(artefacts, entry), np.random.default_rng(seed))


def plain(looks: InputArray, _: np.random.Generator) -> InputArray:
    return looks


def mirrored(looks: InputArray, _: np.random.Generator) -> InputArray:
    return np.ascontiguousarray(looks[..., ::-1])


def erased(looks: InputArray, generator: np.random.Generator) -> InputArray:
    """A rectangle of 2 to 33 % of each picture filled with noise (Zhong et al. 2020)."""
    looks, side = looks.copy(), looks.shape[-1]
    for look in looks:
        area, ratio = generator.uniform(0.02, 0.33), np.exp(generator.uniform(np.log(0.3), np.log(3.3)))
        height, width = (min(side, round(side * (area * r) ** 0.5)) for r in (ratio, 1 / ratio))
        top, left = generator.integers(0, side - height + 1), generator.integers(0, side - width + 1)
        look[top : top + height, left : left + width] = generator.integers(0, 256, (height, width))
    return looks


def fitted(looks: InputArray, _: np.random.Generator) -> InputArray:
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
    """What leaves a backbone for each view, mapped from disk: its last features, and the maps after them."""

    bits: np.ndarray
    bfloat16: bool
    width: int

    def part(self, block: str) -> Tensor:
        """(N, V, D) float32 of ``last`` or ``maps``."""
        columns = slice(self.width) if block == "last" else slice(self.width, None)
        values = torch.from_numpy(np.ascontiguousarray(self.bits[0, :, :, columns]))
        return (values.view(torch.bfloat16) if self.bfloat16 else values).float()


def views(data: Data, config: str, work: Path, change: Callable[..., InputArray] = plain, size: int = SHIPPED) -> Views:
    """Computed now, unless they are in ``work``."""
    seen = Input.of(data.artefacts.settings)
    side = SIZE if change is fitted else seen.side
    return processed(
        data, config, work / f"{config}-{change.__name__}-lite{size}.npy", Changed(seen, change), side, size
    )


def processed(
    data: Data, config: str, file: Path, reader: Changed | Drawn, side: int = SIZE, size: int = SHIPPED
) -> Views:
    """Pictures of a side in pixels that a reader gives, computed now, unless they are in ``file``."""
    experiment = load_experiment(config)
    settings = experiment.network.model_copy(update={"backbone": f"tf_efficientnet_lite{size}"})
    network = build_network(settings, side, 0)
    accelerator = open_accelerator("cpu", experiment.precision, None)
    activations = open_activations(
        file,
        data.artefacts,
        data.entries,
        reader,  # type: ignore[arg-type]
        encoder(network, len(network.parts), accelerator),
        False,
        accelerator,
        lambda *_: None,
    )
    return Views(activations.values, activations.bfloat16, network.blocks[0])


CHANGES = {"mvcnn-psb": (mirrored, erased), "mvcnn-modelnet10": (mirrored, fitted)}


def pooled(x: Tensor, how: str) -> Tensor:
    """(N, V, D) → (N, D), or side by side (N, V D)."""
    return {"max": lambda: x.amax(dim=1), "mean": lambda: x.mean(dim=1), "placed": lambda: x.flatten(1)}[how]()


BLOCKS = ("last", "maps")


def kernels(each: Views, way: str, *, roots: bool = True) -> dict[str, Kernel]:
    """Of both blocks, pooled over the views."""
    return {block: Kernel.of(pooled(each.part(block), way), roots) for block in BLOCKS}


def together(first: Views, second: Views, way: str) -> Kernel:
    """That of the shapes and their changed copies, joined as shipped."""
    return joined(
        Kernel.of(torch.cat([pooled(each.part(block), way) for each in (first, second)])).unit() for block in BLOCKS
    )


def half_seen(each: Views, way: str) -> Kernel:
    """That of the shapes, and of each seen in a random half of its views."""
    generator = np.random.default_rng(0)
    count, looks = each.bits.shape[1:3]
    chosen = torch.from_numpy(generator.permuted(np.tile(np.arange(looks), (count, 1)), axis=1)[:, : looks // 2])
    members = []
    for block in BLOCKS:
        part = each.part(block)
        half = part[torch.arange(count)[:, None], chosen]
        members.append(Kernel.of(torch.cat([pooled(part, way), pooled(half, way)])).unit())
    return joined(members)


def second_order(maps: Tensor, channels: int) -> Tensor:
    """(N, V, C P) → (N, C (C + 1) / 2): mean products of channels over all pixels of all views (Lin et al. 2015)."""
    upper = torch.triu_indices(channels, channels)
    rows = []
    for shape in maps:
        pixels = shape.reshape(len(shape), channels, -1).transpose(0, 1).flatten(1)
        rows.append((pixels @ pixels.T / pixels.shape[1])[upper[0], upper[1]])
    return torch.stack(rows)


def channel_means(maps: Tensor, channels: int) -> Tensor:
    """(N, V, C P) → (N, V, C)."""
    return maps.reshape(*maps.shape[:2], channels, -1).mean(dim=3)


def gaussian(data: Data, x: Tensor, keys: Iterable[tuple[int, int]]) -> Scores:
    """scikit-learn's discriminant analysis with its posterior, shrunk by Ledoit and Wolf, logits divided by 10."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    scores = {}
    for key in keys:
        train, val = data.folds[key]
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x[train], data.labels[train])
        scores[key] = torch.from_numpy(model.decision_function(x[val]) / 10).double().softmax(dim=1)
    return scores


class Volumes(NamedTuple):
    """grids: (N, 30, 30, 30).  features, scores: of a voxresnet trained on the same rows, for some folds."""

    grids: np.ndarray
    features: dict[tuple[int, int], Tensor]
    scores: dict[tuple[int, int], Tensor]


def volumes(data: Data, work: Path, source: Path) -> Volumes:
    """The same meshes as grids.  The networks are trained now, unless they are in ``work``."""
    if not (work / "grids").exists():
        shapecnn("voxelize", str(source), str(work / "grids"), "--up", "y")
    artefacts = open_artefacts(work / "grids")
    by_id = {entry.id: entry for entry in artefacts.entries}
    entries = [by_id[entry.id] for entry in data.entries]
    features, scores = {}, {}
    for key in [(0, fold) for fold in range(VOLUMETRIC)]:
        run, folder = work / f"voxresnet-{key[1]}", work / f"grids-{key[1]}"
        if not (run / "model.json").exists():
            shutil.copytree(work / "grids", folder, copy_function=os.link, dirs_exist_ok=True)
            held_out = {data.entries[row].id for row in data.folds[key][1]}
            marked = [replace(e, split="val") if e.id in held_out else e for e in read_manifest(folder)]
            publish_beside(folder, {MANIFEST: table_bytes(Entry, marked)}, "")
            shapecnn("train", "voxresnet-modelnet10", "--data", str(folder), "--out", str(run), *VOXRESNET)
        model = resolve_model(str(run))
        engine, found = open_engine(model, "cpu"), dict[Any, Any]()
        for row, entry in enumerate(entries):
            engine.start(row, model.input.read(artefacts, entry))
            found.update(engine.finished())
        engine.wait()
        found.update(engine.finished())
        outputs = [found[row] for row in range(len(entries))]
        features[key] = torch.from_numpy(np.stack([output.feature for output in outputs]))
        told = torch.from_numpy(np.stack([output.scores for output in outputs])).double()
        scores[key] = told[data.folds[key][1]]
    return Volumes(np.stack([artefacts.grids(entry)[0] for entry in entries]), features, scores)


class Table:
    """Rows as they are measured."""

    def __init__(self, data: Data) -> None:
        self.data, self.scores, self.rows = data, dict[str, Scores](), list[dict[str, Any]]()

    def add(self, name: str, scores: Scores) -> None:
        """One more; the first, ``shipped``, is what others are compared with."""
        self.scores[name] = scores
        self.rows.append(compared(self.data, name, scores, "shipped", self.scores["shipped"] if self.rows else None))


def measure_parts(rows: Table, seen: dict[int, Views]) -> dict[str, Kernel]:
    """What the shipped network is made of, and other backbones.  Returns the shipped blocks."""
    data = rows.data
    raw = {(size, how): kernels(each, how) for size, each in seen.items() for how in ("max", "mean")}
    every = {key: {block: kernel.unit() for block, kernel in blocks.items()} for key, blocks in raw.items()}
    shipped = every[SHIPPED, data.way]

    def of(*chosen: tuple[int, str]) -> Scores:
        return scored(data, joined(kernel for key in chosen for kernel in every[key].values()))

    rows.add("shipped", of((SHIPPED, data.way)))
    for size in SIZES:
        if size != SHIPPED:
            rows.add(f"Lite{size} in its place", of((size, data.way)))
    for several in ((0, 1), (1, 2), SIZES):
        rows.add(f"{' and '.join(f'Lite{size}' for size in several)}", of(*((size, data.way) for size in several)))
    apart = [rows.scores["shipped"], *(rows.scores[f"Lite{size} in its place"] for size in SIZES if size != SHIPPED)]
    rows.add("the three apart, scores averaged (an ensemble)", averaged(apart))
    rows.add("without maps", scored(data, shipped["last"]))
    rows.add("maps alone", scored(data, shipped["maps"]))
    rows.add("views by their mean", of((SHIPPED, "mean")))
    rows.add("views by maximum and mean", of((SHIPPED, "max"), (SHIPPED, "mean")))
    rows.add("one block, not each to unit length", scored(data, joined(raw[SHIPPED, data.way].values()).unit()))
    rootless = kernels(seen[SHIPPED], data.way, roots=False).values()
    rows.add("no square roots", scored(data, joined(kernel.unit() for kernel in rootless)))
    for shrinkage in (0.1, 0.3, 0.8, 0.95):
        rows.add(f"shrinkage {shrinkage}", scored(data, joined(shipped.values()), shrinkage=shrinkage))
    for scale in (6.0, 24.0):
        rows.add(f"scale {scale:.0f}", scored(data, joined(shipped.values()), scale=scale))
    return shipped


def measure_added(rows: Table, each: Views, shipped: dict[str, Kernel]) -> None:
    """What was tried beside it."""
    data = rows.data
    last, maps = each.part("last"), each.part("maps")
    placed = Kernel.of(pooled(last, "placed")).unit()
    rows.add("each view at its place, not pooled (but the maps)", scored(data, joined([placed, shipped["maps"]])))
    rows.add("each view at its place too", scored(data, joined([*shipped.values(), placed])))
    channels = maps.shape[2] // MAP_PIXELS
    means = Kernel.of(pooled(channel_means(maps, channels), data.way)).unit()
    products = Kernel.of(second_order(maps, channels)).unit()
    rows.add("maps averaged over their pixels", scored(data, joined([shipped["last"], means])))
    rows.add("second-order pooling in place of maps", scored(data, joined([shipped["last"], products])))
    rows.add("second-order pooling too", scored(data, joined([*shipped.values(), products])))
    rows.add("trained also on a random half of the views", scored(data, half_seen(each, data.way), copies=2))
    maximum = pooled(last, "max")
    rows.add(
        "without maps and square roots, Gaussian posterior of scikit-learn",
        gaussian(data, maximum, [key for key in data.folds if key[0] == 0]),
    )


def measure_pictures(rows: Table, each: Views, changed: dict[str, Views]) -> None:
    """Other pictures of the same shapes."""
    data = rows.data
    if "mirrored" in changed:
        both = together(each, changed["mirrored"], data.way)
        rows.add("trained also on mirrored pictures", scored(data, both, copies=2))
        rows.add("the same, and both vote", scored(data, both, copies=2, asked=(0, 1)))
    if "erased" in changed:
        both = together(each, changed["erased"], data.way)
        rows.add("trained also on pictures with a random rectangle erased", scored(data, both, copies=2))
    if "fitted" in changed:
        fit = joined(kernel.unit() for kernel in kernels(changed["fitted"], data.way).values())
        rows.add("shapes fill their pictures, bicubic", scored(data, fit))


DRAWINGS = {
    "between": "views from 15° farther round",
    "lower": "views from 10° above",
    "higher": "views from 50° above",
    "filling": "views that the shape fills",
    "stretched": "shapes whose axes are scaled at random",
    "lines": "line drawings",
    "depth": "pictures of depth",
}


def measure_drawings(rows: Table, each: Views, drawn: dict[str, Views]) -> None:
    """Other drawings of the same meshes."""
    data = rows.data
    shipped = [kernel.unit() for kernel in kernels(each, data.way).values()]
    for name, title in DRAWINGS.items():
        both = together(each, drawn[name], data.way)
        rows.add(f"trained also on {title}", scored(data, both, copies=2))
        if name in ("lines", "depth"):
            beside = [kernel.unit() for kernel in kernels(drawn[name], data.way).values()]
            rows.add(f"{title} beside shaded ones", scored(data, joined([*shipped, *beside])))
        if name == "between":
            rows.add(f"trained also on {title}, and both vote", scored(data, both, copies=2, asked=(0, 1)))
    more = {block: torch.cat([each.part(block), drawn["between"].part(block)], dim=1) for block in BLOCKS}
    twice = {
        block: Kernel.of(torch.cat([pooled(each.part(block), data.way), pooled(more[block], data.way)])).unit()
        for block in BLOCKS
    }
    rows.add("trained on 12 views, tested with 24", scored(data, joined(twice.values()), asked=(1,)))
    everywhere = joined(Kernel.of(pooled(more[block], data.way)).unit() for block in BLOCKS)
    rows.add("24 views in training and test", scored(data, everywhere))


def measure_fusion(rows: Table, shipped: list[Kernel], volume: Volumes) -> None:
    """Views and grids of the same meshes; the weight is that of the grid's block, beside 1 for each of the views'."""
    data = rows.data
    grids = volume.grids.astype(np.float32)
    blurred = torch.from_numpy(ndimage.gaussian_filter(grids, (0, 2, 2, 2)).reshape(len(grids), -1))
    for name, x in (("grid", torch.from_numpy(grids.reshape(len(grids), -1))), ("blurred grid", blurred)):
        kernel = Kernel.of(x)
        rows.add(f"{name} alone", scored(data, kernel.unit()))
        for weight in (0.5, 1.0, 2.0):
            rows.add(f"{name} too, weight {weight:g}", scored(data, joined([*shipped, kernel.unit(weight)])))
    rows.add("voxresnet alone", volume.scores)
    for weight in (0.5, 1.0, 2.0):
        scores: Scores = {}
        for key, features in volume.features.items():
            both = joined([*shipped, Kernel.of(features).unit(weight)])
            scores |= scored(replace(data, folds={key: data.folds[key]}), both)
        rows.add(f"voxresnet's feature too, weight {weight:g}", scores)
    late = {key: 0.8 * rows.scores["shipped"][key] + 0.2 * scores for key, scores in volume.scores.items()}
    rows.add("scores, and a fifth of voxresnet's", late)


def main() -> None:
    options = arguments(__doc__ or "", config="mvcnn-psb", work="")
    config, plan = options.config, PLANS[options.config]
    source = options.data / plan.source
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        folder = work / plan.source.partition(".")[0]
        if not folder.exists():
            shapecnn(*(word.format(source=source, out=folder) for word in plan.prepare))
        data = opened(config, folder)
        seen = {size: views(data, config, work, size=size) for size in SIZES}
        rows = Table(data)
        shipped = measure_parts(rows, seen)
        measure_added(rows, seen[SHIPPED], shipped)
        changed = {change.__name__: views(data, config, work, change) for change in CHANGES[config]}
        measure_pictures(rows, seen[SHIPPED], changed)
        if config == "mvcnn-psb":
            drawn = {
                way.__name__: processed(data, config, work / f"{config}-{way.__name__}.npy", Drawn.of(source, way))
                for way in WAYS
            }
            measure_drawings(rows, seen[SHIPPED], drawn)
            measure_fusion(rows, list(shipped.values()), volumes(data, work, source))
    shown = [[row["name"], *(f"{row[key]['mean']:.3f}" for key in MACRO)] for row in rows.rows]
    print(table(["what", *MACRO], shown))
    experiment = load_experiment(config)
    measured = {
        "config": config,
        "config_hash": experiment.digest(),
        "shapes": len(data.entries),
        "divisions": DIVISIONS,
        "rows": rows.rows,
    }
    save(options.json, measured, [source])


if __name__ == "__main__":
    main()
