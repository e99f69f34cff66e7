"""Gradient descent on part of a network: one stage, epoch after epoch.

Everything random is drawn anew for each epoch from (seed, stage, epoch): an epoch does not depend on how its
predecessors were computed, in one go or after an interruption.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import GradientStage
from shapecnn.training.activations import Activations
from shapecnn.training.augmentation import draw_change
from shapecnn.training.schedules import learning_rate_factor
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

_AHEAD = 3  # batches put together while the network is at work
_TOGETHER = 32  # shapes that pass through the network at a time when nothing is learned
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True)
class Examples:
    """rows: of the activations, those of the shapes to learn from.  labels: class of every row of the activations."""

    activations: Activations
    rows: NDArray[np.int64]
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch.  number: from 0.  loss: mean over its steps.  learning_rate: at its end."""

    number: int
    loss: float
    learning_rate: float
    optimizer: dict[str, Any]


def first_part(network: ShapeNetwork, train_from: str | None) -> int:
    """Number of the part called so; that of parts where it is ``head``.  Raises ValueError."""
    names = list(network.parts)
    return 0 if train_from is None else [*names, "head"].index(train_from)


def descend(
    stage: GradientStage,
    network: ShapeNetwork,
    examples: Examples,
    accelerator: Accelerator,
    seed: Sequence[int],
    *,
    first: int = 0,
    optimizer_state: dict[str, Any] | None = None,
    accuracies: Sequence[float] = (),
    progress: Progress = no_progress,
) -> Generator[Epoch]:
    """Train ``network`` in place, from epoch ``first`` on.

    accuracies: validation accuracy after each epoch so far, to be extended by the caller between two epochs. Raises
    TrainingError when the loss is not finite.
    """
    learner = _Learner(network, first_part(network, stage.train_from))
    optimizer = _optimizer(stage, learner)
    if optimizer_state is not None:
        optimizer.load_state_dict(optimizer_state)
    rates = [stage.learning_rate, stage.learning_rate * stage.head_rate]
    accelerator.free_memory()  # it holds, and unscales the gradients of, the optimizers of earlier stages
    module = accelerator.prepare_model(learner)
    stepper = accelerator.prepare_optimizer(optimizer)
    loss_of = nn.CrossEntropyLoss(label_smoothing=stage.label_smoothing)
    steps = len(_starts(_count(stage, examples), stage.batch))
    for number in range(first, stage.epochs):
        random = np.random.default_rng([*seed, number])
        torch.manual_seed(int(random.integers(1 << 62)))
        learner.train_mode(frozen_norms=stage.batch_norm == "frozen")
        total = 0.0
        chosen = random.permutation(_choose(stage, examples, random))
        batches = _batches(stage, examples, chosen, random, accelerator)
        for step, (looks, labels) in enumerate(batches, start=number * steps):
            factor = learning_rate_factor(stage, number, step / (stage.epochs * steps), accuracies)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss = loss_of(module(looks).float(), labels)
            value = loss.item()
            if not math.isfinite(value):
                raise _astray(stage, number, f"The loss became {value}")
            stepper.zero_grad()
            accelerator.backward(loss)
            if stage.clip is not None:
                accelerator.clip_grad_norm_(learner.learned, stage.clip)
            stepper.step()
            total += value
            progress(step + 1, stage.epochs * steps)
        if not all(parameter.isfinite().all() for parameter in learner.learned):
            raise _astray(stage, number, "Weights became infinite or no numbers")
        yield Epoch(number, total / steps, optimizer.param_groups[0]["lr"], optimizer.state_dict())


def outputs(
    network: ShapeNetwork,
    activations: Activations,
    rows: NDArray[np.int64],
    accelerator: Accelerator,
    start: int,
    turns: int = 1,
) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and features (N, D), float32 on the CPU, of some rows as they are.

    turns: quarter turns that vote where there is one grid a shape.
    """
    network.eval()
    parts = []
    with torch.inference_mode(), accelerator.autocast():
        for chunk in np.split(rows, range(_TOGETHER, len(rows), _TOGETHER)):
            looks = activations.batch(chunk)
            if turns > 1 and looks.shape[1] == 1 and start == 0:
                looks = torch.cat([looks.rot90(4 // turns * turn, (2, 3)) for turn in range(turns)], dim=1)
            logits, features = network(looks.to(accelerator.device), start)
            parts.append((logits.float().cpu(), features.float().cpu()))
    logits, features = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return logits, features


class _Learner(nn.Module):
    """The part of a network that learns: what enters part ``start`` → logits."""

    def __init__(self, network: ShapeNetwork, start: int) -> None:
        super().__init__()
        self.network, self.start = network, start
        network.requires_grad_(True)
        for part in list(network.parts.values())[:start]:
            part.requires_grad_(False)

    @property
    def learned(self) -> list[nn.Parameter]:
        """All parameters that are trained."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def train_mode(self, *, frozen_norms: bool) -> None:
        """Dropout and batch statistics as training has them; frozen parts are not even run."""
        self.network.train()
        if frozen_norms:
            for module in self.network.modules():
                if isinstance(module, _NORMS):
                    module.eval()

    def forward(self, looks: Tensor) -> Tensor:
        """Looks (B, V, ...) → logits (B, C)."""
        logits: Tensor = self.network(looks, self.start)[0]
        return logits


