"""Figures of classification: pure functions of labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ShapecnnError, UsageError

_BINS = 15  # of confidence, as in Guo et al. (2017)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of one class; rates are in [0, 1], and None where there is nothing to divide by.

    Attributes:
        count: How many shapes it has.
        accuracy: The share of them that is predicted right (recall).
        precision: The share of right ones among the shapes predicted to be of it.
        f1: The harmonic mean of both, 2 · right / (count + predicted).
    """

    count: int
    accuracy: float | None
    precision: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Classification:
    """Figures of a classification; rates are in [0, 1].

    Attributes:
        accuracy: The share of shapes that is predicted right.
        mean_class_accuracy: The mean accuracy over the classes that have shapes.
        per_class: The figures of each class, by its name.
        classes: The C classes.
        confusion: C × C counts of shapes: rows are true classes, columns predicted ones, in the order of ``classes``.
        ece: Expected calibration error.
    """

    accuracy: float
    mean_class_accuracy: float
    per_class: dict[str, ClassFigures]
    classes: list[str]
    confusion: list[list[int]]
    ece: float


def require_known(labels: Sequence[str], classes: Sequence[str]) -> None:
    """Check that a model was trained on all these labels.

    Raises:
        UsageError: It was not.
    """
    unknown = sorted({*labels} - {*classes})
    if unknown:
        raise UsageError(
            f"The data has shapes labelled {_listed(unknown)}, which the model does not know; its classes are "
            f"{_listed(classes)}. Rename or leave out those shapes, or measure --task retrieval."
        )


def classify(labels: Sequence[str], scores: NDArray[np.float32], classes: Sequence[str]) -> Classification:
    """Compute the figures of a classification.

    Args:
        labels: The true classes of N ≥ 1 shapes.
        scores: (N, C), probabilities; the class with the highest is predicted, the first of equal ones.
        classes: The C classes.

    Raises:
        UsageError: A label is not among the classes.
        ShapecnnError: A score is not finite.
    """
    require_known(labels, classes)
    if not np.isfinite(scores).all():
        raise ShapecnnError("The network's scores are not finite: its training went astray. Use another model.")
    codes = {label: code for code, label in enumerate(classes)}
    true = np.array([codes[label] for label in labels], np.int64)
    predicted = scores.argmax(axis=1)
    confusion = np.bincount(true * len(classes) + predicted, minlength=len(classes) ** 2).reshape(len(classes), -1)
    counts, predictions, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    present = counts > 0
    return Classification(
        accuracy=float(right.sum() / len(labels)),
        mean_class_accuracy=float((right[present] / counts[present]).mean()),
        per_class={
            label: ClassFigures(
                int(counts[k]),
                _ratio(right[k], counts[k]),
                _ratio(right[k], predictions[k]),
                _ratio(2 * right[k], counts[k] + predictions[k]),
            )
            for k, label in enumerate(classes)
        },
        classes=list(classes),
        confusion=confusion.tolist(),
        ece=calibration_error(true == predicted, scores.max(axis=1)),
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """Shapes whose confidence is nearly the same.

    Attributes:
        count: How many there are.
        confidence: Their mean confidence, in [0, 1]; 0 of no shapes.
        accuracy: The share that is predicted right, in [0, 1]; 0 of no shapes.
    """

    count: int
    confidence: float
    accuracy: float


def reliability(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> list[Bin]:
    """Sort predictions into 15 equally wide bins of confidence.

    Args:
        right: (N,), which predictions are right.
        confidence: (N,), their probabilities, in [0, 1].

    Returns:
        The bins from 0 to 1; each holds its upper end, and the first also 0.
    """
    bins = np.clip(np.ceil(confidence.astype(np.float64) * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    sums = (np.bincount(bins, values.astype(np.float64), minlength=_BINS) for values in (confidence, right))
    means = (total / np.maximum(counts, 1) for total in sums)
    return [Bin(*row) for row in zip(counts.tolist(), *(mean.tolist() for mean in means), strict=True)]


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> float:
    """Compute the expected calibration error (Guo et al., "On calibration of modern neural networks", 2017).

    Args:
        right: (N,), N ≥ 1, which predictions are right.
        confidence: (N,), their probabilities, in [0, 1].

    Returns:
        How far accuracy and mean confidence are apart, in [0, 1]: the mean over the bins of :func:`reliability`, each
        weighted by its size.
    """
    return sum(b.count * abs(b.accuracy - b.confidence) for b in reliability(right, confidence)) / len(right)


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return ", ".join(map(repr, labels[:10])) + more
