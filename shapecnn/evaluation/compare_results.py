"""Result of a comparison of models: accuracy, mAP and times of each model, and a test of each pair of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.intervals import Interval
from shapecnn.evaluation.results import Evaluation
from shapecnn.models.adaptation import bounded_similarity
from shapecnn.models.model import Split
from shapecnn.shared.results import Displayed, text_table

Values = NDArray[np.float64]
"""One value, such as an average precision, for each of N shapes: (N,)."""

ALPHA = 0.05
"""Significance level: one model is called better than another if the corrected p of the pair is at most 0.05."""

CLASSIFICATION_FIGURES = ("accuracy", "mean_class_accuracy")
RETRIEVAL_FIGURES = ("mAP", "mAP_macro", "AUC", "NN", "NDCG")


class Figure(NamedTuple):
    """A rate such as accuracy or mAP, and its 95 % interval, both in [0, 1]; None where undefined."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Measured:
    """Results, network size and times of one contender: a model with the feature by which it retrieves shapes.

    Attributes:
        contender: Model and feature that were measured.
        evaluation: Evaluation of the contender.
        figures: Results by name. The names are those in ``CLASSIFICATION_FIGURES`` and ``RETRIEVAL_FIGURES``.
        parameters: Number of parameters of the network.
        seconds_per_shape: Median time in seconds that the network takes for one shape, over up to 16 shapes run one at
            a time. Reading and rendering are not included.
        seconds_per_search: Median time in seconds to sort the whole gallery by similarity to a query, over 100 queries.
    """

    contender: Contender
    evaluation: Evaluation
    figures: dict[str, Figure]
    parameters: int
    seconds_per_shape: float
    seconds_per_search: float

    @property
    def name(self) -> str:
        """Model and feature as the user typed them, such as ``RUN`` or ``RUN:scores``."""
        return self.contender.name

    @property
    def feature_size(self) -> int:
        """Length of the feature vector that the network computes for a shape."""
        assert self.evaluation.queries is not None
        queries = self.evaluation.queries
        size = int(queries.features.shape[-1])
        return size // 2 if queries.similarity is bounded_similarity else size  # it compares rows of twice the length

    def right(self) -> Values | None:
        """Return 1 for each correctly classified shape and 0 for each other shape, (N,) for N shapes.

        The result is None if classification was not measured.
        """
        if self.evaluation.classification is None:
            return None
        return np.array([row.predicted == row.label for row in self.evaluation.predictions()], np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of one model in the output of ``shapecnn compare --json``."""
        retrieval, regression = self.evaluation.retrieval, self.evaluation.regression
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
            **({} if regression is None else {"regression": regression.to_json()}),
            "pr11": retrieval and retrieval.pr11,
            "seconds_per_shape": self.seconds_per_shape,
            "seconds_per_search": self.seconds_per_search,
            "engine": self.evaluation.engine,
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """Difference between two contenders in accuracy or in mAP, with a significance test.

    Attributes:
        figure: ``accuracy`` or ``mAP``.
        first: Name of the first contender.
        second: Name of the second contender.
        difference: Value of the first contender minus value of the second, on the same shapes, in [−1, 1].
        interval: 95 % bootstrap interval of the difference. Each resample has the same shapes for both contenders.
        p: Two-sided p of McNemar's exact test (accuracy) or of a permutation test of average precisions (mAP).
        p_holm: p corrected for the number of pairs by Holm's method.
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
        """Name of the significantly better contender; None if the difference is not significant."""
        if self.p_holm > ALPHA:
            return None
        return self.first if self.difference > 0 else self.second


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Displayed):
    """Result of a comparison of models on the same shapes.

    Attributes:
        split: Split of the shapes.
        seed: Random seed of the bootstrap intervals and of the permutation tests.
        measured: Results of the contenders, in the order in which the user named them. A contender is a model with the
            feature by which it retrieves shapes.
        pairs: Every pair of contenders, compared by accuracy and by mAP.
    """

    split: Split
    seed: int
    measured: list[Measured]
    pairs: list[Pair]

    def rows(self) -> list[dict[str, Any]]:
        """Return one table row for each contender: name, accuracies, retrieval results, network size and time.

        A contender is a model with the feature by which it retrieves shapes.
        """
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
        """Return the results of all compared models as a text table, and a table of the differences of each pair."""
        differences = [
            {
                "first": pair.first,
                "second": pair.second,
                "figure": pair.figure,
                "difference": pair.difference,
                "p (Holm)": pair.p_holm,
                "better": pair.better or "not significant",
            }
            for pair in self.pairs
        ]
        return "\n\n".join(text_table(rows) for rows in (self.rows(), differences) if rows)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn compare --json`` prints."""
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