def _optimizer(stage: GradientStage, learner: _Learner) -> torch.optim.Optimizer:
    """Two groups: all that is trained but the classifier, and the classifier."""
    classifier = learner.network.classifier
    own = list(classifier.parameters()) if classifier is not None else []
    ids = {id(parameter) for parameter in own}
    groups = [{"params": [p for p in learner.learned if id(p) not in ids]}, {"params": own}]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, stage.learning_rate, momentum=stage.momentum, weight_decay=stage.weight_decay)
    kind = torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, stage.learning_rate, weight_decay=stage.weight_decay)


def _astray(stage: GradientStage, number: int, what: str) -> TrainingError:
    return TrainingError(
        f"{what} in epoch {number + 1} of stage {stage.name}. Lower its learning rate, "
        f"--set stages.{stage.name}.learning_rate={stage.learning_rate / 10:g}, or clip its gradients, "
        f"--set stages.{stage.name}.clip=1."
    )


def _starts(count: int, batch: int) -> range:
    """Where batches start. The last one holds one example more rather than leave a batch of one, in which there is no
    variance to normalize by."""
    return range(0, max(1, count - 1), batch)


def _count(stage: GradientStage, examples: Examples) -> int:
    """How many examples an epoch has."""
    counts = np.bincount(examples.labels.numpy()[examples.rows])
    shapes = int(counts.max()) * int((counts > 0).sum()) if stage.balance else len(examples.rows)
    return shapes * (1 if stage.pooled else examples.activations.looks)


def _choose(stage: GradientStage, examples: Examples, random: np.random.Generator) -> NDArray[np.int64]:
    """(M, 3): row, view and repetition of each example of an epoch; view −1 where all are pooled.

    Balanced, each class is shown as often as the largest: all its shapes as many times as go into that, and of the rest
    some that are drawn anew in each epoch.
    """
    rows, repetition = examples.rows, np.zeros(len(examples.rows), np.int64)
    if stage.balance:
        classes = examples.labels.numpy()[rows]
        own = [rows[classes == each] for each in np.unique(classes)]
        largest = max(map(len, own))
        drawn = [
            np.concatenate([np.tile(each, largest // len(each)), random.permutation(each)[: largest % len(each)]])
            for each in own
        ]
        rows = np.concatenate(drawn)
        repetition = np.concatenate([np.arange(largest) // len(each) for each in own])
    looks = np.array([-1] if stage.pooled else range(examples.activations.looks))
    views = np.tile(looks, len(rows))
    return np.stack([np.repeat(rows, len(looks)), views, np.repeat(repetition, len(looks))], axis=1).astype(np.int64)


def _batches(
    stage: GradientStage,
    examples: Examples,
    chosen: NDArray[np.int64],
    random: np.random.Generator,
    accelerator: Accelerator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Looks and labels of one step after the other, a few put together ahead; of each, this process has its share.

    All views of a shape are changed alike, and each repetition of it in another way.
    """
    shown = map(tuple, np.unique(chosen[:, [2, 0]], axis=0).tolist())
    changes = {each: draw_change(stage.augment, examples.activations.axes, random) for each in shown}
    starts = _starts(len(chosen), stage.batch)
    processes, rank = accelerator.num_processes, accelerator.process_index

    def assemble(at: int) -> tuple[Tensor, Tensor]:
        together = chosen[at : None if at == starts[-1] else at + stage.batch]
        share = together[rank::processes] if len(together) >= processes else together
        rows = share[:, 0]
        drawn = [changes[repetition, row] for row, _, repetition in share.tolist()]
        looks = examples.activations.batch(rows, drawn, None if stage.pooled else share[:, 1])
        return looks, examples.labels[rows]

    with ThreadPoolExecutor(1) as assembler:
        coming = iter(starts)
        waiting = [assembler.submit(assemble, at) for at in itertools.islice(coming, _AHEAD)]
        while waiting:
            looks, labels = waiting.pop(0).result()
            waiting += [assembler.submit(assemble, at) for at in itertools.islice(coming, 1)]
            yield looks.to(accelerator.device, non_blocking=True), labels.to(accelerator.device, non_blocking=True)
