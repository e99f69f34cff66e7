"""The results of an evaluation: figures, and what they were computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.subset import Subset
from shapecnn.evaluation.classification import Classification
from shapecnn.evaluation.intervals import Interval
from shapecnn.evaluation.retrieval.protocols import Retrieval
from shapecnn.models.model import Split
from shapecnn.models.output import FeatureName
from shapecnn.shared.results import Displayed, text_table
from shapecnn.shared.similarity import Similarity, cosines, nearest, unit_float64

NO_INTERVALS: dict[str, Interval | None] = {"accuracy": None, "mean_class_accuracy": None, "mAP": None}


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Shapes with the features of their items, which are their rotations, or each shape as one.

    Attributes:
        entries: N shapes.
        features: (N, R, D) float32, of R items for each shape.
        similarity: How items are compared once their features have unit length.
    """

    entries: Sequence[Entry]
    features: NDArray[np.float32]
    similarity: Similarity = cosines

    @property
    def labels(self) -> list[str]:
        """The labels of the N shapes."""
        return [str(entry.label) for entry in self.entries]

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> FeatureSet:
        """Keep the shapes of some rows, in that order."""
        return FeatureSet([self.entries[row] for row in rows], self.features[rows], self.similarity)


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """A row of predictions.parquet: what a shape was predicted to be, and with which probability.

    Attributes:
        id: The shape.
        label: Its true class.
        predicted: The class with the highest probability.
        score: That probability, in [0, 1].
    """

    id: str
    label: str
    predicted: str
    score: float


class RankedShape(NamedTuple):
    """One place in the ranked list of a query.

    Attributes:
        entry: The shape.
        item: Which rotation of the shape, from 0 on.
        similarity: The cosine of both features, or the similarity in the space of the model.
    """

    entry: Entry
    item: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Distinct:
    """An evaluation without copies: of each other, or of a shape that the model was trained on.

    Copies have the same geometry, see :mod:`shapecnn.duplicates.copies`. What is searched holds each shape once, too.

    Attributes:
        excluded: The shapes left out, each with the one it copies: of the train split, or earlier in its own.
        evaluation: That of the other shapes; None if there are none.
    """

    excluded: Sequence[tuple[Entry, Entry]]
    evaluation: Evaluation | None

    def to_json(self) -> dict[str, Any]:
        """Return what ``shapecnn eval --json`` prints under ``without_duplicates``."""
        excluded = [{"id": entry.id, "copy_of": original.id} for entry, original in self.excluded]
        nothing = {"count": 0, "classification": None, "retrieval": None, "intervals": NO_INTERVALS}
        left = nothing if self.evaluation is None else self.evaluation.figures_json()
        return {"excluded": excluded, **left}


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Displayed):
    """Figures of one model on one split, and what they were computed from; None for a task not asked for.

    Attributes:
        model: The name of the model.
        data: The folder of the artefacts.
        split: The split that was measured.
        subset: Its part, if not all of it.
        entries: The N measured shapes, in order of id.
        classification: The figures of classification.
        scores: (N, C) float32, probabilities of the C classes.
        retrieval: The figures of retrieval.
        feature: What retrieval compared.
        queries: The features of the measured shapes, where the model compares them.
        gallery: The features of the searched shapes; the same object as ``queries`` where they search each other.
        intervals: 95 % intervals of accuracy, mean_class_accuracy and mAP, in which shapes are drawn anew.
        seed: That of the intervals.
        engine: The engine that ran the network, its precision and the device.
        distinct: The same without copies, where that was asked for.
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

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each figure: name, value, low and high end of its 95 % interval where it has one."""
        values: dict[str, float | None] = {}
        if self.classification is not None:
            values |= {name: getattr(self.classification, name) for name in ("accuracy", "mean_class_accuracy")}
        if self.retrieval is not None:
            values |= {name: getattr(self.retrieval, name) for name in ("mAP", "AUC", "NN", "NDCG")}
        rows = []
        for name, value in values.items():
            low, high = self.intervals.get(name) or (None, None)
            rows.append({"figure": name, "value": value, "low": low, "high": high})
        return rows

    def __repr__(self) -> str:
        """Return what was measured, and the figures as a table."""
        count = f"{len(self.entries)} shapes of {self.split}"
        return f"{self.model} on {self.data}: {count}\n{text_table(self.rows())}"

    def to_json(self) -> dict[str, Any]:
        """Return all figures, as ``shapecnn eval --json`` prints them."""
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
        """Return the figures that say how good the model is, without what was measured and by what."""
        return {
            "count": len(self.entries),
            "classification": self.classification and asdict(self.classification),
            "retrieval": self.retrieval and {**self.retrieval.to_json(), "feature": self.feature},
            "intervals": {name: interval and list(interval) for name, interval in self.intervals.items()},
        }

    def predictions(self) -> list[PredictionRow]:
        """Return the prediction for each shape, in order of id; nothing where classification was not asked for."""
        if self.classification is None or self.scores is None:
            return []
        chosen = self.scores.argmax(axis=1).tolist()
        return [
            PredictionRow(entry.id, str(entry.label), self.classification.classes[k], float(scores[k]))
            for entry, k, scores in zip(self.entries, chosen, self.scores, strict=True)
        ]

    def nearest(self, items: Sequence[int], count: int) -> list[list[RankedShape]]:
        """Rank the gallery for some queries, as retrieval measured it.

        Args:
            items: Numbers of query items, from 0 to N·R − 1.
            count: How many places of each list.

        Returns:
            A list for each item, best first; nothing where retrieval was not asked for.
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
