"""What a comparison of models consists of: the figures of each, and every pair of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.intervals import Interval
from shapecnn.evaluation.results import Evaluation
from shapecnn.models.model import Split
from shapecnn.shared.results import Displayed, text_table
from shapecnn.shared.similarity import cosines

Values = NDArray[np.float64]

ALPHA = 0.05
"""A model is called better than another if p, corrected for the number of pairs, is this or less."""

CLASSIFICATION_FIGURES = ("accuracy", "mean_class_accuracy")
RETRIEVAL_FIGURES = ("mAP", "AUC", "NN", "NDCG")


class Figure(NamedTuple):
    """A rate and its 95 % interval, both in [0, 1] and None where undefined."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender with its figures, its size and its times.

    Attributes:
        contender: The model and the feature that were measured.
        evaluation: The evaluation that the figures come from.
        figures: By name, those of ``CLASSIFICATION_FIGURES`` and ``RETRIEVAL_FIGURES``.
        parameters: How many its network has.
        seconds_per_shape: Seconds from a shape's pictures or grids in memory to its feature, one shape at a time as a
            query comes, the median of 16.
        seconds_per_search: Seconds from a feature to the whole gallery in order, the median of 100.
    """

    contender: Contender
    evaluation: Evaluation
    figures: dict[str, Figure]
    parameters: int
    seconds_per_shape: float
    seconds_per_search: float

    @property
    def name(self) -> str:
        """The name of the contender."""
        return self.contender.name

    @property
    def feature_size(self) -> int:
        """The length of an item's feature."""
        assert self.evaluation.queries is not None
        queries = self.evaluation.queries
        size = int(queries.features.shape[-1])
        return size if queries.similarity is cosines else size // 2  # which come with what the network alone sees

    def right(self) -> Values | None:
        """Return 1 for each shape that is predicted right and 0 for the others, (N,); None without classification."""
        if self.evaluation.classification is None:
            return None
        return np.array([row.predicted == row.label for row in self.evaluation.predictions()], np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return the figures and what they are of, as JSON."""
        retrieval = self.evaluation.retrieval
        return {
            "name": self.name,
            "model": self.evaluation.model,
            "data": self.evaluation.data,
            "feature": self.evaluation.feature,
            "feature_size": self.feature_size,
            "parameters": self.parameters,
            "left_out": self.contender.left_out,
            "figures": {
                name: {"value": value, "interval": interval and list(interval)}
                for name, (value, interval) in self.figures.items()
            },
            "pr11": retrieval and retrieval.pr11,
            "seconds_per_shape": self.seconds_per_shape,
            "seconds_per_search": self.seconds_per_search,
            "engine": self.evaluation.engine,
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """The difference of two models in one figure.

    Attributes:
        figure: ``accuracy`` or ``mAP``.
        first: The name of one contender.
        second: The name of the other.
        difference: The first's figure less the second's, on the shapes that both were measured on, in [−1, 1].
        interval: Its 95 % interval, in which shapes are drawn anew for both together.
        p: Two-sided p of McNemar's exact test (accuracy) or of the permutation test of each query's average precision
            (mAP).
        p_holm: p corrected for the number of pairs.
    """

    figure: str
    first: str
    second: str
    difference: float
    interval: Interval
    p: float
    p_holm: float

    @property
    def better(self) -> str | None:
        """The name of the one that is better beyond chance, if any."""
        if self.p_holm > ALPHA:
            return None
        return self.first if self.difference > 0 else self.second


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Displayed):
    """Models compared on the same shapes.

    Attributes:
        split: The split that the shapes belong to.
        seed: That of the intervals and the tests.
        measured: The contenders in the order they were named.
        pairs: Every pair of them by each figure that is tested.
    """

    split: Split
    seed: int
    measured: list[Measured]
    pairs: list[Pair]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each contender: name, its figures, size and times."""
        return [
            {
                "model": one.name,
                **{name: figure.value for name, figure in one.figures.items()},
                "feature_size": one.feature_size,
                "parameters": one.parameters,
                "seconds_per_shape": one.seconds_per_shape,
            }
            for one in self.measured
        ]

    def __repr__(self) -> str:
        """Return the figures as a table."""
        return text_table(self.rows())

    def to_json(self) -> dict[str, Any]:
        """Return all figures, as ``shapecnn compare --json`` prints them."""
        evaluation = self.measured[0].evaluation
        retrieval = evaluation.retrieval.to_json() if evaluation.retrieval else {}
        shared = ("protocol", "queries", "queries_skipped", "gallery", "self_included", "ap_rule")
        return {
            "schema_version": 1,
            "split": self.split,
            "count": len(evaluation.entries),
            "retrieval": {name: retrieval[name] for name in shared},
            "seed": self.seed,
            "alpha": ALPHA,
            "models": [one.to_json() for one in self.measured],
            "pairs": [
                {
                    "figure": pair.figure,
                    "first": pair.first,
                    "second": pair.second,
                    "difference": pair.difference,
                    "interval": list(pair.interval),
                    "p": pair.p,
                    "p_holm": pair.p_holm,
                    "better": pair.better,
                }
                for pair in self.pairs
            ],
        }
