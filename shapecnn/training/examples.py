"""Examples of one epoch of gradient descent: which shapes and views it shows, in which batches, changed how."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.settings.experiment import GradientStage
from shapecnn.training.activations import Activations
from shapecnn.training.augmentation import draw_change

if TYPE_CHECKING:
    from accelerate import Accelerator

_PREFETCH = 3  # batches assembled while the network computes


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled activations to learn from.

    Attributes:
        activations: The input of the part that is trained, of N shapes.
        rows: (M,) int64, the rows of the activations to learn from.
        labels: (N,) int64, the class of every row of the activations, from 0 to C - 1.
    """

    activations: Activations
    rows: NDArray[np.int64]
    labels: Tensor


def batch_starts(count: int, batch: int) -> range:
    """Positions at which the batches of an epoch start.

    The last batch takes one example more rather than leave a batch of one, which has no variance to normalize by.

    Args:
        count: Number of examples in the epoch.
        batch: Number of examples in a batch.

    Returns:
        The position of the first example of each batch.
    """
    return range(0, max(1, count - 1), batch)


def count_examples(stage: GradientStage, examples: Examples) -> int:
    """Count the examples of an epoch, repetitions for class balance included.

    Args:
        stage: Says whether views are pooled and classes balanced.
        examples: The shapes to learn from.

    Returns:
        The number of rows that :func:`draw_examples` draws.
    """
    counts = np.bincount(examples.labels.numpy()[examples.rows])
    shapes = int(counts.max()) * int((counts > 0).sum()) if stage.balance else len(examples.rows)
    return shapes * (1 if stage.pooled else examples.activations.views_per_shape)


def draw_examples(stage: GradientStage, examples: Examples, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw the examples of an epoch, not yet in random order.

    With ``stage.balance`` each class is shown as often as the largest: all its shapes as many times as that allows, and
    a random part of them once more, drawn anew in each epoch.

    Args:
        stage: Says whether views are pooled and classes balanced.
        examples: The shapes to learn from.
        random: Draws the shapes that are repeated once more.

    Returns:
        (M, 3) int64: row, view and repetition of each example. The view is -1 where all views are pooled.
    """
    rows, repetition = examples.rows, np.zeros(len(examples.rows), np.int64)
    if stage.balance:
        classes = examples.labels.numpy()[rows]
        rows_by_class = [rows[classes == code] for code in np.unique(classes)]
        largest = max(map(len, rows_by_class))
        balanced = [
            np.concatenate([np.tile(own, largest // len(own)), random.permutation(own)[: largest % len(own)]])
            for own in rows_by_class
        ]
        rows = np.concatenate(balanced)
        repetition = np.concatenate([np.arange(largest) // len(own) for own in rows_by_class])
    numbers = np.array([-1] if stage.pooled else range(examples.activations.views_per_shape))
    views = np.tile(numbers, len(rows))
    return np.stack([np.repeat(rows, len(numbers)), views, np.repeat(repetition, len(numbers))], axis=1).astype(
        np.int64
    )


def assemble_batches(
    stage: GradientStage,
    examples: Examples,
    order: NDArray[np.int64],
    random: np.random.Generator,
    accelerator: Accelerator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Assemble the batches of an epoch, a few of them ahead of the network.

    All views of a shape are changed alike, and each repetition of a shape differently.

    Args:
        stage: Sets batch size and augmentation.
        examples: The activations and labels.
        order: (M, 3) int64, the examples as :func:`draw_examples` returns them, in the order of the epoch.
        random: Draws the changes.
        accelerator: Names the device, and this process's share of each batch.

    Yields:
        Inputs (B, V, ...) and labels (B,) int64 of one step, on the device.
    """
    pairs = map(tuple, np.unique(order[:, [2, 0]], axis=0).tolist())
    changes = {pair: draw_change(stage.augment, examples.activations.axes, random) for pair in pairs}
    starts = batch_starts(len(order), stage.batch)
    processes, rank = accelerator.num_processes, accelerator.process_index

    def assemble(start: int) -> tuple[Tensor, Tensor]:
        whole = order[start : None if start == starts[-1] else start + stage.batch]
        share = whole[rank::processes] if len(whole) >= processes else whole
        rows = share[:, 0]
        own_changes = [changes[repetition, row] for row, _, repetition in share.tolist()]
        inputs = examples.activations.batch(rows, own_changes, None if stage.pooled else share[:, 1])
        return inputs, examples.labels[rows]

    with ThreadPoolExecutor(1) as assembler:
        remaining = iter(starts)
        queue = [assembler.submit(assemble, start) for start in itertools.islice(remaining, _PREFETCH)]
        while queue:
            inputs, labels = queue.pop(0).result()
            queue += [assembler.submit(assemble, start) for start in itertools.islice(remaining, 1)]
            yield inputs.to(accelerator.device, non_blocking=True), labels.to(accelerator.device, non_blocking=True)
