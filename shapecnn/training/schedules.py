"""Learning-rate schedules as pure functions of the training progress; to resume, no schedule state is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from shapecnn.settings.stages import GradientStage

LEAST_DECREASE = 1e-3
"""A training loss that is not lower than its earlier minimum by this fraction counts as not decreasing (stall)."""


def learning_rate_factor(
    stage: GradientStage, epoch: int, done: float, qualities: Sequence[float], losses: Sequence[float] = ()
) -> float:
    """Compute the current learning rate as a fraction of the maximum learning rate, from schedule and warm-up.

    Args:
        stage: Settings of the training stage, with schedule and warm-up.
        epoch: Number of finished epochs of the stage.
        done: Fraction of the steps of the stage that are finished, in [0, 1).
        qualities: Validation result after each finished epoch, higher is better: the mean class accuracy, or minus the
            error of a quantity; for the schedule plateau.
        losses: Mean training loss, at least 0, of each finished epoch; for the schedule stall.

    Returns:
        The fraction, in [0, 1].

    Example:
        >>> stage = GradientStage(name="all", epochs=9, learning_rate=0.1, schedule="stall", patience=2, factor=0.5)
        >>> learning_rate_factor(stage, 4, 4 / 9, [], [2.0, 1.5, 1.4999, 1.6])  # halved after 2 epochs in vain
        0.5
    """
    if done < stage.warmup:
        return (done + 1e-3) / (stage.warmup + 1e-3)
    if stage.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (done - stage.warmup) / max(1 - stage.warmup, 1e-9)))
    if stage.schedule == "step":
        return float(stage.factor ** (epoch // stage.step_epochs))
    if stage.schedule == "plateau":
        return float(stage.factor ** _drops(_rises(qualities), stage.patience))
    if stage.schedule == "stall":
        return float(stage.factor ** _drops(_falls(losses), stage.patience))
    return 1.0


def stalled(qualities: Sequence[float]) -> int:
    """Count the epochs since the best epoch, for early stopping.

    Args:
        qualities: Validation result after each epoch, higher is better.

    Returns:
        The number of epochs after the first epoch with the best result; 0 if there are no epochs.
    """
    return len(qualities) - 1 - qualities.index(max(qualities)) if qualities else 0


def _rises(qualities: Iterable[float]) -> Iterable[bool]:
    """Yield for each epoch whether its validation result is better than all earlier ones."""
    best = -math.inf
    for quality in qualities:
        yield quality > best
        best = max(best, quality)


def _falls(losses: Iterable[float]) -> Iterable[bool]:
    """Yield for each epoch whether its training loss is lower, by ``LEAST_DECREASE``, than when it last decreased.

    Small decreases add up: a loss that falls by half of ``LEAST_DECREASE`` in each epoch decreases in every second or
    third epoch.
    """
    lowest = math.inf
    for loss in losses:
        decreases = loss < lowest * (1 - LEAST_DECREASE)
        yield decreases
        lowest = loss if decreases else lowest


def _drops(improvements: Iterable[bool], patience: int) -> int:
    """Count how often there has been no improvement for ``patience`` epochs in a row."""
    drops, waited = 0, 0
    for improved in improvements:
        waited = 0 if improved else waited + 1
        if waited == patience:
            drops, waited = drops + 1, 0
    return drops
