"""Result of an evaluation: accuracy, retrieval results, and the probabilities and features behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry, quantities
from shapecnn.artefacts.subset import Subset
from shapecnn.evaluation.classification import Classification
from shapecnn.evaluation.intervals import Interval
from shapecnn.evaluation.priors import Reweighted
from shapecnn.evaluation.regression import Regression
from shapecnn.evaluation.retrieval.protocols import Retrieval
from shapecnn.models.model import Split
from shapecnn.models.output import FeatureName
from shapecnn.shared.results import Displayed, text_table
from shapecnn.shared.similarity import Similarity, cosines, nearest, unit_float64

NO_INTERVALS: dict[str, Interval | None] = dict.fromkeys(("accuracy", "mean_class_accuracy", "mAP", "mAP_macro"))
"""Value of ``Evaluation.intervals`` if nothing was measured: None in place of each 95 % interval."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Feature vectors of a set of shapes: one for each shape, or one for each rotation of each shape.

    Attributes:
        entries: N shapes.
        features: (N, R, D) float32: D numbers for each of R rotations of each shape; R is 1 for whole shapes.
        similarity: Function that compares features of unit length.
    """

    entries: Sequence[Entry]
    features: NDArray[np.float32]
    similarity: Similarity = cosines

    @property
    def labels(self) -> list[str]:
        """Labels of the N shapes, in the order of ``entries``."""
        return [str(entry.label) for entry in self.entries]

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> FeatureSet:
        """Return the shapes at the positions ``rows``, in that order, with their features."""
        return FeatureSet([self.entries[row] for row in rows], self.features[rows], self.similarity)


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """Row of predictions.parquet: the predicted class of one shape and its probability.

    Attributes:
        id: Id of the shape.
        label: True class of the shape.
        predicted: Predicted class, which is the class with the highest probability.
        score: Probability of the predicted class, in [0, 1].
    """

    id: str
    label: str
    predicted: str
    score: float


@dataclass(frozen=True, slots=True)
class ValueRow:
    """Row of predictions.parquet of a model that predicts a quantity: the true and the predicted value of one shape.

    Attributes:
        id: Id of the shape.
        value: True value of the quantity.
        predicted: Predicted value.
    """

    id: str
    value: float
    predicted: float


class RankedShape(NamedTuple):
    """One result in the ranked list of a query.

    Attributes:
        entry: The retrieved shape.
        item: Number of the retrieved rotation of the shape, from 0; always 0 if whole shapes are retrieved.
        similarity: Similarity of the query and the result, by default the cosine similarity of their features.
    """

    entry: Entry
    item: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Distinct:
    """Evaluation without duplicates: shapes that copy a training shape or an earlier evaluated shape are left out.

    Copies have the same geometry, see :mod:`shapecnn.duplicates.copies`. Copies are also left out of the gallery.

    Attributes:
        excluded: Pairs of a shape that was left out and its original. The original is in the train split, or comes
            earlier in the same split.
        evaluation: Evaluation of the remaining shapes; None if no shape remains.
    """

    excluded: Sequence[tuple[Entry, Entry]]
    evaluation: Evaluation | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn eval --json`` prints under ``without_duplicates``."""
        excluded = [{"id": entry.id, "copy_of": original.id} for entry, original in self.excluded]
        nothing = {"count": 0, "classification": None, "retrieval": None, "intervals": NO_INTERVALS}
        left = nothing if self.evaluation is None else self.evaluation.figures_json()
        return {"excluded": excluded, **left}


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Displayed):
    """Result of evaluating one model on one split.

    The results of a task (classification, regression or retrieval) are None if the task was not measured.

    Attributes:
        model: Name of the model.
        data: Path of the artefact folder.
        split: Split that was evaluated.
        subset: Numbers of shapes of each class that were used; None if all were used.
        entries: The N evaluated shapes, in order of id.
        classification: Results of classification, such as accuracy.
        scores: Probabilities of C classes for each shape, (N, C) float32.
        retrieval: Results of retrieval, such as mAP.
        feature: Name of the feature that retrieval compared.
        queries: Features of the evaluated shapes, in the space in which the model compares shapes.
        gallery: Features of the gallery, in the same space; the same object as ``queries`` if the evaluated shapes are
            the gallery.
        intervals: 95 % bootstrap intervals of ``accuracy``, ``mean_class_accuracy``, ``mAP`` and ``mAP_macro``.
        seed: Random seed of the bootstrap behind the 95 % intervals.
        engine: Inference engine, its numeric precision and the device, by the keys ``engine``, ``precision`` and
            ``device``.
        distinct: Evaluation without duplicates; None if it was not requested.
        regression: Results of the prediction of a quantity, such as R².
        values: Predicted quantity of each shape, (N,) float64.
        reweighted: Accuracy and mAP for a given class mix; None if it was not requested.
    """

    model: str
    data: str
    split: Split
    subset: Subset | None
    entries: Sequence[Entry]
    classification: Classification | None
    scores: NDArray[np.float32] | None
    retrieval: Retrieval | None
    feature: FeatureName
    queries: FeatureSet | None
    gallery: FeatureSet | None
    intervals: dict[str, Interval | None]
    seed: int
    engine: dict[str, str]
    distinct: Distinct | None = None
    regression: Regression | None = None
    values: NDArray[np.float64] | None = None
    reweighted: Reweighted | None = None

    @property
    def balanced(self) -> bool:
        """Whether all classes have the same number of evaluated shapes."""
        return len({*Counter(entry.label for entry in self.entries).values()}) == 1

    @property
    def classification_names(self) -> tuple[str, ...]:
        """Names of the accuracies, the most telling first: of unbalanced classes, the mean class accuracy."""
        names = ("accuracy", "mean_class_accuracy")
        return names if self.balanced else names[::-1]

    @property
    def retrieval_names(self) -> tuple[str, ...]:
        """Names of the mean average precisions, the most telling first: of unbalanced classes, the macro mAP."""
        return ("mAP", "mAP_macro") if self.balanced else ("mAP_macro", "mAP")

    @property
    def headline_names(self) -> tuple[str, ...]:
        """Names of the results that short tables show: accuracy and mAP; of unbalanced classes, first their means."""
        if self.balanced:
            return ("accuracy", "mAP")
        return ("mean_class_accuracy", "mAP_macro", "accuracy", "mAP")

    def rows(self) -> list[dict[str, Any]]:
        """Return one table row for each result, such as mAP: its name, its value and the ends of its 95 % interval."""
        values: dict[str, float | None] = {}
        if self.classification is not None:
            values |= {name: getattr(self.classification, name) for name in self.classification_names}
        if self.retrieval is not None:
            values |= {name: getattr(self.retrieval, name) for name in (*self.retrieval_names, "AUC", "NN", "NDCG")}
        intervals = dict(self.intervals)
        if self.regression is not None:
            values = {name: getattr(self.regression, name) for name in ("R2", "RMSE", "MAE")} | values
            intervals |= self.regression.intervals
        rows = []
        for name, value in values.items():
            low, high = intervals.get(name) or (None, None)
            rows.append({"figure": name, "value": value, "low": low, "high": high})
        return rows

    def __repr__(self) -> str:
        """Return the model, the data and the split, and the results as a text table."""
        count = f"{len(self.entries)} shapes of {self.split}"
        return f"{self.model} on {self.data}: {count}\n{text_table(self.rows())}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn eval --json`` prints."""
        return {
            "schema_version": 1,
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "subset": self.subset and str(self.subset),
            **self.figures_json(),
            "without_duplicates": self.distinct and self.distinct.to_json(),
            "seed": self.seed,
            "engine": self.engine,
        }

    def figures_json(self) -> dict[str, Any]:
        """Return the results as JSON, without names of model, data and split; some keys depend on what was measured."""
        regression = {} if self.regression is None else {"regression": self.regression.to_json()}
        return {
            "count": len(self.entries),
            **regression,
            "classification": self.classification and asdict(self.classification),
            "retrieval": self.retrieval and {**self.retrieval.to_json(), "feature": self.feature},
            "intervals": {name: interval and list(interval) for name, interval in self.intervals.items()},
            **({} if self.reweighted is None else {"class_prior": self.reweighted.to_json()}),
        }

    def predictions(self) -> list[PredictionRow]:
        """Return the predicted class of each shape, in order of id; an empty list without classification."""
        if self.classification is None or self.scores is None:
            return []
        chosen = self.scores.argmax(axis=1).tolist()
        return [
            PredictionRow(entry.id, str(entry.label), self.classification.classes[k], float(scores[k]))
            for entry, k, scores in zip(self.entries, chosen, self.scores, strict=True)
        ]

    def value_rows(self) -> list[ValueRow]:
        """Return the true and the predicted quantity of each shape whose quantity is known, in order of id."""
        if self.regression is None or self.values is None:
            return []
        known = quantities(self.entries, self.regression.target)
        return [
            ValueRow(entry.id, value, predicted)
            for entry, value, predicted in zip(self.entries, known.tolist(), self.values.tolist(), strict=True)
            if not isnan(value)
        ]

    def nearest(self, items: Sequence[int], count: int) -> list[list[RankedShape]]:
        """Return the most similar gallery items for some queries, ranked as in the retrieval results.

        An item is a whole shape, or one rotation of a shape.

        Args:
            items: Numbers of the query items, from 0 to N · R − 1, for N shapes with R items each.
            count: Number of results for each query.

        Returns:
            One list of results for each query, most similar first; no lists if retrieval was not measured.
        """
        if self.retrieval is None or self.queries is None or self.gallery is None:
            return []
        rotations, size = self.gallery.features.shape[1:]
        gallery = unit_float64(self.gallery.features.reshape(-1, size))
        rows = np.array(items, np.int64)
        left_out = self.gallery is self.queries and not self.retrieval.self_included
        queries = unit_float64(self.queries.features.reshape(-1, size)[rows])
        ranked, similarities = nearest(
            queries, gallery, rows if left_out else np.full_like(rows, -1), count, self.gallery.similarity
        )
        return [
            [
                RankedShape(self.gallery.entries[row // rotations], row % rotations, value)
                for row, value in zip(*line, strict=True)
            ]
            for line in zip(ranked.tolist(), similarities.tolist(), strict=True)
        ]
