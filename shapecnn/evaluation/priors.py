"""Re-weight results to another class mix: accuracy and mAP if the classes were as frequent as a class prior says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import UsageError, quoted
from shapecnn.evaluation.intervals import Interval, class_means_interval
from shapecnn.settings.base import few
from shapecnn.storage.csv_reader import read_csv

UNIFORM = "uniform"
_COLUMNS = {"class": ("class", "label"), "share": ("share", "prior", "weight", "count")}


@dataclass(frozen=True, slots=True)
class ClassPrior:
    """How frequent the classes are where a model is used.

    Attributes:
        name: ``uniform``, or the name of the CSV file.
        weights: Weight of each class, at least 0, which need not sum to 1; None for equal weights.

    Example:
        >>> import shapecnn
        >>> shapecnn.ClassPrior("mostly beds", {"chair": 1, "bed": 3}).shares(["chair", "bed"])
        {'chair': 0.25, 'bed': 0.75}
    """

    name: str = UNIFORM
    weights: Mapping[str, float] | None = None

    @classmethod
    def read(cls, text: str) -> ClassPrior:
        """Read a class prior: ``uniform``, or the name of a CSV file with the columns class and share.

        Raises:
            UsageError: The file cannot be read, names a class twice, or has a share that is not a number of at least 0.
        """
        if text == UNIFORM:
            return cls()
        rows, _ = read_csv(Path(text), _COLUMNS)
        weights: dict[str, float] = {}
        for line, row in rows:
            try:
                weight = float(row["share"].rstrip("%"))
            except ValueError:
                weight = -1.0
            if not (0 <= weight < float("inf")):
                raise UsageError(
                    f"{text}, line {line}: the share {quoted(row['share'])} is not a number of at least 0."
                )
            if row["class"] in weights:
                raise UsageError(f"{text}, line {line}: the class {quoted(row['class'])} occurs twice.")
            weights[row["class"]] = weight
        if not any(weights.values()):
            raise UsageError(f"{text} has no class with a share above 0.")
        return cls(text, weights)

    def shares(self, labels: Sequence[str]) -> dict[str, float]:
        """Return the share of each class with a share above 0; the shares sum to 1.

        Args:
            labels: Labels of the evaluated shapes.
        """
        if self.weights is None:
            present = sorted({*labels})
            return dict.fromkeys(present, 1 / len(present))
        weights = {name: weight for name, weight in self.weights.items() if weight}
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items()}

    def require_measured(self, labels: Sequence[str]) -> None:
        """Raise UsageError if a class with a share above 0 has no evaluated shapes.

        Args:
            labels: Labels of the evaluated shapes.
        """
        if missing := [quoted(name) for name in self.shares(labels) if name not in {*labels}]:
            raise UsageError(
                f"{self.name} has a share for classes without evaluated shapes, whose results are not known: "
                f"{few(missing)}. Leave these classes out of the file, or set their share to 0."
            )


@dataclass(frozen=True, slots=True)
class Reweighted:
    """Results for a class mix: weighted means of the results of each class, in [0, 1].

    Attributes:
        name: Name of the class prior.
        shares: Share of each class; they sum to 1.
        accuracy: Accuracy; None without classification, or if a class has no shapes.
        mAP: Mean average precision of queries in this class mix, with the evaluated gallery; None without retrieval, or
            if a class has no queries.
        intervals: 95 % bootstrap intervals of ``accuracy`` and ``mAP``, by name.
    """

    name: str
    shares: dict[str, float]
    accuracy: float | None
    mAP: float | None  # noqa: N815
    intervals: dict[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn eval --json`` prints under ``class_prior``."""
        intervals = {name: interval and list(interval) for name, interval in self.intervals.items()}
        return {
            "prior": self.name,
            "shares": self.shares,
            "accuracy": self.accuracy,
            "mAP": self.mAP,
            "intervals": intervals,
        }


def reweight(
    prior: ClassPrior,
    labels: Sequence[str],
    right: NDArray[np.float64] | None,
    precisions: NDArray[np.float64] | None,
    seed: int = 0,
) -> Reweighted:
    """Compute accuracy and mAP for a class mix.

    Args:
        prior: How frequent the classes are.
        labels: Labels of N shapes.
        right: 1 for each correctly classified shape, else 0, (N,); None without classification.
        precisions: Average precision of each shape as a query, (N,), NaN for a skipped query; None without retrieval.
        seed: Random seed of the bootstrap.

    Returns:
        The results. Accuracy is None if a class of the prior has no shapes, mAP if it has no queries.
    """
    shares = prior.shares(labels)
    accuracy, accuracy_interval = _weighted(right, labels, shares, seed)
    precision, precision_interval = _weighted(precisions, labels, shares, seed)
    intervals = {"accuracy": accuracy_interval, "mAP": precision_interval}
    return Reweighted(prior.name, shares, accuracy, precision, intervals)


def class_means(
    values: NDArray[np.float64], labels: Sequence[str], seed: int = 0
) -> tuple[float | None, Interval | None]:
    """Compute the mean of the means of all classes, such as macro mAP, and its 95 % bootstrap interval.

    Args:
        values: One value for each of N shapes, (N,); NaN for a shape that is left out.
        labels: Labels of the N shapes.
        seed: Random seed of the bootstrap.

    Returns:
        The mean and the interval; None if all shapes are left out.
    """
    measured = Counter(label for label, value in zip(labels, values.tolist(), strict=True) if not np.isnan(value))
    if not measured:
        return None, None
    return _weighted(values, labels, dict.fromkeys(sorted(measured), 1 / len(measured)), seed)


def _weighted(
    values: NDArray[np.float64] | None, labels: Sequence[str], shares: Mapping[str, float], seed: int
) -> tuple[float | None, Interval | None]:
    """Return the mean of the class means, weighted by shares, and its interval; None if a class has no values."""
    if values is None:
        return None, None
    names = np.array(labels)
    groups = [values[(names == name) & ~np.isnan(values)] for name in shares]
    if not all(map(len, groups)):
        return None, None
    weights = np.array([*shares.values()])
    mean = float(weights @ np.array([group.mean() for group in groups]))
    return mean, class_means_interval(groups, weights, seed)
