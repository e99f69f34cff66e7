"""Choose what an evaluation page shows beside its nearest neighbours: mistakes and example queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.evaluation.results import Evaluation, PredictionRow, RankedShape
from shapecnn.report.thumbnails import Pictures

MISTAKES = 48  # number of wrong predictions on the page, the most confident first
NEIGHBOURS = 4  # number of nearest neighbours beside each wrong prediction
EXAMPLES = 12  # number of example queries on the page
RESULTS = 6  # number of results on the page for each query


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a query on the HTML page: the retrieved shape, its picture, and whether its label is right."""

    picture: str  # PNG of the shape as base64 text
    hit: RankedShape
    right: bool  # whether the result and the query have the same label


@dataclass(frozen=True, slots=True)
class Example:
    """Example query on the HTML page, with its first results and its average precision."""

    entry: Entry
    item: int  # index of the grid rotation that is the query; 0 for views
    picture: str  # PNG of the shape as base64 text
    why: str  # why the query was chosen, such as "the worst query"
    average_precision: float
    results: list[Result]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Wrong prediction on the HTML page: a picture of the shape, the prediction, and its nearest neighbours."""

    picture: str  # PNG of the shape as base64 text
    prediction: PredictionRow
    true_score: float  # probability of the true class
    neighbours: list[Result]  # the most similar shapes of the gallery; empty if retrieval was not measured


def shown_mistakes(evaluation: Evaluation, pictures: Pictures) -> list[Mistake]:
    """Return the most confident wrong predictions, sorted by descending probability and then by id.

    Args:
        evaluation: Result of the evaluation.
        pictures: Pictures of the shapes.
    """
    if evaluation.classification is None or evaluation.scores is None:
        return []
    rows = {entry.id: row for row, entry in enumerate(evaluation.entries)}
    codes = {label: code for code, label in enumerate(evaluation.classification.classes)}
    wrong = [row for row in evaluation.predictions() if row.predicted != row.label]
    shown = sorted(wrong, key=lambda row: (-row.score, row.id))[:MISTAKES]
    near = _neighbours(evaluation, [row.id for row in shown])
    mistakes = []
    for row in shown:
        entry = evaluation.entries[rows[row.id]]
        beside = [
            Result(pictures.small(hit.entry, hit.item), hit, hit.entry.label == row.label)
            for hit in near.get(row.id, [])
        ]
        true_score = float(evaluation.scores[rows[row.id], codes[row.label]])
        mistakes.append(Mistake(pictures.of(entry), row, true_score, beside))
    return mistakes


def _neighbours(evaluation: Evaluation, ids: list[str]) -> dict[str, list[RankedShape]]:
    """Return the gallery shapes most similar to some evaluated shapes, by id: other shapes, each of them once."""
    if evaluation.queries is None or evaluation.gallery is None:
        return {}
    rotations = evaluation.gallery.features.shape[1]
    rows = {entry.id: row for row, entry in enumerate(evaluation.queries.entries)}
    known = [name for name in ids if name in rows]
    items = [rows[name] * evaluation.queries.features.shape[1] for name in known]
    count = min((NEIGHBOURS + 1) * rotations, len(evaluation.gallery.entries) * rotations)
    near = {}
    for name, hits in zip(known, evaluation.nearest(items, count), strict=False):
        first: dict[str, RankedShape] = {}
        for hit in hits:
            if hit.entry.id != name:
                first.setdefault(hit.entry.id, hit)
        near[name] = list(first.values())[:NEIGHBOURS]
    return near


def example_queries(evaluation: Evaluation, pictures: Pictures) -> list[Example]:
    """Return the example queries of the page: those with the lowest, the highest and, in some classes, the median AP.

    AP is the average precision of a query. The classes are evenly spread over the sorted list of all classes.

    Args:
        evaluation: Result of the evaluation.
        pictures: Pictures of the shapes.
    """
    if evaluation.retrieval is None or evaluation.queries is None:
        return []
    labels = evaluation.queries.labels
    precisions = evaluation.retrieval.average_precisions
    rotations = len(precisions) // len(labels)
    by_class: dict[str, list[int]] = {}
    ranked = sorted(
        (item for item, value in enumerate(precisions) if value is not None),
        key=lambda item: (precisions[item], item),
    )
    for item in ranked:
        by_class.setdefault(labels[item // rotations], []).append(item)
    reasons = {ranked[0]: "the worst query", ranked[-1]: "the best query"} if ranked else {}
    for k in np.linspace(0, len(by_class) - 1, min(EXAMPLES - len(reasons), len(by_class))).astype(int).tolist():
        label = sorted(by_class)[k]
        reasons.setdefault(by_class[label][len(by_class[label]) // 2], f"the median query of {label}")
    examples = []
    for item, hits in zip(reasons, evaluation.nearest(list(reasons), RESULTS), strict=True):
        entry = evaluation.queries.entries[item // rotations]
        results = [Result(pictures.of(h.entry, h.item), h, h.entry.label == entry.label) for h in hits]
        turn, precision = item % rotations, float(precisions[item] or 0)
        examples.append(Example(entry, turn, pictures.of(entry, turn), reasons[item], precision, results))
    return examples
