"""Write the report of an evaluation: JSON results, a table of predictions, plots, and an HTML page with pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.evaluation.results import Evaluation, PredictionRow, RankedShape, ValueRow
from shapecnn.models.input import InputArray
from shapecnn.report.figures import confusion_matrix, describe, precision_recall, predicted_values
from shapecnn.report.html import display_path, fill
from shapecnn.report.reliability import reliability_diagram
from shapecnn.report.thumbnails import thumbnail
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.tables import table_bytes

MISTAKES = 48  # number of wrong predictions on the page, the most confident first
PAIRS = 5  # number of pairs of confused classes on the page, the most costly first
SHAPES = 6  # number of pictures on the page for each class of a confused pair
EXAMPLES = 12  # number of example queries on the page
RESULTS = 6  # number of results on the page for each query

ReadInput = Callable[[Entry], InputArray]
"""Function that reads the network input of a shape: its views or grids."""

_RATES = {
    "mAP_macro": "mean average precision of each class, averaged",
    "mAP": "mean average precision",
    "AUC": "area under the interpolated precision–recall curve",
    "NN": "nearest neighbour",
    "FT": "first tier",
    "ST": "second tier",
    "E": "E-measure of the first 32",
    "DCG": "discounted cumulative gain",
    "NDCG": "discounted cumulative gain with discount log₂(k + 1)",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """Row of a results table on the HTML page: name of a result, its value and its 95 % interval.

    The values are rates in [0, 1], or with ``rate`` False numbers in the unit of a quantity.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    rate: bool = True


@dataclass(frozen=True, slots=True)
class _Mistake:
    """Wrong prediction on the HTML page: a picture of the shape, the prediction, and the score of the true class."""

    picture: str  # PNG of the shape as base64 text
    prediction: PredictionRow
    true_score: float  # probability of the true class


@dataclass(frozen=True, slots=True)
class _Side:
    """One class of a confused pair on the HTML page, with pictures of some of its shapes."""

    label: str
    predicted: str  # class that the shown shapes are predicted as: the other class, or the own one if none is wrong
    count: int  # number of shapes of the class that are predicted as the other class
    pictures: list[tuple[str, str]]  # id of a shape, and its picture: PNG as base64 text


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Pair of confused classes on the HTML page."""

    cost: float  # increase of the mean class accuracy if no shape of the pair were confused
    sides: list[_Side]


@dataclass(frozen=True, slots=True)
class _Result:
    """Result of an example query on the HTML page: the retrieved shape, its picture, and whether its label is right."""

    picture: str  # PNG of the shape as base64 text
    hit: RankedShape
    right: bool  # whether the result and the query have the same label


@dataclass(frozen=True, slots=True)
class _Example:
    """Example query on the HTML page, with its first results and its average precision."""

    entry: Entry
    item: int  # index of the grid rotation that is the query; 0 for views
    picture: str  # PNG of the shape as base64 text
    why: str  # why the query was chosen, such as "the worst query"
    average_precision: float
    results: list[_Result]


def figures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw the plots of an evaluation: precision–recall curve, confusion matrix and reliability diagram.

    Args:
        evaluation: Result of the evaluation.

    Returns:
        The SVG files by name: pr.svg for retrieval, confusion.svg and reliability.svg for classification, and
        regression.svg for the prediction of a quantity.
    """
    title = f"{_title(evaluation)}, split {evaluation.split}"
    files = {}
    if evaluation.retrieval is not None:
        files["pr.svg"] = precision_recall(evaluation.retrieval, title)
    if evaluation.regression is not None:
        files["regression.svg"] = predicted_values(evaluation.regression, evaluation.value_rows(), title)
    if evaluation.classification is not None:
        files["confusion.svg"] = confusion_matrix(evaluation.classification, title)
        predictions = evaluation.predictions()
        right = np.array([p.predicted == p.label for p in predictions])
        scores = np.array([p.score for p in predictions])
        files["reliability.svg"] = reliability_diagram(right, scores, title)
    return files


def write_report(folder: Path, evaluation: Evaluation, read: ReadInput, overwrite: bool = False) -> None:
    """Write the report of an evaluation to a folder.

    The files are evaluation.json, predictions.parquet, the plots as SVG and report.html.

    Args:
        folder: Folder of the report.
        evaluation: Result of the evaluation.
        read: Function that reads the views or grids of a shape, from which its picture is drawn.
        overwrite: Whether to replace files that shapecnn did not write.

    Raises:
        BusyError: Another process is writing to the folder.
        UsageError: The report would replace files that shapecnn did not write, and ``overwrite`` is False.
    """
    page = evaluation_page(evaluation, read)
    files = {"evaluation.json": json_bytes(evaluation.to_json()), **figures(evaluation), "report.html": page.encode()}
    if evaluation.classification is not None:
        files["predictions.parquet"] = table_bytes(PredictionRow, evaluation.predictions())
    if evaluation.regression is not None:
        files["predictions.parquet"] = table_bytes(ValueRow, evaluation.value_rows())
    publish_report("evaluation.json", folder, files, overwrite)


