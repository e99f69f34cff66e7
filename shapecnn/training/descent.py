"""Gradient descent on part of a network: one stage, epoch after epoch.

Everything random is drawn anew for each epoch from (seed, stage, epoch): an epoch does not depend on how its
predecessors were computed, in one go or after an interruption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import GradientStage
from shapecnn.training.examples import Examples, assemble_batches, batch_starts, count_examples, draw_examples
from shapecnn.training.parts import first_part
from shapecnn.training.schedules import learning_rate_factor
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Result of one epoch.

    Attributes:
        loss: Mean training loss over the steps.
        learning_rate: Learning rate of the last step, that of all parameters but the classifier's.
        optimizer: State dict of the optimizer after the last step.
    """

    loss: float
    learning_rate: float
    optimizer: dict[str, Any]


class Descent:
    """Gradient descent of one stage, which trains a network in place.

    Args:
        stage: Optimizer, schedule, batches and augmentation.
        network: The network; its parts before ``stage.train_from`` are frozen.
        examples: The activations that enter the first trained part, and their labels.
        accelerator: Sets device, precision and processes.
        seed: Numbers that, with that of the epoch, decide all that is random.
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
        accelerator.free_memory()  # it holds, and unscales the gradients of, the optimizers of earlier stages
        self._model = accelerator.prepare_model(self._trainable)
        self._stepper = accelerator.prepare_optimizer(self._optimizer)
        self._loss = nn.CrossEntropyLoss(label_smoothing=stage.label_smoothing)
        self._steps = len(batch_starts(count_examples(stage, examples), stage.batch))  # of one epoch

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Continue with the optimizer of an earlier epoch.

        Args:
            state: Its state dict, from :class:`Epoch`.
        """
        self._optimizer.load_state_dict(state)

    def train_epoch(self, number: int, accuracies: Sequence[float] = (), progress: Progress = no_progress) -> Epoch:
        """Train one epoch.

        Args:
            number: Number of the epoch in its stage, from 0.
            accuracies: Validation accuracy, in [0, 1], after each earlier epoch of the stage.
            progress: Called after each step with the steps done and those of the whole stage.

        Returns:
            Loss, learning rate and optimizer state.

        Raises:
            TrainingError: The loss or a weight is no longer finite.
        """
        stage, total_steps = self.stage, self.stage.epochs * self._steps
        random = np.random.default_rng([*self.seed, number])
        torch.manual_seed(int(random.integers(1 << 62)))
        self._trainable.train_mode(frozen_norms=stage.batch_norm == "frozen")
        order = random.permutation(draw_examples(stage, self.examples, random))
        batches = assemble_batches(stage, self.examples, order, random, self.accelerator)
        losses = 0.0
        for step, (inputs, labels) in enumerate(batches, start=number * self._steps):
            self._set_learning_rate(learning_rate_factor(stage, number, step / total_steps, accuracies))
            losses += self._step(inputs, labels, number)
            progress(step + 1, total_steps)
        if not all(parameter.isfinite().all() for parameter in self._trainable.trainable):
            raise _divergence(stage, number, "Weights became infinite or NaN")
        learning_rate = self._optimizer.param_groups[0]["lr"]
        return Epoch(losses / self._steps, learning_rate, self._optimizer.state_dict())

    def _set_learning_rate(self, factor: float) -> None:
        rate = self.stage.learning_rate
        for group, own_rate in zip(self._optimizer.param_groups, [rate, rate * self.stage.head_rate], strict=True):
            group["lr"] = own_rate * factor

    def _step(self, inputs: Tensor, labels: Tensor, number: int) -> float:
        """Update the weights on one batch and return its loss."""
        loss = self._loss(self._model(inputs).float(), labels)
        value = float(loss.item())
        if not math.isfinite(value):
            raise _divergence(self.stage, number, f"The loss became {value}")
        self._stepper.zero_grad()
        self.accelerator.backward(loss)
        if self.stage.clip is not None:
            self.accelerator.clip_grad_norm_(self._trainable.trainable, self.stage.clip)
        self._stepper.step()
        return value


class _TrainablePart(nn.Module):
    """The network from part ``start`` on; the parts before it are frozen."""

    def __init__(self, network: ShapeNetwork, start: int) -> None:
        super().__init__()
        self.network, self.start = network, start
        network.requires_grad_(True)
        for part in list(network.parts.values())[:start]:
            part.requires_grad_(False)

    @property
    def trainable(self) -> list[nn.Parameter]:
        """All parameters that are trained."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def train_mode(self, *, frozen_norms: bool) -> None:
        """Switch dropout and, unless they are frozen, batch statistics to training."""
        self.network.train()
        if frozen_norms:
            for module in self.network.modules():
                if isinstance(module, _NORMS):
                    module.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute logits (B, C) from the inputs (B, V, ...) of part ``start``."""
        logits: Tensor = self.network(inputs, self.start)[0]
        return logits


def _build_optimizer(stage: GradientStage, trainable: _TrainablePart) -> torch.optim.Optimizer:
    """Build the optimizer with two groups: all trained parameters but the classifier's, and the classifier's."""
    classifier = trainable.network.classifier
    own = list(classifier.parameters()) if classifier is not None else []
    ids = {id(parameter) for parameter in own}
    groups = [{"params": [p for p in trainable.trainable if id(p) not in ids]}, {"params": own}]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, stage.learning_rate, momentum=stage.momentum, weight_decay=stage.weight_decay)
    kind = torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, stage.learning_rate, weight_decay=stage.weight_decay)


def _divergence(stage: GradientStage, number: int, what: str) -> TrainingError:
    key = f"--set stages.{stage.name}"
    return TrainingError(
        f"{what} in epoch {number + 1} of stage {stage.name}. Train into another folder with "
        f"{key}.learning_rate={stage.learning_rate / 10:g}, or with {key}.clip=1."
    )
