"""Fill in the page of an evaluation: tables, charts, the confusion matrix, mistakes and example queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shapecnn.evaluation.classification import reliability
from shapecnn.evaluation.results import Evaluation
from shapecnn.information.figures import MEANINGS, figure_title
from shapecnn.report.charts import Chart, Curve, recall_chart, reliability_chart, value_chart
from shapecnn.report.confusions import confused_pairs, confusion_table
from shapecnn.report.figures import describe
from shapecnn.report.html import display_path, fill
from shapecnn.report.neighbours import NEIGHBOURS, example_queries, shown_mistakes
from shapecnn.report.thumbnails import Pictures, ReadInput


@dataclass(frozen=True, slots=True)
class _Row:
    """Row of a results table on the HTML page: name of a result, its value and its 95 % interval.

    The values are rates in [0, 1], or with ``rate`` False numbers in the unit of a quantity.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    rate: bool = True


def evaluation_page(evaluation: Evaluation, read: ReadInput) -> str:
    """Return an evaluation as an HTML page with tables, charts, wrong predictions and example queries.

    Args:
        evaluation: Result of the evaluation.
        read: Function that reads the views or grids of a shape; called once for each shape, or rotation, on the page.

    Returns:
        The HTML text of the page.
    """
    distinct = evaluation.distinct and evaluation.distinct.evaluation
    pictures = Pictures(read)
    return fill(
        "evaluation.html",
        title=title_of(evaluation),
        evaluation=evaluation,
        notes=describe(evaluation.retrieval) if evaluation.retrieval else [],
        charts=_charts(evaluation),
        classification=_classification_rows(evaluation),
        regression=_regression_rows(evaluation),
        retrieval=_retrieval_rows(evaluation),
        distinct=[*_classification_rows(distinct), *_regression_rows(distinct), *_retrieval_rows(distinct)]
        if distinct
        else [],
        confusions=confused_pairs(evaluation, pictures),
        wrong=sum(row.predicted != row.label for row in evaluation.predictions()),
        mistakes=shown_mistakes(evaluation, pictures),
        neighbours=NEIGHBOURS,
        matrix=confusion_table(evaluation, pictures),
        examples=example_queries(evaluation, pictures),
    )


def _charts(evaluation: Evaluation) -> dict[str, Chart]:
    """Return the charts of the page by name: retrieval, reliability and regression, as far as they were measured."""
    charts = {}
    if evaluation.retrieval is not None and evaluation.retrieval.pr11 is not None:
        curve = Curve(display_path(evaluation.model), evaluation.retrieval.pr11)
        charts["retrieval"] = recall_chart([curve], "precision–recall curve")
    if evaluation.classification is not None:
        rows = evaluation.predictions()
        right = np.array([row.predicted == row.label for row in rows])
        bins = reliability(right, np.array([row.score for row in rows]))
        charts["reliability"] = reliability_chart(bins, "reliability diagram")
    if evaluation.regression is not None:
        values = [(row.id, row.value, row.predicted) for row in evaluation.value_rows()]
        charts["regression"] = value_chart(values, evaluation.regression.target, "true and predicted values")
    return charts


def title_of(evaluation: Evaluation) -> str:
    """Return the title of an evaluation: the names of the model and the data."""
    return f"{display_path(evaluation.model)} on {display_path(evaluation.data)}"


def _classification_rows(evaluation: Evaluation) -> list[_Row]:
    figures = evaluation.classification
    if figures is None:
        return []
    rows = [
        _Row(figure_title(name), getattr(figures, name), evaluation.intervals[name])
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
        _Row(f"{figure_title(name)}, {text}", getattr(figures, name), evaluation.intervals.get(name))
        for name, text in {**{name: MEANINGS[name] for name in evaluation.retrieval_names}, **MEANINGS}.items()
    ]
    rows += _reweighted_rows(evaluation, "mAP")
    contest = figures.shrec16 or figures.shrec17
    for kind in ("micro", "macro") if contest else ():
        averages = getattr(contest, kind)
        rows += [_Row(f"{kind} {name}", getattr(averages, name)) for name in averages.__slots__]
    return rows
