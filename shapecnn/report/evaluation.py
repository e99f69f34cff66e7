"""An evaluation as one HTML file that needs nothing else: figures, tables, mistakes and retrievals as pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.evaluation.results import Evaluation, PredictionRow, RankedShape
from shapecnn.models.input import InputArray
from shapecnn.report.figures import confusion_matrix, describe, precision_recall
from shapecnn.report.html import fill, short
from shapecnn.report.reliability import reliability_diagram
from shapecnn.report.thumbnails import thumbnail
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.tables import table_bytes

MISTAKES = 48  # shown at most, the surest first
EXAMPLES = 12  # queries shown at most
RESULTS = 6  # of each

Read = Callable[[Entry], InputArray]

_RATES = {
    "mAP": "mean average precision",
    "AUC": "area under the interpolated precision–recall curve",
    "NN": "nearest neighbour",
    "FT": "first tier",
    "ST": "second tier",
    "E": "E-measure of the first 32",
    "DCG": "discounted cumulative gain",
    "NDCG": "the same with discount log₂(k + 1)",
}


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    value: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Mistake:
    picture: str
    prediction: PredictionRow
    own_score: float


@dataclass(frozen=True, slots=True)
class _Result:
    picture: str
    hit: RankedShape
    right: bool


@dataclass(frozen=True, slots=True)
class _Example:
    """A query and the head of its list.  item: which rotation of the shape."""

    entry: Entry
    item: int
    picture: str
    why: str
    average_precision: float
    results: list[_Result]


def figures(evaluation: Evaluation) -> dict[str, bytes]:
    """The SVG files of an evaluation by name; none for a task not asked for."""
    title = f"{_title(evaluation)}, split {evaluation.split}"
    drawn = {}
    if evaluation.retrieval is not None:
        drawn["pr.svg"] = precision_recall(evaluation.retrieval, title)
    if evaluation.classification is not None:
        drawn["confusion.svg"] = confusion_matrix(evaluation.classification, title)
        told = evaluation.predictions()
        right, scores = np.array([p.predicted == p.label for p in told]), np.array([p.score for p in told])
        drawn["reliability.svg"] = reliability_diagram(right, scores, title)
    return drawn


def write_report(folder: Path, evaluation: Evaluation, read: Read, overwrite: bool = False) -> None:
    """Put everything into ``folder``: evaluation.json, predictions.parquet, the figures and report.html, which shows
    shapes as ``read`` gives them.

    Raises BusyError if another process is writing there.
    """
    page = evaluation_page(evaluation, read)
    files = {"evaluation.json": json_bytes(evaluation.to_json()), **figures(evaluation), "report.html": page.encode()}
    if evaluation.classification is not None:
        files["predictions.parquet"] = table_bytes(PredictionRow, evaluation.predictions())
    publish_report("evaluation.json", folder, files, overwrite)


def evaluation_page(evaluation: Evaluation, read: Read) -> str:
    """HTML. ``read`` gives what the network saw of a shape; it is asked only for the shapes shown."""
    distinct = evaluation.distinct and evaluation.distinct.evaluation
    wrong = [p for p in evaluation.predictions() if p.predicted != p.label]
    return fill(
        "evaluation.html",
        title=_title(evaluation),
        evaluation=evaluation,
        notes=describe(evaluation.retrieval) if evaluation.retrieval else [],
        figures={name: base64.b64encode(svg).decode() for name, svg in figures(evaluation).items()},
        classification=_classification_rows(evaluation),
        retrieval=_retrieval_rows(evaluation),
        distinct=[*_classification_rows(distinct), *_retrieval_rows(distinct)] if distinct else [],
        wrong=len(wrong),
        mistakes=_mistakes(evaluation, wrong, read),
        examples=_examples(evaluation, read),
    )


def _title(evaluation: Evaluation) -> str:
    return f"{short(evaluation.model)} on {short(evaluation.data)}"


def _classification_rows(evaluation: Evaluation) -> list[_Row]:
    figures = evaluation.classification
    if figures is None:
        return []
    return [
        _Row("accuracy", figures.accuracy, evaluation.intervals["accuracy"]),
        _Row("mean class accuracy", figures.mean_class_accuracy, evaluation.intervals["mean_class_accuracy"]),
        _Row("expected calibration error", figures.ece),
    ]


def _retrieval_rows(evaluation: Evaluation) -> list[_Row]:
    figures = evaluation.retrieval
    if figures is None:
        return []
    rows = [
        _Row(f"{name}, {text}", getattr(figures, name), evaluation.intervals.get(name)) for name, text in _RATES.items()
    ]
    contest = figures.shrec16 or figures.shrec17
    for kind in ("micro", "macro") if contest else ():
        averages = getattr(contest, kind)
        rows += [_Row(f"{kind} {name}", getattr(averages, name)) for name in averages.__slots__]
    return rows


def _mistakes(evaluation: Evaluation, wrong: list[PredictionRow], read: Read) -> list[_Mistake]:
    """The surest first, equally sure ones by id."""
    if evaluation.classification is None or evaluation.scores is None:
        return []
    rows = {entry.id: row for row, entry in enumerate(evaluation.entries)}
    codes = {label: code for code, label in enumerate(evaluation.classification.classes)}
    return [
        _Mistake(
            thumbnail(read(evaluation.entries[rows[p.id]])), p, float(evaluation.scores[rows[p.id], codes[p.label]])
        )
        for p in sorted(wrong, key=lambda p: (-p.score, p.id))[:MISTAKES]
    ]


def _examples(evaluation: Evaluation, read: Read) -> list[_Example]:
    """The worst and the best query, and those in the middle of their class, from classes spread over all."""
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
    chosen = {ranked[0]: "the worst query", ranked[-1]: "the best query"} if ranked else {}
    for k in np.linspace(0, len(by_class) - 1, min(EXAMPLES - len(chosen), len(by_class))).astype(int).tolist():
        label = sorted(by_class)[k]
        chosen.setdefault(by_class[label][len(by_class[label]) // 2], f"in the middle of {label}")
    examples = []
    for item, hits in zip(chosen, evaluation.nearest(list(chosen), RESULTS), strict=True):
        entry = evaluation.queries.entries[item // rotations]
        results = [_Result(thumbnail(read(h.entry), h.item), h, h.entry.label == entry.label) for h in hits]
        turn, precision = item % rotations, float(precisions[item] or 0)
        examples.append(_Example(entry, turn, thumbnail(read(entry), turn), chosen[item], precision, results))
    return examples
