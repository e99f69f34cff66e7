"""Learn a retrieval metric (a projection of features) for a trained network, evaluate it, and store it in the run."""

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
from shapecnn.models.device import Device, require_device
from shapecnn.models.engine import open_engine
from shapecnn.models.metric import METRIC, PROJECTION, metric_bytes, read_metric
from shapecnn.models.run import Run, damaged_remedy
from shapecnn.storage.own import require_unchanged
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.sealed import publish_beside
from shapecnn.training.metric_learning import SIZE, learn_projection
from shapecnn.workers.progress import Progress, no_progress, stage


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """Retrieval accuracy on the val split. Each shape is a query among all other shapes (protocol ``mvcnn``).

    Attributes:
        count: Number of shapes in the val split.
        mAP: Mean average precision, in [0, 1]; None if no class has two shapes.
        NN: Fraction of shapes whose nearest neighbour has the same class, in [0, 1]; None if no class has two shapes.
    """

    count: int
    mAP: float | None  # noqa: N815
    NN: float | None


@dataclass(frozen=True, slots=True)
class MetricResult:
    """Result of learning a retrieval metric for a run.

    Attributes:
        size: Number of dimensions to which the metric projects features.
        seconds: Wall-clock time for learning the metric, in seconds.
        anew: True if this call learned the metric; False if the run already contained the metric.
        before: Retrieval accuracy without the metric; None if the run has no held-out shapes.
        after: Retrieval accuracy with the metric; None if the run has no held-out shapes.
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
    """Learn a retrieval metric for a trained network on its train split, and store the metric in the run folder.

    If the run already has a metric for the same weights, settings and library versions, its result is returned.
    A stored metric with other settings is replaced.

    Args:
        run: The trained network.
        artefacts: The artefacts (views or voxel grids) that the run was trained on.
        size: Largest number of dimensions to which the metric projects features.
        seed: Random seed of the gradient descent.
        overwrite: Whether to replace files that shapecnn did not write.
        device: Device on which features are computed.
        progress: Callback after each shape.

    Returns:
        Size of the metric, time to learn it, and retrieval accuracy before and after.

    Raises:
        UsageError: The network was not trained on these artefacts, or was trained on too few shapes. Raised before any
            computation.
        TrainingError: The features of all shapes are the same.
        BusyError: Another process is writing to the folder of the run.
    """
    require_device(device)
    head = run.head
    if head is None:
        raise UsageError(
            f"{run.folder} has no classes, from which a metric is learned: it predicts a quantity. Use a run with "
            f"classes."
        )
    run = run.compared_by("penultimate")
    run.input.require(artefacts, run.name)
    train, val = (run.split(artefacts, name) for name in ("train", "val"))
    labels = np.array([str(entry.label) for entry in train])
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise UsageError(
            f"{run.folder} was trained on too few shapes: a metric needs at least two classes, and at least "
            f"one class with two shapes. Use another run."
        )
    settings = {
        "size": size,
        "seed": seed,
        "versions": {name: metadata.version(name) for name in ("shapecnn", "torch", "pytorch-metric-learning")},
    }
    with exclusive(run.folder, overwrite):
        require_unchanged(run.folder, (METRIC, PROJECTION), overwrite)
        if (result := _stored_result(run, head.feature_size, settings)) is not None:
            return result
        start = time.monotonic()
        gallery = head.gallery()
        complete = gallery is not None and [*gallery.ids] == [
            entry.id for entry in train
        ]  # a gallery may be missing some of the shapes
        parts = [gallery.features] if gallery is not None and complete else []
        entries: list[Entry] = [*([] if complete else train), *val]
        done = 0

        def advance() -> None:
            """Report to the progress callback that the features of one more shape have been computed."""
            nonlocal done
            done += 1
            progress(done, len(entries))

        if entries:
            engine = open_engine(run, device)
            outputs = compute_outputs(engine, run, artefacts, entries, alone=False, advance=advance)
            parts.append(outputs.get("penultimate")[:, 0])
        features = np.concatenate(parts)
        with stage("Learning the metric"):
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
    """Evaluate retrieval (mAP and NN) among N shapes, each with a feature of D numbers, (N, D); None if N is 0."""
    if not labels:
        return None
    retrieval = protocols.mvcnn(features, labels)
    return MetricFigures(len(labels), retrieval.mAP, retrieval.NN)


def _stored_result(run: Run, feature_size: int, settings: dict[str, Any]) -> MetricResult | None:
    """Read the result of an earlier :func:`learn_metric` with the same settings; None if no such result is stored."""
    try:
        stored = read_metric(run.folder, run.network.weights, feature_size)
        if stored is None or stored[1]["settings"] != settings:
            return None
        summary = stored[1]["learned"]
        before, after = (summary[name] and MetricFigures(**summary[name]) for name in ("before", "after"))
        return MetricResult(summary["size"], summary["seconds"], False, before, after)
    except (StoredDataError, MismatchError, KeyError, TypeError):
        return None
