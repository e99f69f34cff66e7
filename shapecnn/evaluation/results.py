"""What an evaluation found, as data: figures, and what they were computed from."""

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
from shapecnn.similarity import Similarity, cosines, nearest, unit_rows

NO_INTERVALS: dict[str, Interval | None] = {"accuracy": None, "mean_class_accuracy": None, "mAP": None}


@dataclass(frozen=True, slots=True)
class Items:
    """N shapes with the features, (N, R, D) float32, of R items each: its rotations, or the shape as one.

    similarity: how items are compared once their features are of unit length.
    """

    entries: Sequence[Entry]
    features: NDArray[np.float32]
    similarity: Similarity = cosines

    @property
    def labels(self) -> list[str]:
        """N labels."""
        return [str(entry.label) for entry in self.entries]

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> Items:
        """Some of them."""
        return Items([self.entries[row] for row in rows], self.features[rows], self.similarity)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a shape was told to be, and with which probability."""

    id: str
    label: str
    predicted: str
    score: float


class Hit(NamedTuple):
    """One place in a query's list.  item: which rotation of the shape.  similarity: the cosine, or what the space of
    the model makes of it."""

    entry: Entry
    item: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Distinct:
    """The same once each shape counts once, and none of which the model was trained on a copy.

    excluded: shapes left out, each with the one it copies: of the train split, or earlier in its own.  evaluation: of
    the others; None if there are none. What is searched holds each shape once, too. Copies are those of one geometry,
    see ``copies``.
    """

    excluded: Sequence[tuple[Entry, Entry]]
    evaluation: Evaluation | None

    def to_json(self) -> dict[str, Any]:
        """As under ``without_duplicates``."""
        excluded = [{"id": entry.id, "copy_of": original.id} for entry, original in self.excluded]
        nothing = {"count": 0, "classification": None, "retrieval": None, "intervals": NO_INTERVALS}
        left = nothing if self.evaluation is None else self.evaluation.figures_json()
        return {"excluded": excluded, **left}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one model on one split, and what they were computed from; None for a task not asked for.

    scores: (N, C) float32 probabilities of the N ``entries``.  intervals: 95 % intervals of accuracy,
    mean_class_accuracy and mAP, in which shapes are drawn anew.  engine: what computed it.  distinct: the same without
    copies, where that was asked for.
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
    queries: Items | None
    gallery: Items | None
    intervals: dict[str, Interval | None]
    seed: int
    engine: dict[str, str]
    distinct: Distinct | None = None

    def to_json(self) -> dict[str, Any]:
        """All figures, as ``shapecnn eval --json`` prints them."""
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
        """The part of it that tells how good the model is."""
        return {
            "count": len(self.entries),
            "classification": self.classification and asdict(self.classification),
            "retrieval": self.retrieval and {**self.retrieval.to_json(), "feature": self.feature},
            "intervals": {name: interval and list(interval) for name, interval in self.intervals.items()},
        }

    def predictions(self) -> list[Prediction]:
        """What each shape was told to be, in order of id; nothing where classification was not asked for."""
        if self.classification is None or self.scores is None:
            return []
        chosen = self.scores.argmax(axis=1).tolist()
        return [
            Prediction(entry.id, str(entry.label), self.classification.classes[k], float(scores[k]))
            for entry, k, scores in zip(self.entries, chosen, self.scores, strict=True)
        ]

    def nearest(self, items: Sequence[int], count: int) -> list[list[Hit]]:
        """The first ``count`` places of the lists that retrieval measured, for some of the N·R query items."""
        if self.retrieval is None or self.queries is None or self.gallery is None:
            return []
        rotations, size = self.gallery.features.shape[1:]
        gallery = unit_rows(self.gallery.features.reshape(-1, size))
        rows = np.array(items, np.int64)
        left_out = self.gallery is self.queries and not self.retrieval.self_included
        queries = unit_rows(self.queries.features.reshape(-1, size)[rows])
        found, similarities = nearest(
            queries, gallery, rows if left_out else np.full_like(rows, -1), count, self.gallery.similarity
        )
        return [
            [
                Hit(self.gallery.entries[row // rotations], row % rotations, value)
                for row, value in zip(*line, strict=True)
            ]
            for line in zip(found.tolist(), similarities.tolist(), strict=True)
        ]
