"""Quality of a network on the shapes that training held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.retrieval.protocols import mvcnn


@dataclass(frozen=True, slots=True)
class ValidationFigures:
    """Figures of a network on held-out shapes.

    Attributes:
        count: Number of held-out shapes.
        loss: Mean cross-entropy in nats.
        accuracy: Fraction of shapes whose class is predicted, in [0, 1].
        mean_class_accuracy: Mean of the accuracies of the classes, in [0, 1].
        mAP: Mean average precision of retrieval by class scores, protocol mvcnn, in [0, 1]; None if no class has two
            held-out shapes.
    """

    count: int
    loss: float
    accuracy: float
    mean_class_accuracy: float
    mAP: float | None  # noqa: N815


def figures_of(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> ValidationFigures:
    """Compute the figures of held-out shapes from their logits.

    Args:
        logits: (N, C) float32.
        labels: (N,) int64, from 0 to C - 1.
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
    """Whether an epoch is to be kept in place of the best one so far.

    Args:
        figures: The fields of :class:`ValidationFigures` of the epoch; None if no shapes are held out.
        best: Those of the best epoch so far; None if there is none.

    Returns:
        True for a higher accuracy, for the same accuracy with a lower loss, and for the first epoch.
    """
    if figures is None or best is None:
        return best is None
    return (figures["accuracy"], -figures["loss"]) > (best["accuracy"], -best["loss"])


def describe_figures(figures: ValidationFigures | None) -> str:
    """Format figures as the end of a progress message: ``, validation accuracy 91.2%, mAP 85.0%``; empty for None."""
    if figures is None:
        return ""
    retrieval = f", mAP {figures.mAP:.1%}" if figures.mAP is not None else ""
    return f", validation accuracy {figures.accuracy:.1%}{retrieval}"
