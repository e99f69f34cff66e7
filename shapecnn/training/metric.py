"""Metric of a run: learned on its train split, measured on its val split, and stored with its weights."""

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
class MetricFigures:
    """Retrieval among the shapes of a run's val split, protocol mvcnn.

    Attributes:
        count: Number of shapes.
        mAP: Mean average precision, in [0, 1]; None if no class has two shapes.
        NN: Fraction of shapes whose nearest neighbour has their class, in [0, 1]; None if no class has two shapes.
    """

    count: int
    mAP: float | None  # noqa: N815
    NN: float | None


@dataclass(frozen=True, slots=True)
class MetricResult:
    """Result of learning a metric.

    Attributes:
        size: Number of dimensions of the projection.
        seconds: Wall-clock time of learning.
        anew: Whether the metric was learned now; False if the run had it already.
        before: Figures of the features as they are; None if the run held no shapes out.
        after: Figures of the projected features; None if the run held no shapes out.
    """

    size: int
    seconds: float
    anew: bool
    before: MetricFigures | None
    after: MetricFigures | None


def learn_metric(
    run: Run,
    artefacts: Artefacts,
    *,
    size: int = SIZE,
    seed: int = 0,
    overwrite: bool = False,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> MetricResult:
    """Learn the metric of a run on its train split and store it in the run.

    A metric that was learned for the same weights with the same settings and libraries stays; any other is replaced.

    Args:
        run: The run.
        artefacts: The artefacts that it was trained on.
        size: Largest number of dimensions of the projection.
        seed: Seed of the gradient descent.
        overwrite: Replace files that shapecnn did not write.
        device: Device on which features are computed.
        progress: Called after each shape.

    Returns:
        Size, time and figures of the metric.

    Raises:
        UsageError: The artefacts are not those of the run, or there are too few shapes. Raised before any work.
        TrainingError: The features of all shapes are the same.
        BusyError: Another process writes the run.
    """
    require_device(device)
    run = run.compared_by("penultimate")
    run.input.require(artefacts, run.name)
    train, val = (run.split(artefacts, name) for name in ("train", "val"))
    labels = np.array([str(entry.label) for entry in train])
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise UsageError(
            f"{run.folder} was trained on too few shapes: a metric needs two classes, one with two shapes."
        )
    settings = {
        "size": size,
        "seed": seed,
        "versions": {name: metadata.version(name) for name in ("shapecnn", "torch", "pytorch-metric-learning")},
    }
    with exclusive(run.folder, overwrite):
        require_unchanged(run.folder, (METRIC, PROJECTION), overwrite)
        if (result := _stored_result(run, settings)) is not None:
            return result
        start = time.monotonic()
        gallery = run.head.gallery()
        complete = gallery is not None and [*gallery.ids] == [entry.id for entry in train]  # it may hold only some
        parts = [gallery.features] if gallery is not None and complete else []
        entries: list[Entry] = [*([] if complete else train), *val]
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
        result = MetricResult(len(projection.matrix), round(time.monotonic() - start, 3), True, before, after)
        summary = {name: value for name, value in asdict(result).items() if name != "anew"}
        files = metric_bytes(projection, run.network.weights, {"settings": settings, "learned": summary})
        publish_beside(run.folder, files, damaged_remedy(run.folder))
    return result


def _figures(features: NDArray[np.float32], labels: Sequence[str]) -> MetricFigures | None:
    if not labels:
        return None
    retrieval = protocols.mvcnn(features, labels)
    return MetricFigures(len(labels), retrieval.mAP, retrieval.NN)


def _stored_result(run: Run, settings: dict[str, Any]) -> MetricResult | None:
    """Read the result of the metric in a run; None if there is none for the same settings."""
    try:
        stored = read_metric(run.folder, run.network.weights, run.head.feature_size)
        if stored is None or stored[1]["settings"] != settings:
            return None
        summary = stored[1]["learned"]
        before, after = (summary[name] and MetricFigures(**summary[name]) for name in ("before", "after"))
        return MetricResult(summary["size"], summary["seconds"], False, before, after)
    except (StoredDataError, MismatchError, KeyError, TypeError):
        return None
