"""Validation during training: loss, accuracy and mAP, or the errors of a quantity, on the held-out shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.regression import errors
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.training.data import Scale
from shapecnn.training.losses import squared_loss
from shapecnn.training.result import Figures, QuantityFigures, ValidationFigures, stored_figures


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
    classification, retrieval = classify(names, scores, classes), mvcnn(scores, names)
    return ValidationFigures(
        len(names),
        functional.cross_entropy(logits, labels).item(),
        classification.accuracy,
        classification.mean_class_accuracy,
        retrieval.mAP,
        retrieval.mAP_macro,
    )


def quantity_figures(outputs: Tensor, targets: Tensor, scale: Scale) -> QuantityFigures:
    """Compute loss, R² and errors from the outputs of held-out shapes.

    Args:
        outputs: (N, 1) float32, outputs of N shapes, standardized.
        targets: (N,) float32, values of the shapes, standardized.
        scale: Mean and standard deviation of the values of the training shapes.

    Returns:
        The loss of the standardized values, and R² and errors in the unit of the quantity.
    """
    values, predictions = (scale.undo(tensor.double().numpy()) for tensor in (targets, outputs[:, 0]))
    return QuantityFigures(len(targets), squared_loss(outputs, targets).item(), *errors(values, predictions))


def is_better(figures: dict[str, Any] | None, best: dict[str, Any] | None) -> bool:
    """Return whether an epoch has better validation results than the best epoch so far.

    Args:
        figures: Validation results of the epoch, as a dict; None if no shapes are held out.
        best: Validation results of the best epoch so far, as a dict; None before the first epoch.

    Returns:
        True if the mean class accuracy is higher (of a quantity, the error lower), or if it is equal and the loss
        lower. Also true for the first epoch; without held-out shapes, only for the first.
    """
    if figures is None or best is None:
        return best is None
    return (stored_figures(figures).quality, -figures["loss"]) > (stored_figures(best).quality, -best["loss"])


def describe_figures(figures: Figures | None) -> str:
    """Return validation results as text for a message: ``, validation accuracy 91.2%, mAP 85.0%``; empty for None."""
    if figures is None:
        return ""
    headline = f", {figures.headline}"
    if not isinstance(figures, ValidationFigures) or figures.mAP is None:
        return headline
    micro = f"{figures.mAP:.1%}"
    macro = micro if figures.mAP_macro is None else f"{figures.mAP_macro:.1%}"
    return f"{headline}, mAP {micro}" if macro == micro else f"{headline}, macro mAP {macro}, mAP {micro}"
