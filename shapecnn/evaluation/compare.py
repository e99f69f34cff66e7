"""Models measured on the same shapes, figures side by side, and which of them is better than which beyond chance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.evaluate import Protocol, evaluate
from shapecnn.evaluation.intervals import Interval, mean_interval
from shapecnn.evaluation.results import Evaluation
from shapecnn.evaluation.significance import holm, mcnemar, sign_flips
from shapecnn.evaluation.timing import Network, measure_network, seconds_per_search
from shapecnn.models.engine import Device
from shapecnn.models.model import Split, classes_of
from shapecnn.similarity import cosines
from shapecnn.workers.progress import Progress

Bar = Callable[[str], AbstractContextManager[Progress]]
Values = NDArray[np.float64]

ALPHA = 0.05  # a difference of this p, corrected for the number of pairs, is told

CLASSIFICATION_FIGURES = ("accuracy", "mean_class_accuracy")
RETRIEVAL_FIGURES = ("mAP", "AUC", "NN", "NDCG")


class Figure(NamedTuple):
    """A rate in [0, 1], None where it is undefined, and its 95 % interval."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one contender.

    figures: by name, those of ``CLASSIFICATION_FIGURES`` and ``RETRIEVAL_FIGURES``.  parameters: of its network.
    seconds_per_shape: from a shape's pictures or grids in memory to its feature, one shape at a time as a query
    comes, the median of 16.  seconds_per_search: from a feature to the whole gallery in order, the median of 100.
    """

    contender: Contender
    evaluation: Evaluation
    figures: dict[str, Figure]
    parameters: int
    seconds_per_shape: float
    seconds_per_search: float

    @property
    def name(self) -> str:
        """That of the contender."""
        return self.contender.name

    @property
    def feature_size(self) -> int:
        """How many numbers the feature of an item has."""
        assert self.evaluation.queries is not None
        queries = self.evaluation.queries
        size = int(queries.features.shape[-1])
        return size if queries.similarity is cosines else size // 2  # which come with what the network alone sees

    def right(self) -> Values | None:
        """(N,): 1 for shapes that are told right, 0 for the others; None without classification."""
        if self.evaluation.classification is None:
            return None
        return np.array([told.predicted == told.label for told in self.evaluation.predictions()], np.float64)

    def to_json(self) -> dict[str, Any]:
        """The figures, and what they are of."""
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
    """Two models by one figure.

    difference: that of ``first`` less that of ``second``, of the shapes that both were measured on, and its 95 %
    interval, in which shapes are drawn anew for both together.  p: two-sided, of McNemar's exact test (accuracy) or of
    the permutation test of each query's average precision (mAP).  p_holm: corrected for the number of pairs.
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
        """Which of them is better beyond chance."""
        if self.p_holm > ALPHA:
            return None
        return self.first if self.difference > 0 else self.second


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders in the order they were named, and every pair of them."""

    split: Split
    seed: int
    measured: list[Measured]
    pairs: list[Pair]

    def to_json(self) -> dict[str, Any]:
        """All figures, as ``shapecnn compare --json`` prints them."""
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


def compare(
    contenders: Sequence[Contender],
    split: Split = "test",
    *,
    protocol: Protocol = "mvcnn",
    device: Device = "auto",
    seed: int = 0,
    bar: Bar = lambda _what: nullcontext(lambda _done, _total: None),
) -> Comparison:
    """Measure each contender, one after the other, and compare every pair.

    Classification is left out for a model that does not know all the labels. ``bar`` opens the progress of one
    contender by its name. Raises what ``evaluate`` raises.
    """
    networks: dict[str, Network] = {}  # named more than once, a model is timed once
    measured = []
    for contender in contenders:
        with bar(contender.name) as progress:
            evaluation = _evaluate(contender, split, protocol, device, seed, progress)
        name = contender.model.name
        if name not in networks:
            networks[name] = measure_network(contender, evaluation, device)
        measured.append(
            Measured(contender, evaluation, _figures(evaluation, seed), *networks[name], seconds_per_search(evaluation))
        )
    return Comparison(split, seed, measured, pairs(measured, seed))


def pairs(measured: Sequence[Measured], seed: int = 0) -> list[Pair]:
    """Every two of what was measured on the same shapes, by accuracy where both know the classes, and by mAP.

    A model that is there by several features classifies the same by each: that is one comparison, and none with itself.
    """
    right = {one.name: each for one in measured if (each := one.right()) is not None}
    precisions = {one.name: _by_shape(one.evaluation, "mAP") for one in measured}
    models = {one.name: one.evaluation.model for one in measured}
    return [
        *_pairs("accuracy", right, lambda first, second: mcnemar(first > 0, second > 0), seed, models),
        *_pairs("mAP", precisions, lambda first, second: sign_flips(first - second, seed), seed, {}),
    ]


def _pairs(
    figure: str,
    values: Mapping[str, Values],
    test: Callable[[Values, Values], float],
    seed: int,
    models: Mapping[str, str],
) -> list[Pair]:
    """values: (N,) by name, NaN for shapes that were not measured, the same ones for all.  models: by name; where they
    are the same the values are, too; none where each name has its own."""
    tested = {name: each[~np.isnan(each)] for name, each in values.items()}
    asked = [pair for pair in itertools.combinations(tested, 2) if len(tested[pair[0]])]
    questions = [frozenset(models.get(name, name) for name in pair) for pair in asked]
    p_values = {
        question: test(tested[first], tested[second])
        for question, (first, second) in zip(questions, asked, strict=True)
        if len(question) > 1
    }
    corrected = dict(zip(p_values, holm([*p_values.values()]), strict=True))
    found = []
    for question, (first, second) in zip(questions, asked, strict=True):
        difference = tested[first] - tested[second]
        p, p_holm = p_values.get(question, 1.0), corrected.get(question, 1.0)
        found.append(Pair(figure, first, second, float(difference.mean()), mean_interval(difference, seed), p, p_holm))
    return found


def _evaluate(
    contender: Contender, split: Split, protocol: Protocol, device: Device, seed: int, progress: Progress
) -> Evaluation:
    model, artefacts = contender.model, contender.artefacts
    labels = {str(entry.label) for entry in model.split(artefacts, split)}
    return evaluate(
        model,
        artefacts,
        split,
        task="both" if labels <= {*classes_of(model)} else "retrieval",
        protocol=protocol,
        feature=contender.feature,
        device=device,
        seed=seed,
        progress=progress,
    )


def _figures(evaluation: Evaluation, seed: int) -> dict[str, Figure]:
    figures = {
        name: Figure(getattr(evaluation.classification, name, None), evaluation.intervals[name])
        for name in CLASSIFICATION_FIGURES
    }
    for name in RETRIEVAL_FIGURES:
        values = _by_shape(evaluation, name)
        values = values[~np.isnan(values)]
        figures[name] = Figure(
            getattr(evaluation.retrieval, name), mean_interval(values, seed) if len(values) else None
        )
    return figures


def _by_shape(evaluation: Evaluation, name: str) -> Values:
    """(N,): the mean of a retrieval figure over the items of each shape; NaN for shapes that ask for nothing."""
    assert evaluation.retrieval is not None
    values = np.array(evaluation.retrieval.of_queries[name], np.float64)  # None becomes NaN
    means: Values = values.reshape(len(evaluation.entries), -1).mean(axis=1)
    return means
