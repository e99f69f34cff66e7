"""A model measured on one split of artefacts: classification, retrieval, and how sure the figures are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.duplicates.copies import same_geometry
from shapecnn.duplicates.groups import firsts
from shapecnn.errors import UsageError
from shapecnn.evaluation.classification import Classification, classify, require_known
from shapecnn.evaluation.intervals import Interval, class_mean_interval, mean_interval
from shapecnn.evaluation.results import NO_INTERVALS, Distinct, Evaluation, Items
from shapecnn.evaluation.retrieval import protocols
from shapecnn.evaluation.retrieval.protocols import Retrieval
from shapecnn.models.apply import Outputs, compute_outputs
from shapecnn.models.engine import Device, open_engine
from shapecnn.models.model import Model, Split, classes_of
from shapecnn.models.output import FeatureName
from shapecnn.workers.progress import Progress, no_progress, stage

Task = Literal["both", "classification", "retrieval"]
Protocol = Literal["mvcnn", "shapenets", "train-gallery", "shrec16", "shrec17"]


def evaluate(
    model: Model,
    artefacts: Artefacts,
    split: Split = "test",
    *,
    task: Task = "both",
    protocol: Protocol = "mvcnn",
    feature: FeatureName = "penultimate",
    device: Device = "auto",
    seed: int = 0,
    subset: Subset | None = None,
    exclude_duplicates: bool = False,
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure ``model`` on one split of ``artefacts``.

    With ``shapenets`` each rotation of a shape that is seen as grids is an item; else the shape is. With
    ``train-gallery`` what is searched is the model's train split. ``seed`` is that of the intervals.
    ``exclude_duplicates`` adds the figures without copies.

    Raises UsageError before any work if this cannot be measured: no such shapes, shapes without a label or of a class
    the model does not know, a task or feature the model has not, artefacts of other settings.
    """
    _require_possible(model, split, task, protocol, feature)
    if feature != "scores":
        model = model.compared_by(feature)
    model.input.require(artefacts, model.name)
    entries = _select(model, artefacts, split, subset)
    classifies, retrieves = task != "retrieval" and model.head is not None, task != "classification"
    if classifies:
        require_known([str(entry.label) for entry in entries], classes_of(model))
    searched = _select(model, artefacts, "train", subset) if retrieves and protocol == "train-gallery" else []
    alone = retrieves and protocol == "shapenets" and model.input.kind == "voxels"
    known = _known(model, artefacts, split, searched) if exclude_duplicates else []

    engine = open_engine(model, device)
    passes = classifies + alone if alone else 1
    compared = [*known, *entries] if exclude_duplicates else []
    advance = _counter(progress, passes * len(entries) + len(searched) + len(compared))

    def outputs(shapes: Sequence[Entry], alone: bool = False) -> Outputs:
        return compute_outputs(engine, model, artefacts, shapes, alone, advance)

    # One pass after the other: engines are made ready for one number of grids at a time.
    whole = outputs(entries) if classifies or not alone else None
    scores = whole.get("scores")[:, 0] if classifies and whole is not None else None
    queries = gallery = None
    if retrieves:
        items = whole if whole is not None and not alone else outputs(entries, alone)
        queries = gallery = Items(entries, items.get(feature))
        if searched:
            gallery = Items(searched, outputs(searched).get(feature))

    def measure(
        entries: Sequence[Entry], scores: NDArray[np.float32] | None, queries: Items | None, gallery: Items | None
    ) -> Evaluation:
        classification = retrieval = None
        intervals = dict(NO_INTERVALS)
        if scores is not None:
            classification = classify([str(entry.label) for entry in entries], scores, classes_of(model))
            intervals |= _classification_intervals(classification, seed)
        if queries is not None and gallery is not None:
            if feature != "scores":
                queries, gallery = _placed(model, queries, gallery)
            retrieval = _retrieve(protocol, queries, gallery)
            intervals["mAP"] = _map_interval(retrieval, len(entries), seed)
        return Evaluation(
            model=model.name,
            data=str(artefacts.folder),
            split=split,
            subset=subset,
            entries=entries,
            classification=classification,
            scores=scores,
            retrieval=retrieval,
            feature=feature,
            queries=queries,
            gallery=gallery,
            intervals=intervals,
            seed=seed,
            engine=engine.description,
        )

    with stage("Computing the figures"):
        evaluation = measure(entries, scores, queries, gallery)
    if not exclude_duplicates:
        return evaluation
    originals = firsts(same_geometry(artefacts, compared, lambda _done, _total: advance()))
    first = originals == np.arange(len(compared))
    own, kept = originals[len(known) :], np.flatnonzero(first[len(known) :])
    excluded = [(entry, compared[k]) for entry, k in zip(entries, own, strict=True) if compared[k] is not entry]
    if not len(kept):
        return replace(evaluation, distinct=Distinct(excluded, None))
    left = None if queries is None else queries.select(kept)
    among = left
    if searched and gallery is not None:
        among = gallery.select(np.flatnonzero(first[: len(searched)]))
    distinct = measure([entries[k] for k in kept], None if scores is None else scores[kept], left, among)
    return replace(evaluation, distinct=Distinct(excluded, distinct))


