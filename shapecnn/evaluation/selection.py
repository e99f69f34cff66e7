"""Select the shapes of an evaluation, and check that the model can be evaluated on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from shapecnn.artefacts.manifest import Entry, quantities, why_unknown
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.evaluation.classification import require_known
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.models.model import Model, Split, classes_of
from shapecnn.settings.networks import QuantityName


@dataclass(frozen=True, slots=True)
class Selection:
    """Shapes of an evaluation: the evaluated shapes, the gallery, and training shapes whose copies are left out.

    Attributes:
        measured: Evaluated shapes, which are classified and used as queries; at least one.
        searched: Gallery of the protocol ``train-gallery``; empty if the evaluated shapes are the gallery.
        originals: Training shapes whose copies are left out of the evaluation: first the gallery, then all other
            training shapes. Empty unless duplicates are excluded.
    """

    measured: Sequence[Entry]
    searched: Sequence[Entry]
    originals: Sequence[Entry]


def require_possible(model: Model, settings: EvaluationSettings) -> None:
    """Check that the options of an evaluation fit the model, before any shape is read.

    Args:
        model: The model to evaluate.
        settings: Options of the evaluation.

    Raises:
        UsageError: The task, the feature or the class prior needs classes, which the model does not have. Or the train
            split would be both queries and gallery, so that every query would find itself.
    """
    if model.head is None:
        for option, value in (("--task", settings.task), ("--feature", settings.feature)):
            if value in ("classification", "scores"):
                advice = "--task retrieval --feature penultimate" if model.quantity is None else "--task regression"
                raise UsageError(f"{option} {value}: {model.name} has no classes. Use {advice}.")
    if model.quantity is None and settings.task == "regression":
        raise UsageError(f"--task regression: {model.name} predicts no quantity. Use another --task.")
    if settings.class_prior is not None and (model.quantity is not None or settings.task == "regression"):
        raise UsageError("--class-prior works with classes only. Leave it out for a model that predicts a quantity.")
    if settings.retrieves and settings.protocol == "train-gallery" and settings.split == "train":
        raise UsageError(
            "--protocol train-gallery --split train: every query would find itself in the gallery. Choose another "
            "--split."
        )


def select(model: Model, artefacts: Artefacts, settings: EvaluationSettings) -> Selection:
    """Select the evaluated shapes, the gallery and the training shapes of an evaluation.

    Args:
        model: The model to evaluate.
        artefacts: Rendered views or voxel grids of the shapes.
        settings: Options of the evaluation.

    Returns:
        The selected shapes.

    Raises:
        UsageError: A split has no shapes, a shape has no label, a shape to classify has a label that is no class of the
            model, the class prior has a class without shapes, or ``exclude_duplicates`` is used with the train split.
    """
    measured = _shapes(model, artefacts, settings, settings.split)
    if model.quantity is None or settings.retrieves:
        _require_labels(model, artefacts, settings.split, measured)
    if settings.class_prior is not None:
        settings.class_prior.require_measured([str(entry.label) for entry in measured])
    if model.quantity is not None and settings.regresses:
        _require_values(artefacts, settings.split, measured, model.quantity.target)
    if settings.classifies and classes_of(model):
        require_known([str(entry.label) for entry in measured], classes_of(model))
    searched: list[Entry] = []
    if settings.retrieves and settings.protocol == "train-gallery":
        searched = _shapes(model, artefacts, settings, "train")
        _require_labels(model, artefacts, "train", searched)
    originals = _originals(model, artefacts, settings.split, searched) if settings.exclude_duplicates else []
    return Selection(measured, searched, originals)


def _shapes(model: Model, artefacts: Artefacts, settings: EvaluationSettings, split: Split) -> list[Entry]:
    """Return the shapes of one split, or of its subset by the labels in the folder; raise UsageError if none."""
    entries = model.split(artefacts, split)
    if settings.subset is not None:
        ids = {entry.id for entry in entries}
        own = [entry for entry in artefacts.entries if entry.id in ids]  # the model may know other labels
        chosen = {entry.id for entry in settings.subset.select(own, split)}
        entries = [entry for entry in entries if entry.id in chosen]
    if not entries:
        raise UsageError(f"{artefacts.folder} has no shapes in the split {split}: {_splits(artefacts)}")
    return entries


def _require_values(artefacts: Artefacts, split: Split, entries: Sequence[Entry], target: QuantityName) -> None:
    if np.isnan(quantities(entries, target)).all():
        raise UsageError(
            f"{artefacts.folder} has no {target} of any shape in split {split}. {why_unknown(entries)} To measure "
            f"retrieval alone: --task retrieval"
        )


def _require_labels(model: Model, artefacts: Artefacts, split: Split, entries: Sequence[Entry]) -> None:
    unlabelled = [entry.id for entry in entries if entry.label is None]
    if unlabelled:
        raise UsageError(
            f"{len(unlabelled)} of the {len(entries)} shapes in split {split} of {artefacts.folder} have no label, "
            f"such as {unlabelled[0]}: put each mesh into a folder named after its class, then run render or voxelize."
            f"{' Or use --task regression, which needs no labels.' if model.quantity is not None else ''}"
        )


def _splits(artefacts: Artefacts) -> str:
    """Return the end of an error message: the number of shapes in each split, and how to set splits."""
    counts = Counter(entry.split for entry in artefacts.entries)
    named = [f"{counts[name]} in the split {name}" for name in get_args(Split) if counts[name]]
    bare = [f"{counts[None]} without a split"] if counts[None] else []
    advice = "Name a split with shapes: --split NAME. Splits" if named else "Splits"
    listed = ", ".join(named + bare) or "no shapes at all"
    return f"it has {listed}. {advice} are set by the second level of folders, or by a column of a CSV."


def _originals(model: Model, artefacts: Artefacts, split: Split, searched: Sequence[Entry]) -> list[Entry]:
    if model.head is None and model.quantity is None:
        return [*searched]  # an untrained model has no training shapes
    if split == "train":
        raise UsageError(
            "--exclude-duplicates --split train: every shape of this split is a training shape. Choose another --split."
        )
    ids = {entry.id for entry in searched}
    return [*searched, *(entry for entry in model.split(artefacts, "train") if entry.id not in ids)]