def evaluation_page(evaluation: Evaluation, read: ReadInput) -> str:
    """Return an evaluation as an HTML page with tables, plots, wrong predictions and example queries.

    Args:
        evaluation: Result of the evaluation.
        read: Function that reads the views or grids of a shape; called only for the shapes on the page.

    Returns:
        The HTML text of the page.
    """
    distinct = evaluation.distinct and evaluation.distinct.evaluation
    wrong = [p for p in evaluation.predictions() if p.predicted != p.label]
    return fill(
        "evaluation.html",
        title=_title(evaluation),
        evaluation=evaluation,
        notes=describe(evaluation.retrieval) if evaluation.retrieval else [],
        figures={name: base64.b64encode(svg).decode() for name, svg in figures(evaluation).items()},
        classification=_classification_rows(evaluation),
        regression=_regression_rows(evaluation),
        retrieval=_retrieval_rows(evaluation),
        distinct=[*_classification_rows(distinct), *_regression_rows(distinct), *_retrieval_rows(distinct)]
        if distinct
        else [],
        confusions=_confusions(evaluation, read),
        wrong=len(wrong),
        mistakes=_mistakes(evaluation, wrong, read),
        examples=_examples(evaluation, read),
    )


def _title(evaluation: Evaluation) -> str:
    return f"{display_path(evaluation.model)} on {display_path(evaluation.data)}"


def _classification_rows(evaluation: Evaluation) -> list[_Row]:
    figures = evaluation.classification
    if figures is None:
        return []
    rows = [
        _Row(name.replace("_", " "), getattr(figures, name), evaluation.intervals[name])
        for name in evaluation.classification_names
    ]
    return [*rows, _Row("expected calibration error", figures.ece), *_reweighted_rows(evaluation, "accuracy")]


def _reweighted_rows(evaluation: Evaluation, name: str) -> list[_Row]:
    """Return the row of a result for the class mix that the user gave; no row without a class mix."""
    mix = evaluation.reweighted
    if mix is None or getattr(mix, name) is None:
        return []
    return [_Row(f"{name}, classes as in {mix.name}", getattr(mix, name), mix.intervals[name])]


def _regression_rows(evaluation: Evaluation) -> list[_Row]:
    figures = evaluation.regression
    if figures is None:
        return []
    names = {"R2": "R²", "RMSE": "root mean squared error", "MAE": "mean absolute error"}
    return [_Row(text, getattr(figures, name), figures.intervals[name], rate=False) for name, text in names.items()]


def _retrieval_rows(evaluation: Evaluation) -> list[_Row]:
    figures = evaluation.retrieval
    if figures is None:
        return []
    rows = [
        _Row(f"{name.replace('_', ' ')}, {text}", getattr(figures, name), evaluation.intervals.get(name))
        for name, text in {**{name: _RATES[name] for name in evaluation.retrieval_names}, **_RATES}.items()
    ]
    rows += _reweighted_rows(evaluation, "mAP")
    contest = figures.shrec16 or figures.shrec17
    for kind in ("micro", "macro") if contest else ():
        averages = getattr(contest, kind)
        rows += [_Row(f"{kind} {name}", getattr(averages, name)) for name in averages.__slots__]
    return rows


def _mistakes(evaluation: Evaluation, wrong: list[PredictionRow], read: ReadInput) -> list[_Mistake]:
    """Return the most confident wrong predictions, sorted by descending probability and then by id."""
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


def _confusions(evaluation: Evaluation, read: ReadInput) -> list[_Confusion]:
    """Return the most costly pairs of confused classes, with pictures of both classes.

    Shown are the most confident mistakes of each class. A class that is never taken for the other shows the shapes that
    are classified correctly with the least confidence.
    """
    if evaluation.classification is None:
        return []
    entries = {entry.id: entry for entry in evaluation.entries}
    of: dict[tuple[str, str], list[PredictionRow]] = {}
    for row in evaluation.predictions():
        of.setdefault((row.label, row.predicted), []).append(row)

    def side(label: str, other: str) -> _Side:
        wrong = sorted(of.get((label, other), []), key=lambda row: (-row.score, row.id))
        shown = wrong or sorted(of.get((label, label), []), key=lambda row: (row.score, row.id))
        pictures = [(row.id, thumbnail(read(entries[row.id]))) for row in shown[:SHAPES]]
        return _Side(label, other if wrong else label, len(wrong), pictures)

    return [
        _Confusion(pair.cost, [side(pair.first, pair.second), side(pair.second, pair.first)])
        for pair in evaluation.classification.confused[:PAIRS]
    ]


def _examples(evaluation: Evaluation, read: ReadInput) -> list[_Example]:
    """Return the example queries of the page: those with the lowest, the highest and, in some classes, the median AP.

    AP is the average precision of a query. The classes are evenly spread over the sorted list of all classes.
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
        results = [_Result(thumbnail(read(h.entry), h.item), h, h.entry.label == entry.label) for h in hits]
        turn, precision = item % rotations, float(precisions[item] or 0)
        examples.append(_Example(entry, turn, thumbnail(read(entry), turn), reasons[item], precision, results))
    return examples