def _known(model: Model, artefacts: Artefacts, split: Split, searched: Sequence[Entry]) -> list[Entry]:
    """The shapes of which copies are not to be measured: those searched, first, and those the model was trained on."""
    if model.head is None:
        return [*searched]
    if split == "train":
        raise UsageError("--exclude-duplicates --split train: all of it was trained on; measure another split.")
    ids = {entry.id for entry in searched}
    return [*searched, *(entry for entry in model.split(artefacts, "train") if entry.id not in ids)]


def _require_possible(model: Model, split: Split, task: Task, protocol: Protocol, feature: FeatureName) -> None:
    if model.head is None:
        for option, value in (("--task", task), ("--feature", feature)):
            if value in ("classification", "scores"):
                raise UsageError(
                    f"{option} {value}: {model.name} has no classes; it can be measured by retrieval only."
                )
    if task != "classification" and protocol == "train-gallery" and split == "train":
        raise UsageError(
            "--protocol train-gallery --split train: every query would find itself; measure another split."
        )


def _select(model: Model, artefacts: Artefacts, split: Split, subset: Subset | None) -> list[Entry]:
    entries = model.split(artefacts, split)
    if subset is not None:
        entries = subset.select(entries, split)
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
    told = ", ".join(named + bare) or "no shapes at all"
    return f"it has {told}. {advice} are the second level of folders, or a column of a CSV."


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return advance


def _placed(model: Model, queries: Items, gallery: Items) -> tuple[Items, Items]:
    """Both where the model compares them; as they were given, one for both where the gallery asks itself."""

    def as_one(items: Items, features: NDArray[np.float32]) -> Items:
        return Items(items.entries, features.reshape(*items.features.shape[:2], -1), space.similarity)

    size = gallery.features.shape[-1]
    space = model.comparison.space(gallery.features.reshape(-1, size))
    placed = as_one(gallery, space.rows)
    if queries is gallery:
        return placed, placed
    return as_one(queries, space.place(queries.features.reshape(-1, size))), placed


def _retrieve(protocol: Protocol, queries: Items, gallery: Items) -> Retrieval:
    match protocol:
        case "mvcnn":
            return protocols.mvcnn(queries.features[:, 0], queries.labels, queries.similarity)
        case "shapenets":
            return protocols.shapenets(queries.features, queries.labels, queries.similarity)
        case "train-gallery":
            return protocols.train_gallery(
                queries.features[:, 0], queries.labels, gallery.features[:, 0], gallery.labels, gallery.similarity
            )
        case "shrec16":
            return protocols.shrec16(queries.features[:, 0], queries.labels, queries.similarity)
        case "shrec17":
            return protocols.shrec17(queries.features[:, 0], queries.labels, queries.similarity)


def _classification_intervals(classification: Classification, seed: int) -> dict[str, Interval | None]:
    confusion = np.array(classification.confusion, np.int64)
    right, counts = confusion.diagonal(), confusion.sum(axis=1)
    each = np.repeat([1.0, 0.0], [right.sum(), counts.sum() - right.sum()])
    present = counts > 0
    return {
        "accuracy": mean_interval(each, seed),
        "mean_class_accuracy": class_mean_interval(right[present], counts[present], seed),
    }


def _map_interval(retrieval: Retrieval, shapes: int, seed: int) -> Interval | None:
    """Items of one shape are drawn together."""
    values = np.array(retrieval.average_precisions, np.float64).reshape(shapes, -1)  # None becomes NaN
    measured = values[~np.isnan(values).any(axis=1)].mean(axis=1)
    return mean_interval(measured, seed) if len(measured) else None
