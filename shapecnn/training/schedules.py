"""Learning rates as a pure function of how far a stage has come, so that nothing has to be remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shapecnn.settings.experiment import GradientStage


def learning_rate_factor(stage: GradientStage, epoch: int, done: float, accuracies: Sequence[float]) -> float:
    """What multiplies the stage's learning rate.

    epoch: finished ones.  done: the share of the stage's steps that were taken, in [0, 1).  accuracies: of the
    validation after each finished epoch.
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
    """How many epochs have gone by since the best one, the first of equal ones."""
    return len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0


def _drops(accuracies: Sequence[float], patience: int) -> int:
    """How often ``patience`` epochs in a row brought nothing better."""
    drops, waited, best = 0, 0, -math.inf
    for accuracy in accuracies:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == patience:
            drops, waited = drops + 1, 0
    return drops
