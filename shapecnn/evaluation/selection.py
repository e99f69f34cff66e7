"""The shapes that an evaluation needs, and whether they and the model allow what is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.evaluation.classification import require_known
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.models.model import Model, Split, classes_of


@dataclass(frozen=True, slots=True)
class Selection:
    """Shapes of the artefacts by their part in an evaluation.

    Attributes:
        measured: The shapes that are classified and that query, at least one.
        searched: The gallery of ``train-gallery``; empty where the measured shapes are the gallery.
        originals: Shapes whose copies are left out where copies are excluded, else empty: those searched, first, and
            the others that the model was trained on.
    """

    measured: Sequence[Entry]
    searched: Sequence[Entry]
    originals: Sequence[Entry]


def require_possible(model: Model, settings: EvaluationSettings) -> None:
    """Check that a model can be measured as asked.

    Raises:
        UsageError: The model has no classes for the task or the feature, or every query would find itself.
    """
    if model.head is None:
        for option, value in (("--task", settings.task), ("--feature", settings.feature)):
            if value in ("classification", "scores"):
                raise UsageError(
                    f"{option} {value}: {model.name} has no classes; it can be measured by retrieval only."
                )
    if settings.retrieves and settings.protocol == "train-gallery" and settings.split == "train":
        raise UsageError(
            "--protocol train-gallery --split train: every query would find itself; measure another split."
        )


def select(model: Model, artefacts: Artefacts, settings: EvaluationSettings) -> Selection:
    """Select the shapes that an evaluation needs.

    Raises:
        UsageError: A split has no shapes, shapes have no label or one that the model does not know and is to predict,
            or copies of the train split are to be excluded from itself.
    """
    measured = _labelled(model, artefacts, settings, settings.split)
    if settings.classifies and classes_of(model):
        require_known([str(entry.label) for entry in measured], classes_of(model))
    searched: list[Entry] = []
    if settings.retrieves and settings.protocol == "train-gallery":
        searched = _labelled(model, artefacts, settings, "train")
    originals = _originals(model, artefacts, settings.split, searched) if settings.exclude_duplicates else []
    return Selection(measured, searched, originals)


def _labelled(model: Model, artefacts: Artefacts, settings: EvaluationSettings, split: Split) -> list[Entry]:
    """The shapes of one split, or of its subset, all of which have a label."""
    entries = model.split(artefacts, split)
    if settings.subset is not None:
        entries = settings.subset.select(entries, split)
    if not entries:
        raise UsageError(f"{artefacts.folder} has no shapes in the split {split}: {_splits(artefacts)}")
    unlabelled = [entry.id for entry in entries if entry.label is None]
    if unlabelled:
        raise UsageError(
            f"{len(unlabelled)} of the {len(entries)} shapes in split {split} of {artefacts.folder} have no label, "
            f"such as {unlabelled[0]}: put each mesh into a folder named after its class and make the artefacts again."
        )
    return entries


def _splits(artefacts: Artefacts) -> str:
    """How many shapes the data has in each split and in none, and what to do."""
    counts = Counter(entry.split for entry in artefacts.entries)
    named = [f"{counts[name]} in the split {name}" for name in get_args(Split) if counts[name]]
    bare = [f"{counts[None]} without a split"] if counts[None] else []
    advice = "Name a split that has some with --split; splits" if named else "Splits"
    listed = ", ".join(named + bare) or "no shapes at all"
    return f"it has {listed}. {advice} are the second level of folders, or a column of a CSV."


def _originals(model: Model, artefacts: Artefacts, split: Split, searched: Sequence[Entry]) -> list[Entry]:
    if model.head is None:
        return [*searched]  # it was trained on none of them
    if split == "train":
        raise UsageError("--exclude-duplicates --split train: all of it was trained on; measure another split.")
    ids = {entry.id for entry in searched}
    return [*searched, *(entry for entry in model.split(artefacts, "train") if entry.id not in ids)]
