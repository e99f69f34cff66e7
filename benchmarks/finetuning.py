"""Ablation of mvcnn-finetuned on psb: the value of each choice in gradient training, changed one at a time.

    python benchmarks/finetuning.py --json results/finetuning.json

Fine-tuned rows train the config anew, by the gradient descent of the package, on the first three folds of its division.
Each has two results: of the trained softmax classifier, and of the discriminant analysis that ends the config. Rows of
frozen features train only a softmax head, on the ImageNet features of Lite0 for each view, on all five folds. All rows
are compared shape by shape, as in ablation.py. The test split is not read.

--work: a folder that keeps what was computed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import Changed, Data, Scores, compared, erased, opened, plain
from measure import arguments, save, shapecnn, table
from torch import Tensor, nn

from shapecnn.models.input import Input, InputArray
from shapecnn.networks.discriminant import analyse
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment, load_experiment
from shapecnn.settings.networks import MvcnnSettings
from shapecnn.settings.stages import GradientStage
from shapecnn.storage.reading import sha256
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.activations import Activations, encoder, open_activations
from shapecnn.training.descent import Descent
from shapecnn.training.examples import Examples
from shapecnn.training.parts import first_part, outputs

CONFIG, STAGE = "mvcnn-finetuned", "stages.pooled"
BY_SOFTMAX, ANEW = ", by its softmax classifier", ", then discriminant analysis"
TUNED = [(0, fold) for fold in range(3)]  # (division, fold), minutes each
FROZEN = [(0, fold) for fold in range(5)]  # seconds each
HEAD_EPOCHS = 20
HIDDEN = 128  # of gated attention, as in the paper
ALPHA = 0.2  # of mixup, as its authors have it for ImageNet


@dataclass(frozen=True)
class Erased(Activations):
    """values: plain, mirrored, and both with a rectangle of each picture erased, from which half of the shapes come."""

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def batch(self, rows: np.ndarray, changes: Any = None, looks: Any = None) -> Tensor:
        if changes is None:
            return super().batch(rows)
        copies = (Activations(self.values[i : i + 2], self.bfloat16) for i in (0, 2))
        whole, broken = (copy.batch(rows, changes, looks) for copy in copies)
        drawn = torch.from_numpy(self.random.integers(2, size=len(rows)) == 1)
        return torch.where(drawn.view(-1, *[1] * (whole.ndim - 1)), broken, whole)


@dataclass(frozen=True)
class Mixed(Activations):
    """In training each shape is mixed with another, view by view, and its label too: mixup (Zhang et al. 2018), inside
    a network manifold mixup (Verma et al. 2019)."""

    alpha: float = ALPHA
    mixing: dict[str, np.ndarray] = field(default_factory=dict)
    """partners, shares: (N,), of this epoch."""

    def draw(self, rows: np.ndarray, labels: Tensor, random: np.random.Generator) -> Tensor:
        """Pairs and shares of the coming epoch, and what is to be learned, (N, C)."""
        count = len(labels)
        partners, shares = np.arange(count), random.beta(self.alpha, self.alpha, count).astype(np.float32)
        partners[rows] = random.permutation(rows)
        self.mixing.update(partners=partners, shares=shares)
        own, share = nn.functional.one_hot(labels).float(), torch.from_numpy(shares)[:, None]
        return share * own + (1 - share) * own[partners]

    def batch(self, rows: np.ndarray, changes: Any = None, looks: Any = None) -> Tensor:
        own = super().batch(rows, changes, looks)
        if changes is None:
            return own
        share = torch.from_numpy(self.mixing["shares"][rows]).view(-1, *[1] * (own.ndim - 1))
        return share * own + (1 - share) * super().batch(self.mixing["partners"][rows], changes, looks)


class Attended(ShapeNetwork):
    """A softmax head on gated attention over the views (Ilse, Tomczak, Welling 2018), in place of their maximum or
    beside it."""

    def __init__(self, size: int, classes: int, dropout: float, *, beside: bool) -> None:
        blocks = (size, size) if beside else (size,)
        super().__init__(nn.Identity(), [], nn.Identity(), blocks=blocks, classes=classes, dropout=dropout)
        self.beside = beside
        self.what, self.gate, self.share = nn.Linear(size, HIDDEN), nn.Linear(size, HIDDEN), nn.Linear(HIDDEN, 1)

    def pool(self, activations: Tensor) -> Tensor:
        """(B, V, D) → (B, D), or with the maximum (B, 2 D)."""
        shares = self.share(self.what(activations).tanh() * self.gate(activations).sigmoid()).softmax(dim=1)
        attended = (shares * activations).sum(dim=1)
        return torch.cat([super().pool(activations), attended], dim=1) if self.beside else attended


@dataclass(frozen=True)
class Choice:
    """What is trained.  folds: (division, fold).  network: of a seed.  seen: of every shape, what enters its trained
    part.  pools: whether it has features of its own, of which discriminant analysis makes something else."""

    name: str
    experiment: Experiment
    folds: list[tuple[int, int]]
    network: Callable[[int], ShapeNetwork]
    seen: Callable[[], Activations]
    pools: bool = True


@dataclass(frozen=True)
class Bench:
    """work: where all that was computed is kept."""

    data: Data
    work: Path

    def network(self, experiment: Experiment) -> ShapeNetwork:
        """Before training."""
        side = Input.of(self.data.artefacts.settings).side
        network = build_network(experiment.network, side, len(self.data.classes), seed=experiment.seed)
        return network.to(memory_format=torch.channels_last)

    def entering(self, experiment: Experiment, part: str, *changes: Callable[..., InputArray]) -> dict[str, Any]:
        """Of every shape what enters a part of the network, plain and mirrored, and so for each change of its pictures.

        values: (2 (1 + changes), N, V, ...).  bfloat16: whether these are its bits.
        """
        network, accelerator = self.network(experiment), open_accelerator("cpu", experiment.precision, None)
        seen, encode = Input.of(self.data.artefacts.settings), encoder(network, first_part(network, part), accelerator)
        copies = [
            open_activations(
                self.work / f"{part}-{change.__name__}.npy",
                self.data.artefacts,
                self.data.entries,
                Changed(seen, change),  # type: ignore[arg-type]
                encode,
                True,
                accelerator,
                lambda *_: None,
            )
            for change in (plain, *changes)
        ]
        values = np.concatenate([each.values for each in copies]) if changes else copies[0].values
        return {"values": values, "bfloat16": copies[0].bfloat16}

    def measured(self, choice: Choice) -> tuple[Scores, Scores]:
        """Of each fold by the softmax classifier, and by the discriminant analysis."""
        softmax, anew = {}, {}
        for key in choice.folds:
            identity = f"{choice.experiment.digest()} {choice.name} {key}"
            kept = self.work / f"{sha256(identity.encode())[:16]}.pt"
            if not kept.exists():
                started = time.perf_counter()
                torch.save(self.trained(key, choice.experiment, choice.network(key[0]), choice.seen()), kept)
                seconds = time.perf_counter() - started
                print(
                    f"{choice.name}, fold {key[1]} of division {key[0]}: {seconds:.0f} s", file=sys.stderr, flush=True
                )
            softmax[key], anew[key] = torch.load(kept)
        return softmax, anew

    def trained(
        self, key: tuple[int, int], experiment: Experiment, network: ShapeNetwork, seen: Activations
    ) -> tuple[Tensor, Tensor]:
        """Probabilities of the held-out shapes of one fold, (N, C) each: as the trainer has them."""
        stage, labels, (train, val) = gradient(experiment), self.data.labels, self.data.folds[key]
        accelerator, random = open_accelerator("cpu", experiment.precision, None), np.random.default_rng(key)
        rows, start = train.numpy(), first_part(network, stage.train_from)
        learned = seen.draw(rows, labels, random) if isinstance(seen, Mixed) else labels
        descent = Descent(stage, network, Examples(seen, rows, learned), accelerator, [key[0], 0])
        for number in range(stage.epochs):
            descent.train_epoch(number)
            if isinstance(seen, Mixed):
                learned.copy_(seen.draw(rows, labels, random))
        softmax = outputs(network, seen, val.numpy(), accelerator, start)[0].double().softmax(dim=1)
        _, features = outputs(network, seen, rows, accelerator, start)
        space, directions = analyse(features, labels[train], network.blocks, shrinkage=self.data.lda.shrinkage)
        network.discriminate(space, self.data.lda.scale * directions)
        return softmax, outputs(network, seen, val.numpy(), accelerator, start)[0].double().softmax(dim=1)


def gradient(experiment: Experiment) -> GradientStage:
    """Its only stage of gradient descent."""
    (stage,) = (stage for stage in experiment.stages if isinstance(stage, GradientStage))
    return stage


def tuned(bench: Bench) -> list[Choice]:
    """The config itself, and with one thing changed; the first is what others are compared with."""

    def choice(name: str, folds: list[tuple[int, int]] = TUNED, **changes: Any) -> Choice:
        experiment = load_experiment(CONFIG, {f"{STAGE}.{key}": value for key, value in changes.items()})
        part = str(gradient(experiment).train_from)
        return Choice(
            name,
            experiment,
            folds,
            lambda _: bench.network(experiment),
            lambda: Activations(**bench.entering(experiment, part)),
        )

    return [
        choice("mvcnn-finetuned"),
        choice("rates alike: the classifier's too 3·10⁻⁴, not ten times that", head_rate=1),
        choice("half the epochs of the late stage: 4", TUNED[:2], epochs=4),
        choice("twice the epochs of the late stage: 16", TUNED[:1], epochs=16),
    ]


def heads(bench: Bench) -> list[Choice]:
    """Softmax heads on frozen features; the first is what others are compared with."""
    experiment = load_experiment(CONFIG)
    assert isinstance(experiment.network, MvcnnSettings)
    stage, dropout, classes = gradient(experiment), experiment.network.dropout, len(bench.data.classes)
    frozen = bench.entering(experiment, "head")
    size = frozen["values"].shape[-1]

    def choice(
        name: str,
        pooling: Any = "max",
        seen: Callable[[], Activations] = lambda: Activations(**frozen),
        epochs: int = HEAD_EPOCHS,
    ) -> Choice:
        def network(seed: int) -> ShapeNetwork:
            torch.manual_seed(seed)
            if pooling.endswith("attention"):
                return Attended(size, classes, dropout, beside=pooling.startswith("max"))
            bare = nn.Identity(), (), nn.Identity()
            return ShapeNetwork(*bare, blocks=(size,), classes=classes, pooling=pooling, dropout=dropout)

        rate = stage.learning_rate * stage.head_rate
        changed = {"train_from": None, "learning_rate": rate, "head_rate": 1.0, "epochs": epochs}
        stages = (stage.model_copy(update=changed), experiment.stages[-1])
        trained = experiment.model_copy(update={"stages": stages})
        return Choice(f"frozen: {name}", trained, FROZEN, network, seen, pools=pooling != "max")

    return [
        choice("softmax head on the maximum over views"),
        choice("twice the epochs", epochs=2 * HEAD_EPOCHS),
        choice("gated attention in place of the maximum", "attention"),
        choice("gated attention beside the maximum", "max+attention"),
        choice("the mean in place of the maximum", "mean"),
        choice(f"mixup (α {ALPHA}) of each view's features", seen=lambda: Mixed(**frozen)),
        choice("mixup (α 1) of each view's features", seen=lambda: Mixed(**frozen, alpha=1.0)),
        choice(
            "random erasing of the pictures of half of the shapes",
            seen=lambda: Erased(**bench.entering(experiment, "head", erased)),
        ),
    ]


def main() -> None:
    options = arguments(__doc__ or "", work="")
    source = options.data / "psb.zip"
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        if not (work / "psb").exists():
            shapecnn("render", str(source), str(work / "psb"), "--up", "y")
        bench = Bench(opened(CONFIG, work / "psb"), work)
        rows, told = [], dict[str, Scores]()

        def add(name: str, scores: Scores, against: str) -> None:
            told[name] = scores
            rows.append(compared(bench.data, name, scores, against, None if name == against else told[against]))

        first, *others = tuned(bench)
        softmax, anew = bench.measured(first)
        add(first.name, anew, first.name)
        add(first.name + BY_SOFTMAX, softmax, first.name)
        for choice in others:
            softmax, anew = bench.measured(choice)
            add(choice.name, anew, first.name)
            add(choice.name + BY_SOFTMAX, softmax, first.name + BY_SOFTMAX)
        head, *others = heads(bench)
        softmax, anew = bench.measured(head)
        add("nothing trained by gradients", {key: anew[key] for key in TUNED}, first.name)
        add(head.name, softmax, head.name)
        add(head.name + ANEW, anew, head.name)
        for choice in others:
            softmax, anew = bench.measured(choice)
            add(choice.name, softmax, head.name)
            if choice.pools:
                add(choice.name + ANEW, anew, head.name + ANEW)
    shown = [[row["name"], *(f"{row[key]['mean']:.3f}" for key in ("accuracy", "mAP"))] for row in rows]
    print(table(["what", "accuracy", "mAP"], shown))
    measured = {
        "config": CONFIG,
        "config_hash": load_experiment(CONFIG).digest(),
        "shapes": len(bench.data.entries),
        "rows": rows,
    }
    save(options.json, measured, [source])


if __name__ == "__main__":
    main()
