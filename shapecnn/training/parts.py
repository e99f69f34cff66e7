"""Networks entered at one of their parts: where a stage enters, and what the network computes from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import Experiment, GradientStage, Stage
from shapecnn.training.activations import Activations

if TYPE_CHECKING:
    from accelerate import Accelerator

_BATCH = 32  # shapes in one forward pass without gradients


def first_part(network: ShapeNetwork, train_from: str | None) -> int:
    """Number of the first part that is trained.

    Args:
        network: The network with named parts.
        train_from: Name of a part, ``head`` for what follows pooling, None for the whole network.

    Returns:
        The number of the part, from 0; the number of parts for ``head``.

    Raises:
        ValueError: The network has no such part.
    """
    names = list(network.parts)
    return 0 if train_from is None else [*names, "head"].index(train_from)


def last_gradient_stage(experiment: Experiment) -> GradientStage | None:
    """Last stage of an experiment that trains by gradients, or None if there is none."""
    stages = [stage for stage in experiment.stages if isinstance(stage, GradientStage)]
    return stages[-1] if stages else None


def activation_stage(experiment: Experiment, stage: Stage) -> GradientStage | None:
    """Gradient stage whose activations a stage reads.

    A closed form reads those of the last gradient stage, so that they are computed once.

    Args:
        experiment: All stages.
        stage: One of them.

    Returns:
        ``stage`` itself if it trains by gradients, else the last stage that does, or None if there is none.
    """
    return stage if isinstance(stage, GradientStage) else last_gradient_stage(experiment)


def start_part(network: ShapeNetwork, experiment: Experiment, stage: Stage) -> int:
    """Number of the part that reads the activations of a stage.

    Args:
        network: The network that is trained.
        experiment: All stages.
        stage: One of them.

    Returns:
        The number of the part, from 0; the number of parts where only the head computes.
    """
    source = activation_stage(experiment, stage)
    return first_part(network, source.train_from if source else "head")


def outputs(
    network: ShapeNetwork,
    activations: Activations,
    rows: NDArray[np.int64],
    accelerator: Accelerator,
    start: int,
    turns: int = 1,
) -> tuple[Tensor, Tensor]:
    """Compute logits and features of some shapes, without augmentation.

    Args:
        network: The network; left in evaluation mode.
        activations: The input of part ``start``.
        rows: (B,) int64, the rows of the activations.
        accelerator: Sets device and precision.
        start: Number of the part that the activations enter.
        turns: Quarter turns about z whose features are averaged, where ``start`` is 0 and a shape has one grid.

    Returns:
        Logits (B, C) and features (B, D), float32 on the CPU.
    """
    network.eval()
    parts = []
    with torch.inference_mode(), accelerator.autocast():
        for chunk in np.split(rows, range(_BATCH, len(rows), _BATCH)):
            inputs = activations.batch(chunk)
            if turns > 1 and inputs.shape[1] == 1 and start == 0:
                inputs = torch.cat([inputs.rot90(4 // turns * turn, (2, 3)) for turn in range(turns)], dim=1)
            logits, features = network(inputs.to(accelerator.device), start)
            parts.append((logits.float().cpu(), features.float().cpu()))
    logits, features = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return logits, features
