"""Validation during training: loss, accuracy and mAP of a network on the held-out shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.training.result import ValidationFigures


def figures_of(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> ValidationFigures:
    """Compute loss, accuracies and mAP from the logits of held-out shapes.

    Args:
        logits: (N, C) float32, logits of N shapes for C classes.
        labels: (N,) int64, class number of each shape, from 0 to C - 1.
        classes: Names of the C classes.

    Returns:
        Loss, accuracies and mean average precision.
    """
    scores = logits.double().softmax(dim=1).float().numpy()
    names = [classes[code] for code in labels.tolist()]
    classification = classify(names, scores, classes)
    return ValidationFigures(
        len(names),
        functional.cross_entropy(logits, labels).item(),
        classification.accuracy,
        classification.mean_class_accuracy,
        mvcnn(scores, names).mAP,
    )


def is_better(figures: dict[str, Any] | None, best: dict[str, Any] | None) -> bool:
    """Return whether an epoch has better validation results than the best epoch so far.

    Args:
        figures: Validation results of the epoch, as a dict; None if no shapes are held out.
        best: Validation results of the best epoch so far, as a dict; None before the first epoch.

    Returns:
        True if the accuracy is higher, or if the accuracy is equal and the loss lower. Also true for the first epoch;
        without held-out shapes, only for the first.
    """
    if figures is None or best is None:
        return best is None
    return (figures["accuracy"], -figures["loss"]) > (best["accuracy"], -best["loss"])


def describe_figures(figures: ValidationFigures | None) -> str:
    """Return validation results as text for a message: ``, validation accuracy 91.2%, mAP 85.0%``; empty for None."""
    if figures is None:
        return ""
    retrieval = f", mAP {figures.mAP:.1%}" if figures.mAP is not None else ""
    return f", validation accuracy {figures.accuracy:.1%}{retrieval}"
