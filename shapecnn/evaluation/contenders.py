"""The contenders of a comparison: models, each through one of its features, and the shapes that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import MismatchError, UsageError
from shapecnn.evaluation.settings import TEST_SPLIT, EvaluationSettings
from shapecnn.models.model import Model, Split, resolve_model
from shapecnn.models.output import FeatureName


@dataclass(frozen=True, slots=True)
class Contender:
    """A model that is compared by one of its features.

    Attributes:
        name: As it was typed, such as ``RUN:scores``.
        model: The model.
        feature: What retrieval compares.
        artefacts: What the model sees, of the compared shapes alone.
        left_out: How many of its shapes of the split are not compared, because other models lack them.
    """

    name: str
    model: Model
    feature: FeatureName
    artefacts: Artefacts
    left_out: int


def choose(
    names: Sequence[str],
    data: Sequence[Artefacts],
    settings: EvaluationSettings = TEST_SPLIT,
    *,
    assignments: Mapping[str, Any] | None = None,
) -> list[Contender]:
    """Open the models of a comparison and find the shapes that all of them have.

    Args:
        names: Runs and @models; ``NAME:FEATURE`` takes that feature instead of the one of ``settings``.
        data: Folders of artefacts; a model takes the first that was made with its settings.
        settings: What is measured.
        assignments: Settings of the @models.

    Returns:
        The contenders in the order of their names.

    Raises:
        UsageError: A model is named twice or does not exist, it lacks its feature, or the shapes differ between models:
            there is none that all have, or their labels, the number of items they make, or the ids of train and val
            that runs were trained with are not the same.
        MismatchError: None of ``data`` fits a model.
    """
    split, protocol = settings.split, settings.protocol
    typed = {name: _split_name(name, settings.feature) for name in names}
    if len(typed) < len(names) or len({*typed.values()}) < len(names):
        raise UsageError("A model is named twice with the same feature. To compare two of its features: RUN RUN:scores")
    if assignments and not any(name.startswith("@") for name in names):
        raise UsageError(f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with.")
    models = {
        name: resolve_model(name, dict(assignments or {}) if name.startswith("@") else None)
        for name, _ in dict.fromkeys(typed.values())
    }
    for name, feature in typed.values():
        _require_feature(models[name], feature)
    artefacts = {name: _fitting(model, data) for name, model in models.items()}
    splits = {split: _shared(split, models, artefacts)}
    if protocol == "train-gallery" and split != "train":
        splits["train"] = _shared("train", models, artefacts)
    _require_same_labels(frozenset().union(*splits.values()), artefacts)
    restricted = {name: _only(each, splits) for name, each in artefacts.items()}
    if protocol == "shapenets":
        _require_same_items(models, restricted)
    return [
        Contender(
            text, models[name], feature, restricted[name], _left_out(models[name], artefacts[name], split, splits)
        )
        for text, (name, feature) in typed.items()
    ]


def _split_name(text: str, feature: FeatureName) -> tuple[str, FeatureName]:
    """``"RUN:scores"`` → run and feature."""
    name, _, last = text.rpartition(":")
    for choice in get_args(FeatureName):
        if name and last == choice:
            return name, choice
    return text, feature


def _require_feature(model: Model, feature: FeatureName) -> None:
    if feature != "scores":
        model.compared_by(feature)
    elif model.head is None:
        raise UsageError(f"--feature scores: {model.name} has no classes. Name what it has: {model.name}:penultimate")


def _fitting(model: Model, data: Sequence[Artefacts]) -> Artefacts:
    refusals = []
    for artefacts in data:
        try:
            model.input.require(artefacts, model.name)
        except MismatchError as error:
            refusals.append((artefacts.settings["kind"] != model.input.kind, error))
        else:
            return artefacts
    raise min(refusals, key=lambda refusal: refusal[0])[1]  # of what comes nearest


def _shared(split: Split, models: Mapping[str, Model], artefacts: Mapping[str, Artefacts]) -> frozenset[str]:
    """The ids of one split that all models have. Those of train and val are what the runs were trained with."""
    trained = [name for name in models if not name.startswith("@")] if split != "test" else []
    ids = {
        name: frozenset(entry.id for entry in models[name].split(artefacts[name], split)) for name in trained or models
    }
    first = next(iter(ids))
    for name in ids if trained else ():
        if ids[name] != ids[first]:
            raise UsageError(
                f"{first} and {name} were trained with other shapes in {split}, which cannot be compared: take "
                f"--split test with another --protocol than train-gallery, or runs of the same fold."
            )
    shared = frozenset.intersection(*ids.values())
    for name in models.keys() - ids.keys():
        lacking = len(shared - {entry.id for entry in artefacts[name].entries})
        if lacking:
            raise UsageError(
                f"{artefacts[name].folder} lacks {lacking} of the {len(shared)} shapes of {split} of {first}."
            )
    if not shared:
        counts = ", ".join(f"{len(own)} for {name}" for name, own in ids.items())
        raise UsageError(
            f"There is no shape in split {split} that all models have: {counts}. Name another with --split."
        )
    return shared


def _require_same_labels(ids: frozenset[str], artefacts: Mapping[str, Artefacts]) -> None:
    labels: dict[str, str | None] = {}
    for each in artefacts.values():
        for entry in each.entries:
            if entry.id in ids and labels.setdefault(entry.id, entry.label) != entry.label:
                raise UsageError(
                    f"{entry.id} is labelled {labels[entry.id]!r} in one --data and {entry.label!r} in "
                    f"{each.folder}: make both from the same collection."
                )


def _only(artefacts: Artefacts, splits: Mapping[Split, frozenset[str]]) -> Artefacts:
    """The same with these shapes alone, in these splits."""
    split_of = {shape: split for split, ids in splits.items() for shape in ids}
    kept = tuple(replace(entry, split=split_of[entry.id]) for entry in artefacts.entries if entry.id in split_of)
    return replace(artefacts, entries=kept)


def _require_same_items(models: Mapping[str, Model], artefacts: Mapping[str, Artefacts]) -> None:
    """Raise UsageError unless a shape is as many items to all: lists of other lengths cannot be compared."""
    items = {
        name: len(model.input.read(artefacts[name], artefacts[name].entries[0])) if model.input.kind == "voxels" else 1
        for name, model in models.items()
    }
    if len({*items.values()}) > 1:
        counts = ", ".join(f"{count} for {name}" for name, count in items.items())
        raise UsageError(f"--protocol shapenets: a shape is not as many items to all models ({counts}); take mvcnn.")


def _left_out(model: Model, artefacts: Artefacts, split: Split, splits: Mapping[Split, frozenset[str]]) -> int:
    if model.name.startswith("@") and split != "test":
        return 0  # it takes the shapes of the runs
    return len(model.split(artefacts, split)) - len(splits[split])
