"""Figures: a model measured on a split, and models compared with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shapecnn.api.artefacts import open_artefacts
from shapecnn.api.models import ModelSource, model_of
from shapecnn.artefacts.reading import Artefacts
from shapecnn.evaluation.compare import compare_contenders
from shapecnn.evaluation.compare_results import Comparison
from shapecnn.evaluation.contenders import choose
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.results import Evaluation
from shapecnn.evaluation.settings import TEST_SPLIT, EvaluationSettings
from shapecnn.models.engine import Device
from shapecnn.shared.results import framed, html_table, show_with
from shapecnn.workers.progress import Progress, ProgressBar, no_bar, no_progress

ArtefactSource = str | Path | Artefacts
"""A folder of artefacts, or artefacts that are open."""


def evaluate(
    model: ModelSource,
    data: ArtefactSource,
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure a model on one split of artefacts: classification and retrieval.

    Args:
        model: Name of a model, or what :func:`shapecnn.open_model` returned.
        data: Folder of artefacts, or what :func:`shapecnn.open_artefacts` returned.
        settings: What is measured, by which protocol, on which split; by default the test split by protocol mvcnn.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        progress: Called with the number of shapes done and of all shapes.

    Returns:
        The figures, with 95 % intervals.

    Raises:
        UsageError: This cannot be measured: there are no such shapes, or the model lacks the task or the feature.
        MismatchError: The artefacts were made with other settings than the model takes.
        StoredDataError: Artefacts or the model are damaged.

    Example:
        >>> import shapecnn
        >>> figures = shapecnn.evaluate("run", "views", shapecnn.EvaluationSettings(split="train"))
        >>> figures.classification.accuracy
        1.0
    """
    return evaluate_model(model_of(model), _artefacts(data), settings, device=device, progress=progress)


def compare(
    models: Sequence[str],
    data: ArtefactSource | Sequence[ArtefactSource],
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    model_settings: Mapping[str, Any] | None = None,
    device: Device = "auto",
    bar: ProgressBar = no_bar,
) -> Comparison:
    """Measure models on the shapes that all of them have, and test which is better beyond chance.

    Args:
        models: Names of models; ``NAME:FEATURE`` compares shapes by that feature, such as ``my-run:scores``.
        data: Folder of artefacts, or several for models that take different ones.
        settings: What is measured, by which protocol, on which split.
        model_settings: Settings of ``@imagenet``, by key.
        device: Where the networks run: ``auto``, ``cpu`` or ``cuda``.
        bar: Opens a progress bar for each model.

    Returns:
        The figures of each model, and of each pair.

    Raises:
        UsageError: A model does not exist or is named twice, or the models share no shapes.
        MismatchError: None of the artefacts fits a model.
        StoredDataError: Artefacts or a model are damaged.

    Example:
        >>> import shapecnn
        >>> comparison = shapecnn.compare(["run", "run:scores"], "views", shapecnn.EvaluationSettings(split="train"))
        >>> [row["accuracy"] for row in comparison.rows()]
        [1.0, 1.0]
    """
    sources = [data] if isinstance(data, str | Path | Artefacts) else data
    contenders = choose(models, [_artefacts(source) for source in sources], settings, assignments=model_settings)
    return compare_contenders(contenders, settings, device=device, bar=bar)


def _artefacts(source: ArtefactSource) -> Artefacts:
    return source if isinstance(source, Artefacts) else open_artefacts(source)


def _evaluation_html(evaluation: Evaluation) -> str:
    from shapecnn.report.evaluation import figures

    drawings = [content.decode() for name, content in figures(evaluation).items() if name.endswith(".svg")]
    return "".join([html_table(evaluation.rows()), *drawings])


def _comparison_html(comparison: Comparison) -> str:
    from shapecnn.report.comparison import curves, page

    return framed(page(comparison, curves(comparison)))


show_with(Evaluation, _evaluation_html)
show_with(Comparison, _comparison_html)
