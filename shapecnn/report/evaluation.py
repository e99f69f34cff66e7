"""Write the report of an evaluation: JSON results, a table of predictions, plots, and an HTML page with pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shapecnn.evaluation.results import Evaluation, PredictionRow, ValueRow
from shapecnn.report.evaluation_page import evaluation_page, title_of
from shapecnn.report.figures import confusion_matrix, precision_recall, predicted_values
from shapecnn.report.reliability import reliability_diagram
from shapecnn.report.thumbnails import ReadInput
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.tables import table_bytes


def figures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw the plots of an evaluation: precision–recall curve, confusion matrix and reliability diagram.

    Args:
        evaluation: Result of the evaluation.

    Returns:
        The SVG files by name: pr.svg for retrieval, confusion.svg and reliability.svg for classification, and
        regression.svg for the prediction of a quantity.
    """
    title = f"{title_of(evaluation)}, split {evaluation.split}"
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
