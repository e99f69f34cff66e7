"""Gradient descent: train some or all parts of a network for the epochs of one training stage.

The random generator of each epoch is seeded with the seed, the stage number and the epoch number. A training that was
interrupted and resumed therefore gives the same weights as an uninterrupted training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.stages import GradientStage
from shapecnn.training.examples import Batch, Examples, assemble_batches, batch_starts, count_examples, draw_examples
from shapecnn.training.layer_statistics import LayerMonitor, LayerStatistics, sampled_steps
from shapecnn.training.losses import loss_function
from shapecnn.training.parts import first_part
from shapecnn.training.processes import WholeBatch, add_up
from shapecnn.training.schedules import learning_rate_factor
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
}


@dataclass(frozen=True, slots=True)
class Epoch:
    """Result of one training epoch: loss, learning rate, optimizer state and statistics of the layers.

    Attributes:
        loss: Mean training loss over the steps, over the examples of all processes.
        learning_rate: Learning rate in the last step for all parameters except those of the classifier.
        optimizer: State dict of the optimizer after the last step.
        layers: Statistics of each layer that is trained, from a few steps.
    """

    loss: float
    learning_rate: float
    optimizer: dict[str, Any]
    layers: list[LayerStatistics]


class Descent:
    """Trains a network in place by gradient descent, for the epochs of one training stage.

    Several processes compute the same steps as one, up to rounding: each computes a share of every batch, and their
    losses and gradients are those of the whole batch.

    Args:
        stage: Settings of optimizer, schedule, batches and augmentation.
        network: The network. Its parts before ``stage.train_from`` are frozen.
        examples: Inputs of the first part that is not frozen (called activations), and targets.
        accelerator: Accelerate object with device, precision and processes.
        seed: Numbers that seed the random generator, together with the number of the epoch.
    """

    def __init__(
        self,
        stage: GradientStage,
        network: ShapeNetwork,
        examples: Examples,
        accelerator: Accelerator,
        seed: Sequence[int],
    ) -> None:
        self.stage, self.examples, self.accelerator, self.seed = stage, examples, accelerator, seed
        self._trainable = _TrainablePart(network, first_part(network, stage.train_from))
        self._optimizer = _build_optimizer(stage, self._trainable)
        accelerator.free_memory()  # drop earlier optimizers; Accelerate would unscale their gradients too
        self._model = accelerator.prepare_model(self._trainable)
        self._stepper = accelerator.prepare_optimizer(self._optimizer)
        self._loss = loss_function(stage)
        self._monitor = LayerMonitor(network, partial(add_up, accelerator))
        self._steps = len(batch_starts(count_examples(stage, examples), stage.batch))  # number of steps in an epoch

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Restore the optimizer state of the last finished epoch, so that the training continues after this epoch.

        Args:
            state: State dict of the optimizer, from :class:`Epoch`.
        """
        self._optimizer.load_state_dict(state)

    def train_epoch(
        self,
        number: int,
        qualities: Sequence[float] = (),
        losses: Sequence[float] = (),
        progress: Progress = no_progress,
    ) -> Epoch:
        """Train the network for one epoch.

        Args:
            number: Number of the epoch in its stage, from 0.
            qualities: Mean class accuracy in validation, or minus the error of a quantity, after each earlier epoch of
                the stage.
            losses: Training loss of each earlier epoch of the stage.
            progress: Callback after each step. It gets two numbers: finished steps, and all steps of the stage.

        Returns:
            The loss, learning rate, optimizer state and statistics of the layers.

        Raises:
            TrainingError: The loss or a weight became infinite or NaN.
        """
        stage, total_steps = self.stage, self.stage.epochs * self._steps
        random = np.random.default_rng([*self.seed, number])
        torch.manual_seed(int(random.integers(1 << 62)))
        self._trainable.train_mode(frozen_norms=stage.batch_norm == "frozen")
        order = random.permutation(draw_examples(stage, self.examples, random))
        batches = assemble_batches(stage, self.examples, order, random, self.accelerator)
        sampled, loss = sampled_steps(self._steps), 0.0
        for step, batch in enumerate(batches, start=number * self._steps):
            self._set_learning_rate(learning_rate_factor(stage, number, step / total_steps, qualities, losses))
            loss += self._step(batch, number, sample=step - number * self._steps in sampled)
            progress(step + 1, total_steps)
        if not all(parameter.isfinite().all() for parameter in self._trainable.trainable):
            raise _divergence(stage, number, "Weights became infinite or NaN")
        learning_rate = self._optimizer.param_groups[0]["lr"]
        return Epoch(loss / self._steps, learning_rate, self._optimizer.state_dict(), self._monitor.statistics())

    def _set_learning_rate(self, factor: float) -> None:
        """Set the learning rate of each parameter group to the maximum rate of the group times ``factor``."""
        rate = self.stage.learning_rate
        for group, own_rate in zip(self._optimizer.param_groups, [rate, rate * self.stage.head_rate], strict=True):
            group["lr"] = own_rate * factor

    def _step(self, batch: Batch, number: int, *, sample: bool) -> float:
        """Update the weights on one batch, and return its loss. If ``sample`` is true, sample the layers."""
        share = batch.share
        processes: int = self.accelerator.num_processes
        with (
            self._monitor.watch(share.part) if sample else nullcontext(),
            WholeBatch(share) if processes > 1 else nullcontext(),
        ):
            logits = self._model(batch.inputs).float()
        # The gradients of the processes are averaged: their mean is the gradient of the mean loss of the whole batch.
        loss = self._loss(logits, batch.targets) * (share.part * processes) if len(logits) else logits.sum()
        value = share.add_up(loss.detach().clone()).item() / processes
        if not math.isfinite(value):
            raise _divergence(self.stage, number, f"The loss became {value}")
        self._stepper.zero_grad()
        self.accelerator.backward(loss)
        if sample:
            scaler = self.accelerator.scaler  # with 16-bit floats on old GPUs, the loss is scaled
            self._monitor.read_gradients(1.0 if scaler is None else scaler.get_scale())
        if self.stage.clip is not None:
            self.accelerator.clip_grad_norm_(self._trainable.trainable, self.stage.clip)
        self._stepper.step()
        return value


