"""Open the models of a comparison, and find the shapes on which all models can be measured.

A contender is a model together with the feature by which it retrieves shapes.
"""

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
    """Model and feature that take part in a comparison.

    Attributes:
        name: Model and feature as the user typed them, such as ``RUN:scores``.
        model: The model.
        feature: Feature that retrieval compares.
        artefacts: Rendered views or voxel grids of the compared shapes, which are the input of the network.
        left_out: Number of shapes of the split that are not measured, because this model has artefacts of them but
            another model of the comparison does not.
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
    """Open the models of a comparison and find the shapes on which all models can be measured.

    Args:
        names: Folders of runs, or names of models such as ``@imagenet``. ``NAME:FEATURE`` compares the model by that
            feature instead of the feature in ``settings``.
        data: Artefact folders. Each model uses the first folder that was prepared with the settings of the model.
        settings: Options of the evaluation.
        assignments: Settings, by key, for the models whose names start with ``@``, which need no training.

    Returns:
        The contenders in the order of ``names``.

    Raises:
        UsageError: A model is named twice with the same feature, does not exist or does not have the feature. Or the
            models cannot be compared: no shape is common to all models, a shape has different labels or different
            numbers of rotations, or the runs were trained or validated on different shapes.
        MismatchError: No artefact folder in ``data`` has the settings of a model.
    """
    split, protocol = settings.split, settings.protocol
    typed = {name: _split_name(name, settings.feature) for name in names}
    if len(typed) < len(names) or len({*typed.values()}) < len(names):
        raise UsageError(
            "A model is named twice with the same feature. To compare two features of a run: RUN RUN:scores"
        )
    if assignments and not any(name.startswith("@") for name in names):
        raise UsageError(
            f"--set {next(iter(assignments))}: a trained run keeps the settings it was trained with. Leave out --set."
        )
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
    _require_same_classes(models, restricted, splits)
    if protocol == "shapenets":
        _require_same_items(models, restricted)
    return [
        Contender(
            text, models[name], feature, restricted[name], _left_out(models[name], artefacts[name], split, splits)
        )
        for text, (name, feature) in typed.items()
    ]


def _split_name(text: str, feature: FeatureName) -> tuple[str, FeatureName]:
    """Split a name such as ``RUN:scores`` into model and feature; a name without feature gets ``feature``."""
    name, _, last = text.rpartition(":")
    for choice in get_args(FeatureName):
        if name and last == choice:
            return name, choice
    return text, feature


def _require_feature(model: Model, feature: FeatureName) -> None:
    if feature != "scores":
        model.compared_by(feature)
    elif model.head is None:
        raise UsageError(f"--feature scores: {model.name} has no classes, so no scores. Use {model.name}:penultimate")


def _fitting(model: Model, data: Sequence[Artefacts]) -> Artefacts:
    refusals = []
    for artefacts in data:
        try:
            model.input.require(artefacts, model.name)
        except MismatchError as error:
            refusals.append((artefacts.settings["kind"] != model.input.kind, error))
        else:
            return artefacts
    raise min(refusals, key=lambda refusal: refusal[0])[1]  # prefer the error of a folder of the right kind


def _shared(split: Split, models: Mapping[str, Model], artefacts: Mapping[str, Artefacts]) -> frozenset[str]:
    """Return the ids of the shapes that all models have in one split; raise UsageError if none is common.

    For ``train`` and ``val``, these are the shapes that the runs were trained and validated on. All runs must have been
    trained and validated on the same shapes.
    """
    trained = [name for name in models if not name.startswith("@")] if split != "test" else []
    ids = {
        name: frozenset(entry.id for entry in models[name].split(artefacts[name], split)) for name in trained or models
    }
    first = next(iter(ids))
    for name in ids if trained else ():
        if ids[name] != ids[first]:
            raise UsageError(
                f"{first} and {name} were trained with different shapes in split {split}, so they cannot be compared "
                f"on this split. Use --split test and a --protocol other than train-gallery, or runs of the same fold."
            )
    shared = frozenset.intersection(*ids.values())
    for name in models.keys() - ids.keys():
        lacking = len(shared - {entry.id for entry in artefacts[name].entries})
        if lacking:
            raise UsageError(
                f"{artefacts[name].folder} lacks {lacking} of the {len(shared)} shapes that {first} has in split "
                f"{split}. Prepare the missing shapes, or name another folder with --data."
            )
    if not shared:
        counts = ", ".join(f"{len(own)} for {name}" for name, own in ids.items())
        raise UsageError(
            f"There is no shape in split {split} that all models have: {counts}. Choose another split with --split."
        )
    return shared


def _require_same_labels(ids: frozenset[str], artefacts: Mapping[str, Artefacts]) -> None:
    labels: dict[str, str | None] = {}
    for each in artefacts.values():
        for entry in each.entries:
            if entry.id in ids and labels.setdefault(entry.id, entry.label) != entry.label:
                raise UsageError(
                    f"{entry.id} is labelled {labels[entry.id]!r} in one --data folder and {entry.label!r} in "
                    f"{each.folder}: prepare both folders from the same collection."
                )


def _require_same_classes(
    models: Mapping[str, Model], artefacts: Mapping[str, Artefacts], splits: Mapping[Split, frozenset[str]]
) -> None:
    """Raise UsageError if a run with ``one_vs_rest`` knows a shape by another label than another model."""
    known: dict[str, tuple[str, str | None]] = {}
    for name, model in models.items():
        for entry in (entry for split in splits for entry in model.split(artefacts[name], split)):
            first, label = known.setdefault(entry.id, (name, entry.label))
            if label != entry.label:
                raise UsageError(
                    f"{entry.id} is labelled {label!r} for {first} and {entry.label!r} for {name}, because one of them "
                    f"was trained with one_vs_rest: compare models that know the same classes."
                )


def _only(artefacts: Artefacts, splits: Mapping[Split, frozenset[str]]) -> Artefacts:
    """Return the artefact folder restricted to the shapes in ``splits``, each with the split given in ``splits``."""
    split_of = {shape: split for split, ids in splits.items() for shape in ids}
    kept = tuple(replace(entry, split=split_of[entry.id]) for entry in artefacts.entries if entry.id in split_of)
    return replace(artefacts, entries=kept)


def _require_same_items(models: Mapping[str, Model], artefacts: Mapping[str, Artefacts]) -> None:
    """Raise UsageError unless a shape has the same number of queries (rotations of its grid) for all models.

    With different numbers of queries, the result lists have different lengths and cannot be compared.
    """
    items = {
        name: len(model.input.read(artefacts[name], artefacts[name].entries[0])) if model.input.kind == "voxels" else 1
        for name, model in models.items()
    }
    if len({*items.values()}) > 1:
        counts = ", ".join(f"{count} for {name}" for name, count in items.items())
        raise UsageError(
            f"--protocol shapenets: each rotation of a grid is a query, so the models have different numbers of "
            f"queries for one shape ({counts}). Use --protocol mvcnn."
        )


def _left_out(model: Model, artefacts: Artefacts, split: Split, splits: Mapping[Split, frozenset[str]]) -> int:
    if model.name.startswith("@") and split != "test":
        return 0  # an untrained model is measured on the shapes of the runs
    return len(model.split(artefacts, split)) - len(splits[split])
