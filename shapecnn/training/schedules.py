"""Learning-rate schedules as pure functions of the training progress; to resume, no schedule state is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shapecnn.settings.stages import GradientStage


def learning_rate_factor(stage: GradientStage, epoch: int, done: float, accuracies: Sequence[float]) -> float:
    """Compute the current learning rate as a fraction of the maximum learning rate, from schedule and warm-up.

    Args:
        stage: Settings of the training stage, with schedule and warm-up.
        epoch: Number of finished epochs of the stage.
        done: Fraction of the steps of the stage that are finished, in [0, 1).
        accuracies: Validation accuracy, in [0, 1], after each finished epoch.

    Returns:
        The fraction, in [0, 1].
    """
    if done < stage.warmup:
        return (done + 1e-3) / (stage.warmup + 1e-3)
    if stage.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (done - stage.warmup) / max(1 - stage.warmup, 1e-9)))
    if stage.schedule == "step":
        return float(stage.factor ** (epoch // stage.step_epochs))
    if stage.schedule == "plateau":
        return float(stage.factor ** _drops(accuracies, stage.patience))
    return 1.0


def stalled(accuracies: Sequence[float]) -> int:
    """Count the epochs since the best epoch, for early stopping.

    Args:
        accuracies: Validation accuracy, in [0, 1], after each epoch.

    Returns:
        The number of epochs after the first epoch with the highest accuracy; 0 if there are no epochs.
    """
    return len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0


def _drops(accuracies: Sequence[float], patience: int) -> int:
    """Count how often the validation accuracy has not improved for ``patience`` epochs in a row."""
    drops, waited, best = 0, 0, -math.inf
    for accuracy in accuracies:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == patience:
            drops, waited = drops + 1, 0
    return drops
