"""The metric of a run: learned on its own train split, measured on its val split, kept beside its weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.evaluation.retrieval import protocols
from shapecnn.models.apply import compute_outputs
from shapecnn.models.engine import Device, open_engine, require_device
from shapecnn.models.metric import METRIC, PROJECTION, metric_bytes, read_metric
from shapecnn.models.run import Run, damaged_remedy
from shapecnn.storage.own import require_unchanged
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.sealed import publish_beside
from shapecnn.training.metric_learning import SIZE, learn_projection
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Figures:
    """Retrieval among ``count`` shapes of the run's val split, protocol mvcnn; None where no class has two."""

    count: int
    mAP: float | None  # noqa: N815
    NN: float | None


@dataclass(frozen=True, slots=True)
class Learned:
    """size: d of the projection.  anew: whether it was learned now; else it was there, with the same settings.

    before, after: on features as they are, and by the metric; None if the run held nothing out.
    """

    size: int
    seconds: float
    anew: bool
    before: Figures | None
    after: Figures | None


def learn_metric(
    run: Run,
    artefacts: Artefacts,
    *,
    size: int = SIZE,
    seed: int = 0,
    overwrite: bool = False,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> Learned:
    """Learn the metric of ``run`` on its own train split, and keep it there.

    One that is there stays if it was learned for these weights with the same settings and libraries; else it is
    replaced.

    Raises UsageError before any work if the artefacts are not what it was trained on or no class has two shapes,
    TrainingError if the features tell nothing apart, BusyError while another process writes the run.
    """
    require_device(device)
    run = run.compared_by("penultimate")
    run.input.require(artefacts, run.name)
    train, val = (run.split(artefacts, name) for name in ("train", "val"))
    labels = np.array([str(entry.label) for entry in train])
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise UsageError(f"{run.folder} was not trained on two classes, one with two shapes; a metric takes that.")
    settings = {
        "size": size,
        "seed": seed,
        "versions": {name: metadata.version(name) for name in ("shapecnn", "torch", "pytorch-metric-learning")},
    }
    with exclusive(run.folder, overwrite):
        require_unchanged(run.folder, (METRIC, PROJECTION), overwrite)
        if (kept := _kept(run, settings)) is not None:
            return kept
        started = time.monotonic()
        gallery = run.head.gallery()
        known = gallery is not None and [*gallery.ids] == [entry.id for entry in train]  # it may hold but some of them
        parts = [gallery.features] if gallery is not None and known else []
        entries: list[Entry] = [*([] if known else train), *val]
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            progress(done, len(entries))

        if entries:
            engine = open_engine(run, device)
            outputs = compute_outputs(engine, run, artefacts, entries, alone=False, advance=advance)
            parts.append(outputs.get("penultimate")[:, 0])
        features = np.concatenate(parts)
        projection = learn_projection(
            features[: len(train)], labels, size=size, seed=seed, spread=run.comparison.discriminant
        )
        held_out, val_labels = features[len(train) :], [str(entry.label) for entry in val]
        before = _figures(held_out, val_labels)
        after = _figures(np.array([projection(feature) for feature in held_out]), val_labels)
        learned = Learned(len(projection.matrix), round(time.monotonic() - started, 3), True, before, after)
        told = {name: value for name, value in asdict(learned).items() if name != "anew"}
        files = metric_bytes(projection, run.network.weights, {"settings": settings, "learned": told})
        publish_beside(run.folder, files, damaged_remedy(run.folder))
    return learned


def _figures(features: NDArray[np.float32], labels: Sequence[str]) -> Figures | None:
    if not labels:
        return None
    retrieval = protocols.mvcnn(features, labels)
    return Figures(len(labels), retrieval.mAP, retrieval.NN)


def _kept(run: Run, settings: dict[str, Any]) -> Learned | None:
    """What is there already, if it was learned in the same way."""
    try:
        found = read_metric(run.folder, run.network.weights, run.head.feature_size)
        if found is None or found[1]["settings"] != settings:
            return None
        told = found[1]["learned"]
        before, after = (told[name] and Figures(**told[name]) for name in ("before", "after"))
        return Learned(told["size"], told["seconds"], False, before, after)
    except (StoredDataError, MismatchError, KeyError, TypeError):
        return None
