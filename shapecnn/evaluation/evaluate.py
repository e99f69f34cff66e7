"""Evaluate one model on one split: classification, retrieval, and 95 % intervals of the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.duplicates.copies import same_geometry
from shapecnn.duplicates.groups import firsts
from shapecnn.evaluation.figures import measure
from shapecnn.evaluation.outputs import SplitOutputs, SplitPasses
from shapecnn.evaluation.results import Distinct, Evaluation
from shapecnn.evaluation.selection import Selection, require_possible, select
from shapecnn.evaluation.settings import TEST_SPLIT, EvaluationSettings
from shapecnn.models.device import Device
from shapecnn.models.engine import Engine, open_engine
from shapecnn.models.model import Model
from shapecnn.workers.progress import Progress, no_progress, stage


def evaluate_model(
    model: Model,
    artefacts: Artefacts,
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    device: Device = "auto",
    engine: Engine | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate a model by classification and retrieval on one split of an artefact folder.

    Args:
        model: A trained run, or a model that needs no training.
        artefacts: Rendered views or voxel grids of the shapes.
        settings: Options of the evaluation, such as task, split and retrieval protocol.
        device: Device that runs the network.
        engine: Inference engine of the model, from :func:`shapecnn.models.engine.open_engine`; None to open one.
        progress: Function that is called with the number of finished steps and the number of all steps. A step reads
            one shape.

    Returns:
        The evaluation: the results and the data they were computed from.

    Raises:
        UsageError: The split has no shapes, a shape has no label, a label is not a class of the model, or the model
            does not have the feature or the classes that the settings need. Raised before the network runs.
        MismatchError: The artefacts were prepared with other settings than the model expects. Raised before the
            network runs.
        StoredDataError: Artefacts are damaged.
    """
    require_possible(model, settings)
    if settings.feature != "scores":
        model = model.compared_by(settings.feature)
    model.input.require(artefacts, model.name)
    shapes = select(model, artefacts, settings)
    passes = SplitPasses(model, artefacts, settings, shapes)
    compared = len(shapes.originals) + len(shapes.measured) if settings.exclude_duplicates else 0
    advance = _counter(progress, passes.reads + compared)
    outputs = passes.compute(engine or open_engine(model, device), advance)
    with stage("Computing the figures"):
        evaluation = measure(model, artefacts, settings, outputs)
    if not settings.exclude_duplicates:
        return evaluation
    excluded, remaining = _without_copies(artefacts, shapes, outputs, advance)
    distinct = measure(model, artefacts, settings, remaining) if remaining.entries else None
    return replace(evaluation, distinct=Distinct(excluded, distinct))


def _without_copies(
    artefacts: Artefacts, shapes: Selection, outputs: SplitOutputs, advance: Callable[[], None]
) -> tuple[list[tuple[Entry, Entry]], SplitOutputs]:
    """Return the duplicates among the evaluated shapes, and the model outputs without the duplicates.

    Args:
        artefacts: Rendered views or voxel grids of the shapes.
        shapes: The evaluated shapes and the training shapes of the model.
        outputs: Outputs of the model for all evaluated shapes.
        advance: Function that is called after each compared shape.

    Returns:
        Pairs of a duplicate and its original, which is a training shape or an earlier evaluated shape. And the outputs
        for the evaluated shapes without these duplicates.
    """
    compared = [*shapes.originals, *shapes.measured]
    first_copies = firsts(same_geometry(artefacts, compared, lambda _done, _total: advance()))
    is_first = first_copies == np.arange(len(compared))
    trained = len(shapes.originals)
    excluded = [
        (entry, compared[k])
        for entry, k in zip(shapes.measured, first_copies[trained:], strict=True)
        if compared[k] is not entry
    ]
    # The shapes of the gallery come first in shapes.originals.
    kept, searched = np.flatnonzero(is_first[trained:]), np.flatnonzero(is_first[: len(shapes.searched)])
    return excluded, outputs.select(kept, searched)


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    """Return a function that adds 1 to a count at each call, and reports the count and ``total`` to ``progress``."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return advance
