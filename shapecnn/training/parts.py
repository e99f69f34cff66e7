"""Compute only the later parts of a network, which a stage trains, from the stored outputs of the frozen parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.stages import GradientStage, RbmStage, Stage
from shapecnn.training.activations import Activations
from shapecnn.training.processes import to_first
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

_BATCH = 32  # number of shapes in a forward pass without gradients


def first_part(network: ShapeNetwork, train_from: str | None) -> int:
    """Return the number of the first network part that is trained.

    Args:
        network: The network, which consists of named parts.
        train_from: Name of the first part to train; ``head`` for the layers after pooling; None for the whole network.

    Returns:
        The number of the part, from 0. For ``head``, the total number of parts.

    Raises:
        ValueError: The network has no part of this name.
    """
    names = list(network.parts)
    return 0 if train_from is None else [*names, "head"].index(train_from)


def last_gradient_stage(experiment: Experiment) -> GradientStage | None:
    """Return the last training stage that uses gradient descent; None if the experiment has no such stage."""
    stages = [stage for stage in experiment.stages if isinstance(stage, GradientStage)]
    return stages[-1] if stages else None


def activation_stage(experiment: Experiment, stage: Stage) -> GradientStage | None:
    """Return the gradient-descent stage whose stored activations a training stage uses as input.

    LDA and logistic regression use the activations of the last gradient-descent stage, so that they are computed only
    once.

    Args:
        experiment: Settings of the network and the training stages.
        stage: A training stage of the experiment.

    Returns:
        For a gradient-descent stage, the stage itself. For another stage, the last gradient-descent stage; None if the
        experiment has no gradient-descent stage.
    """
    return stage if isinstance(stage, GradientStage) else last_gradient_stage(experiment)


def start_part(network: ShapeNetwork, experiment: Experiment, stage: Stage) -> int:
    """Return the number of the first network part that a training stage computes; earlier outputs are stored on disk.

    Args:
        network: The network, which consists of named parts and a head.
        experiment: Settings of the network and the training stages.
        stage: A training stage of the experiment.

    Returns:
        The number of the part, from 0. If the stage computes only the head (the layers after pooling), the total number
        of parts.
    """
    if isinstance(stage, RbmStage):
        return 0
    source = activation_stage(experiment, stage)
    return first_part(network, source.train_from if source else "head")


def outputs(
    network: ShapeNetwork,
    activations: Activations,
    rows: NDArray[np.int64],
    accelerator: Accelerator,
    start: int,
    turns: int = 1,
    progress: Progress = no_progress,
) -> tuple[Tensor, Tensor]:
    """Compute the logits and features of B shapes from stored activations, without augmentation.

    Several processes compute a share each. Only the first gets the result, a batch at a time, so only its memory must
    hold it; the others get the logits and features of no shapes.

    Args:
        network: The network, which is switched to evaluation mode.
        activations: Stored outputs of the parts before part ``start``.
        rows: (B,) int64, indices of the B shapes in the activations.
        accelerator: Accelerate object with device and precision.
        start: Number of the first network part to compute, from 0; 0 computes the whole network.
        turns: Number of rotations of a grid about z to average over. Ignored unless ``start`` is 0 and each shape has a
            single grid.
        progress: Callback that receives the number of finished shapes and B.

    Returns:
        Pair of logits (B, C) and features (B, D), float32 on the CPU, of C classes and D numbers per feature; B is 0 in
        all processes but the first.
    """
    classes = network.classifier.out_features if network.classifier is not None else 0
    held = len(rows) if accelerator.is_main_process else 0
    logits, features = torch.empty((held, classes)), torch.empty((held, network.feature_size))
    own = own_outputs(network, activations, rows, accelerator, start, turns, progress)
    for first in range(0, len(rows), _BATCH * accelerator.num_processes):
        batch = torch.zeros((_BATCH, classes + network.feature_size))
        for _, some_logits, some_features in itertools.islice(own, 1):  # none is left if others have the last ones
            torch.cat([some_logits, some_features], dim=1, out=batch[: len(some_logits)])
        for place, found in zip(itertools.count(first, _BATCH), to_first(accelerator, batch), strict=False):
            count = len(logits[place : place + _BATCH])
            logits[place : place + count] = found[:count, :classes]
            features[place : place + count] = found[:count, classes:]
    return logits, features


def own_outputs(
    network: ShapeNetwork,
    activations: Activations,
    rows: NDArray[np.int64],
    accelerator: Accelerator,
    start: int,
    turns: int = 1,
    progress: Progress = no_progress,
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Compute, batch by batch, the logits and features of the shapes that are this process's share of B shapes.

    Args:
        network: As in :func:`outputs`, like the other arguments.
        activations: Stored outputs of the parts before part ``start``.
        rows: (B,) int64, indices of the B shapes in the activations.
        accelerator: Accelerate object with device, precision and processes.
        start: Number of the first network part to compute.
        turns: Number of rotations of a grid to average over.
        progress: Callback that receives the number of finished shapes and B.

    Yields:
        Of each batch the places of its shapes in ``rows``, and their logits and features.
    """
    network.eval()
    processes = accelerator.num_processes
    batches, done = range(0, len(rows), _BATCH)[accelerator.process_index :: processes], 0
    for first in batches:
        places = slice(first, min(first + _BATCH, len(rows)))
        with torch.inference_mode(), accelerator.autocast():
            inputs = activations.batch(rows[places])
            if turns > 1 and inputs.shape[1] == 1 and start == 0:
                inputs = torch.cat([inputs.rot90(4 // turns * turn, (2, 3)) for turn in range(turns)], dim=1)
            logits, features = network(inputs.to(accelerator.device), start)
            found = places, logits.float().cpu(), features.float().cpu()
        done += places.stop - places.start
        progress(min(done * processes, len(rows)), len(rows))
        yield found