class _TrainablePart(nn.Module):
    """Torch module that applies a network from part number ``start`` to the logits, and freezes the earlier parts."""

    def __init__(self, network: ShapeNetwork, start: int) -> None:
        super().__init__()
        self.network, self.start = network, start
        network.requires_grad_(True)
        for part in list(network.parts.values())[:start]:
            part.requires_grad_(False)

    @property
    def trainable(self) -> list[nn.Parameter]:
        """All parameters that are not frozen."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def train_mode(self, *, frozen_norms: bool) -> None:
        """Switch the network to training mode, except for batch normalization if ``frozen_norms`` is true."""
        self.network.train()
        if frozen_norms:
            for module in self.network.modules():
                if isinstance(module, _NORMS):
                    module.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits (B, C) of B shapes for C classes, from inputs (B, V, ...) with V views per shape."""
        logits: Tensor = self.network(inputs, self.start)[0]
        return logits


def _build_optimizer(stage: GradientStage, trainable: _TrainablePart) -> torch.optim.Optimizer:
    """Create the optimizer with two groups of trainable parameters: first those outside the classifier, then it."""
    classifier = trainable.network.classifier
    own = list(classifier.parameters()) if classifier is not None else []
    ids = {id(parameter) for parameter in own}
    groups = [{"params": [p for p in trainable.trainable if id(p) not in ids]}, {"params": own}]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, stage.learning_rate, momentum=stage.momentum, weight_decay=stage.weight_decay)
    return _OPTIMIZERS[stage.optimizer](groups, lr=stage.learning_rate, weight_decay=stage.weight_decay)


def _divergence(stage: GradientStage, number: int, what: str) -> TrainingError:
    """Create the error for a diverged training. Its message suggests a lower learning rate or gradient clipping."""
    key = f"--set stages.{stage.name}"
    return TrainingError(
        f"{what} in epoch {number + 1} of stage {stage.name}. Start a new training in "
        f"another --out folder, with {key}.learning_rate={stage.learning_rate / 10:g} or {key}.clip=1."
    )
