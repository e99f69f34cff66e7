"""A model measured on one split of artefacts: classification, retrieval, and how sure the figures are."""

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
from shapecnn.models.engine import Device, open_engine
from shapecnn.models.model import Model
from shapecnn.workers.progress import Progress, no_progress, stage


def evaluate_model(
    model: Model,
    artefacts: Artefacts,
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure a model on one split of artefacts.

    Args:
        model: A run, or a model that needs no training.
        artefacts: What it sees of the shapes.
        settings: What is measured, and on which shapes.
        device: Where the network runs.
        progress: Called after each shape that is read.

    Returns:
        The figures, and what they were computed from.

    Raises:
        UsageError: This cannot be measured, which is said before any work: there are no such shapes, shapes have no
            label or one that the model does not know, or the model lacks the task or the feature.
        MismatchError: The artefacts were made with other settings than the model sees. Also before any work.
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
    outputs = passes.compute(open_engine(model, device), advance)
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
    """The measured shapes that copy an earlier one, each with its original, and the outputs of all that copy none."""
    compared = [*shapes.originals, *shapes.measured]
    first_copies = firsts(same_geometry(artefacts, compared, lambda _done, _total: advance()))
    is_first = first_copies == np.arange(len(compared))
    trained = len(shapes.originals)
    excluded = [
        (entry, compared[k])
        for entry, k in zip(shapes.measured, first_copies[trained:], strict=True)
        if compared[k] is not entry
    ]
    # The shapes that are searched are the first of the originals.
    kept, searched = np.flatnonzero(is_first[trained:]), np.flatnonzero(is_first[: len(shapes.searched)])
    return excluded, outputs.select(kept, searched)


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    """A function that reports one more of ``total`` each time it is called."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return advance
