"""Choose the training examples of an epoch (shapes or single views), augment them, and assemble batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.settings.stages import GradientStage
from shapecnn.training.activations import Activations
from shapecnn.training.augmentation import draw_change
from shapecnn.training.processes import Share

if TYPE_CHECKING:
    from accelerate import Accelerator

_PREFETCH = 3  # number of batches that are assembled ahead while the network computes


@dataclass(frozen=True, slots=True)
class Examples:
    """Activations and targets of N shapes, and the indices of the M shapes to train on.

    Attributes:
        activations: Inputs of the first network part that the training changes, for the N shapes.
        rows: (M,) int64, indices of the shapes to train on, from 0 to N - 1.
        targets: (N,), what the network learns to predict of each of the N shapes: the class number, int64 from 0, or
            the value of a quantity, float32.
    """

    activations: Activations
    rows: NDArray[np.int64]
    targets: Tensor


class Batch(NamedTuple):
    """What a process computes in one step: its share of a batch.

    Attributes:
        inputs: (B, V, ...), B examples with V views each, on the device. B may be 0 if the batch is very small.
        targets: (B,), what the network learns to predict of each.
        share: Which part of the whole batch this is.
    """

    inputs: Tensor
    targets: Tensor
    share: Share


def batch_starts(count: int, batch: int) -> range:
    """Return the position of the first example of each batch, in an epoch of ``count`` examples.

    If the last batch had only one example, the example is added to the previous batch. Batch normalization cannot
    compute a variance from one example.

    Args:
        count: Number of examples in the epoch.
        batch: Number of examples in a batch.

    Returns:
        The positions, from 0.
    """
    return range(0, max(1, count - 1), batch)


def count_examples(stage: GradientStage, examples: Examples) -> int:
    """Count the examples of an epoch, including repetitions of shapes for class balance.

    Args:
        stage: Settings of view pooling (``pooled``) and class balance (``balance``).
        examples: The shapes to train on.

    Returns:
        The number of examples that :func:`draw_examples` returns.
    """
    shapes = len(examples.rows)
    if stage.balance:
        counts = np.bincount(examples.targets.numpy()[examples.rows])
        shapes = int(counts.max()) * int((counts > 0).sum())
    return shapes * (1 if stage.pooled else examples.activations.views_per_shape)


def draw_examples(stage: GradientStage, examples: Examples, random: np.random.Generator) -> NDArray[np.int64]:
    """Choose the examples of an epoch, sorted by shape; the caller shuffles them.

    With ``stage.balance``, all classes have as many examples as the largest class. All shapes of a smaller
    class are repeated the same number of times. The examples that are then still missing are further repetitions of
    randomly selected shapes of the class, at most one of each.

    Args:
        stage: Settings of view pooling (``pooled``) and class balance (``balance``).
        examples: The shapes to train on.
        random: Random generator that selects the shapes to repeat once more.

    Returns:
        (E, 3) int64 for E examples. The columns are the index of the shape, the number of the view, and the number of
        the repetition. The view is -1 if all views are pooled.
    """
    rows, repetition = examples.rows, np.zeros(len(examples.rows), np.int64)
    if stage.balance:
        classes = examples.targets.numpy()[rows]
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
) -> Iterator[Batch]:
    """Yield the augmented batches of an epoch. A few batches are assembled ahead, in a thread.

    All views of a shape get the same augmentation. If a shape is repeated, each repetition gets a new augmentation.
    Several processes divide each batch; together they have the batches of one process.

    Args:
        stage: Settings of batch size and augmentation.
        examples: The activations and targets.
        order: (E, 3) int64, the E examples from :func:`draw_examples`, shuffled.
        random: Random generator of the augmentation.
        accelerator: Accelerate object with the device. Its process number selects this process's share of each batch.

    Yields:
        What this process computes in one step.
    """
    pairs = map(tuple, np.unique(order[:, [2, 0]], axis=0).tolist())
    changes = {pair: draw_change(stage.augment, examples.activations.axes, random) for pair in pairs}
    starts = batch_starts(len(order), stage.batch)

    def assemble(start: int) -> Batch:
        """Return this process's share of the batch that begins at example ``start``."""
        whole = order[start : None if start == starts[-1] else start + stage.batch]
        share = Share(accelerator, len(whole))
        own = whole[share.own]
        rows = own[:, 0]
        own_changes = [changes[repetition, row] for row, _, repetition in own.tolist()]
        inputs = examples.activations.batch(rows, own_changes, None if stage.pooled else own[:, 1])
        return Batch(inputs, examples.targets[rows], share)

    with ThreadPoolExecutor(1) as assembler:
        remaining = iter(starts)
        queue = [assembler.submit(assemble, start) for start in itertools.islice(remaining, _PREFETCH)]
        while queue:
            inputs, targets, share = queue.pop(0).result()
            queue += [assembler.submit(assemble, start) for start in itertools.islice(remaining, 1)]
            device = accelerator.device
            yield Batch(inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True), share)
