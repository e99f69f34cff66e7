"""Evaluate one model on a split of a data set, and compare several models with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shapecnn.api.models import ModelSource, device_of, model_of
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.errors import UsageError
from shapecnn.evaluation.compare import compare_contenders
from shapecnn.evaluation.compare_results import Comparison
from shapecnn.evaluation.contenders import choose
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.results import Evaluation
from shapecnn.evaluation.settings import TEST_SPLIT, EvaluationSettings
from shapecnn.models.device import Device
from shapecnn.shared.checks import require_path
from shapecnn.shared.results import framed, html_table, show_with
from shapecnn.workers.progress import Progress, ProgressBar, no_bar, no_progress

ArtefactSource = str | Path | Artefacts
"""Type of an argument for artefacts (rendered views or voxel grids): the path of a folder, or open artefacts."""


def evaluate(
    model: ModelSource,
    data: ArtefactSource,
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    device: Device | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate the classification and retrieval of a model on one split of a data set.

    Args:
        model: Folder of a run, a name such as ``@imagenet``, or the result of :func:`shapecnn.open_model`.
        data: Folder of artefacts (rendered views or voxel grids), or the result of :func:`shapecnn.open_artefacts`.
        settings: Tasks, retrieval protocol and split; by default both tasks on the test split, by protocol mvcnn.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``; None for that of an open model.
        progress: Callback that receives the number of finished shapes and the number of all shapes.

    Returns:
        Accuracy, mAP and other results, with 95 % intervals.

    Raises:
        UsageError: The split has no shapes, or the model does not support the task or the feature.
        MismatchError: The artefacts were made with other settings than the training data of the model.
        StoredDataError: The artefacts or the model are damaged.

    Example:
        >>> import shapecnn
        >>> figures = shapecnn.evaluate("run", "views", shapecnn.EvaluationSettings(split="train"))
        >>> figures.classification.accuracy
        1.0
    """
    if not isinstance(settings, EvaluationSettings):
        raise UsageError(
            f"settings = {settings!r}: give an EvaluationSettings, such as EvaluationSettings(split='val')."
        )
    return evaluate_model(
        model_of(model), _artefacts(data), settings, device=device_of(model, device), progress=progress
    )


def compare(
    models: Sequence[str | Path],
    data: ArtefactSource | Sequence[ArtefactSource],
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    model_settings: Mapping[str, Any] | None = None,
    device: Device = "auto",
    bar: ProgressBar = no_bar,
) -> Comparison:
    """Evaluate several models on the same shapes, and test each pair for a significant difference.

    Args:
        models: Folders of runs, or names such as ``@imagenet``. A suffix selects the retrieval feature, such as
            ``my-run:scores``.
        data: Artefacts (rendered views or voxel grids), or several if the models take different inputs.
        settings: Tasks, retrieval protocol and split.
        model_settings: Values for settings of a model without training, by key.
        device: Device that the networks run on: ``auto``, ``cpu`` or ``cuda``.
        bar: Function that opens a progress bar; called once for each model.

    Returns:
        The results of each model, and the differences of each pair of models.

    Raises:
        UsageError: A model does not exist or occurs twice, or no shape is available for all models.
        MismatchError: A model fits none of the artefacts.
        StoredDataError: The artefacts or a model are damaged.

    Example:
        >>> import shapecnn
        >>> comparison = shapecnn.compare(["run", "run:scores"], "views", shapecnn.EvaluationSettings(split="train"))
        >>> [row["accuracy"] for row in comparison.rows()]
        [1.0, 1.0]
    """
    if isinstance(models, str | Path):
        models = [models]
    if others := [model for model in models if not isinstance(model, str | Path)]:
        raise UsageError(f"compare takes the names of models, such as 'my-run' or '@imagenet', not {others[0]!r}.")
    if not models:
        raise UsageError("compare needs at least one model, such as 'my-run' or '@imagenet'.")
    sources = [data] if isinstance(data, str | Path | Artefacts) else data
    contenders = choose(
        [str(model) for model in models],
        [_artefacts(source) for source in sources],
        settings,
        assignments=model_settings,
    )
    return compare_contenders(contenders, settings, device=device, bar=bar)


def _artefacts(source: ArtefactSource) -> Artefacts:
    if isinstance(source, Artefacts):
        return source
    return open_artefacts(require_path("data", source, "a folder of artefacts, or what open_artefacts returns"))


def _evaluation_html(evaluation: Evaluation) -> str:
    from shapecnn.report.evaluation import figures

    drawings = [content.decode() for name, content in figures(evaluation).items() if name.endswith(".svg")]
    return "".join([html_table(evaluation.rows()), *drawings])


def _comparison_html(comparison: Comparison) -> str:
    from shapecnn.report.comparison import page

    return framed(page(comparison))


show_with(Evaluation, _evaluation_html)
show_with(Comparison, _comparison_html)
