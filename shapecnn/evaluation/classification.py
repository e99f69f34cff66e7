"""Compute accuracy, confusion matrix and calibration of a classification from labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ShapecnnError, UsageError

_BINS = 15  # number of confidence bins, as in Guo et al. (2017)
_PAIRS = 10  # number of confused pairs of classes to list


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Classification results of one class. Rates are in [0, 1]; a rate is None if its denominator is 0.

    Attributes:
        count: Number of shapes of the class.
        accuracy: Fraction of the shapes of the class that are classified correctly (recall).
        precision: Fraction of the shapes predicted as the class that belong to it.
        f1: Harmonic mean of accuracy and precision, 2 · correct / (shapes of the class + shapes predicted as it).
    """

    count: int
    accuracy: float | None
    precision: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes whose shapes are taken for each other.

    Attributes:
        first: Name of the class of which the larger fraction is predicted as the other.
        second: Name of the other class.
        first_as_second: Number of shapes of the first class that are predicted as the second.
        second_as_first: Number of shapes of the second class that are predicted as the first.
        cost: Increase of the mean class accuracy, in [0, 1], if these shapes were predicted correctly.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    cost: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Classification results of all evaluated shapes; rates are in [0, 1].

    Attributes:
        accuracy: Fraction of the shapes that are classified correctly.
        mean_class_accuracy: Mean of the accuracies of all classes that have shapes.
        per_class: Results of each class, by class name.
        classes: Names of the C classes.
        confusion: Confusion matrix, C rows of C counts of shapes. Rows are true classes and columns predicted classes,
            in the order of ``classes``.
        ece: Expected calibration error; see :func:`calibration_error`.
        confused: The pairs of classes that are confused, the pair with the highest cost first, at most 10.
    """

    accuracy: float
    mean_class_accuracy: float
    per_class: dict[str, ClassFigures]
    classes: list[str]
    confusion: list[list[int]]
    ece: float
    confused: list[ConfusedPair]


def require_known(labels: Sequence[str], classes: Sequence[str]) -> None:
    """Raise UsageError unless all labels are classes of the model.

    Args:
        labels: Labels of the shapes to classify.
        classes: Classes that the model was trained on.

    Raises:
        UsageError: A label is not among the classes.
    """
    unknown = sorted({*labels} - {*classes})
    if unknown:
        raise UsageError(
            f"The data has shapes labelled {_listed(unknown)}, which the model does not know. The model knows the "
            f"classes {_listed(classes)}. Rename the labels, leave their shapes out, or use --task retrieval."
        )


def classify(labels: Sequence[str], scores: NDArray[np.float32], classes: Sequence[str]) -> Classification:
    """Compute accuracy, confusion matrix, calibration error and the results of each class.

    Args:
        labels: True classes of N ≥ 1 shapes.
        scores: Probabilities of C classes for each shape, (N, C). The class with the highest probability is the
            prediction; among equal probabilities, the first class.
        classes: Names of the C classes.

    Raises:
        UsageError: A label is not among the classes.
        ShapecnnError: A score is not finite.
    """
    require_known(labels, classes)
    if not np.isfinite(scores).all():
        raise ShapecnnError(
            "The network computes values that are not finite: its training diverged. Use another model."
        )
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
        confused=_confused(confusion, classes),
    )


def _confused(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[ConfusedPair]:
    """Return the pairs of classes with wrong predictions in the (C, C) confusion matrix, the most costly first."""
    counts = confusion.sum(axis=1)
    rates = confusion / np.maximum(counts, 1)[:, None]
    costs = np.triu(rates + rates.T, 1) / max((counts > 0).sum(), 1)
    pairs = []
    for place in np.argsort(-costs, axis=None, kind="stable")[:_PAIRS].tolist():
        one, other = divmod(place, len(classes))
        if not costs[one, other]:
            break
        a, b = (one, other) if rates[one, other] >= rates[other, one] else (other, one)
        cost = float(costs[one, other])
        pairs.append(ConfusedPair(classes[a], classes[b], int(confusion[a, b]), int(confusion[b, a]), cost))
    return pairs


@dataclass(frozen=True, slots=True)
class Bin:
    """Bin of a reliability diagram: predictions with nearly the same confidence.

    Attributes:
        count: Number of predictions in the bin.
        confidence: Mean confidence of the predictions, in [0, 1]; 0 for an empty bin.
        accuracy: Fraction of the predictions that are correct, in [0, 1]; 0 for an empty bin.
    """

    count: int
    confidence: float
    accuracy: float


def reliability(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> list[Bin]:
    """Sort predictions into 15 equally wide bins of confidence.

    Args:
        right: Whether each of N predictions is correct, (N,).
        confidence: Probability of each predicted class, (N,), in [0, 1].

    Returns:
        The 15 bins in order of confidence. A confidence on the border of two bins belongs to the lower bin.
    """
    bins = np.clip(np.ceil(confidence.astype(np.float64) * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    sums = (np.bincount(bins, values.astype(np.float64), minlength=_BINS) for values in (confidence, right))
    means = (total / np.maximum(counts, 1) for total in sums)
    return [Bin(*row) for row in zip(counts.tolist(), *(mean.tolist() for mean in means), strict=True)]


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> float:
    """Compute the expected calibration error (Guo et al., "On calibration of modern neural networks", 2017).

    Args:
        right: Whether each of N ≥ 1 predictions is correct, (N,).
        confidence: Probability of each predicted class, (N,), in [0, 1].

    Returns:
        The mean of |accuracy − mean confidence| over the bins of :func:`reliability`, weighted by the number of
        predictions in each bin, in [0, 1].
    """
    return sum(b.count * abs(b.accuracy - b.confidence) for b in reliability(right, confidence)) / len(right)


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return ", ".join(map(repr, labels[:10])) + more
