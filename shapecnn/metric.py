"""The learned metric: a low-rank projection of a run's features in which shapes of one class are close.

It starts as the discriminant directions and is then drawn by large-margin pairs, as in the paper of MVCNN (Su, Maji,
Kalogerakis, Learned-Miller, ICCV 2015), where it follows Simonyan, Parkhi, Vedaldi, Zisserman: Fisher Vector Faces in
the Wild, BMVC 2013.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts import Entry, Progress
from shapecnn.checkpoint import Run
from shapecnn.datasets import Artefacts
from shapecnn.errors import MismatchError, StoredDataError, TrainingError, UsageError
from shapecnn.inference import Device, open_engine, require_device
from shapecnn.outputs import compute_outputs
from shapecnn.projection import SHARE, SHARPNESS, Projection, metric_bytes, raised, read_metric
from shapecnn.retrieval import protocols
from shapecnn.storage import exclusive, publish

SIZE = 128

# Chosen on the five folds of psb together (docs/training.md).
_POWER = 0.5  # of each number of a feature
_SHRINKAGE = 0.5  # of the scatter within classes: features of shapes that were trained on are too close
_REST = 0.3  # weight of the directions that tell no classes apart, beside those that do
_SAME, _OTHER = 0.8, 0.4  # margins: the least cosine wanted of a pair of one class, the largest of any other
_STEPS, _RATE, _DROPOUT, _BATCH = 40, 3e-4, 0.5, 1024


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
    device: Device = "auto",
    progress: Progress = lambda _done, _total: None,
) -> Learned:
    """Learn the metric of ``run`` on its own train split, and keep it there.

    One that is there stays if it was learned for these weights with the same settings and libraries; else it is
    replaced.

    Raises UsageError before any work if the artefacts are not what it was trained on or no class has two shapes,
    TrainingError if the features tell nothing apart, BusyError while another process writes the run.
    """
    require_device(device)
    run = run.comparing("penultimate")
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
    with exclusive(run.folder):
        if (kept := _kept(run, settings)) is not None:
            return kept
        started = time.monotonic()
        gallery = run.gallery()
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
        projection = learn_projection(features[: len(train)], labels, size=size, seed=seed, spread=run.discriminant)
        held_out, val_labels = features[len(train) :], [str(entry.label) for entry in val]
        before = _figures(held_out, val_labels)
        after = _figures(np.array([projection(feature) for feature in held_out]), val_labels)
        learned = Learned(len(projection.matrix), round(time.monotonic() - started, 3), True, before, after)
        told = {name: value for name, value in asdict(learned).items() if name != "anew"}
        publish(run.folder, metric_bytes(projection, run.weights, {"settings": settings, "learned": told}))
    return learned


def learn_projection(
    features: NDArray[np.float32], labels: NDArray[Any], *, size: int = SIZE, seed: int = 0, spread: bool = False
) -> Projection:
    """The metric for features (N, D) and labels (N,) of at least two classes; rank ``size``, or N − 1 or D if less.

    The start is linear discriminant analysis with the scatter within classes shrunk towards that of a sphere, all
    classes worth the same, and the strongest of the other directions beside it. Contrastive loss on all pairs of a
    batch, by what will be compared, then moves projection and anchors.

    spread: whether the features are coordinates of a discriminant space already, fitted to these very shapes: their
    axes are worth the same, and how the shapes scatter there says nothing.

    Raises TrainingError if the features tell nothing apart.
    """
    power, shrinkage = (1.0, 1.0) if spread else (_POWER, _SHRINKAGE)
    x = np.array([raised(feature, power) for feature in features], np.float64)
    classes = np.searchsorted(np.unique(labels), labels)
    centre, whitening = _whitening(x, classes, shrinkage)
    white = (x - centre) @ whitening
    means = _class_means(white, classes)
    discriminants = _directions(means)
    rest = white - white @ discriminants @ discriminants.T
    weights = np.concatenate([discriminants, _REST * _directions(rest)], axis=1)[:, : min(size, white.shape[1])]
    weights, anchors = _draw_together(white, classes, weights, _unit(means @ weights), seed)
    return Projection.of(
        (whitening @ weights).T.astype(np.float32), centre.astype(np.float32), _unit(anchors).astype(np.float32), power
    )


def _whitening(
    x: NDArray[np.float64], classes: NDArray[np.int64], shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the class means (D,), and (D, r) that makes the shrunk scatter within classes a sphere of radius 1."""
    means = _class_means(x, classes)
    centre = means.mean(axis=0)
    axes = _directions(x - centre)
    if not axes.size:
        raise TrainingError("The features of all shapes are the same: no metric tells them apart. Train the run anew.")
    within = (x - means[classes]) @ axes
    scatter = within.T @ within / len(x)
    variances, turned = np.linalg.eigh(scatter)
    sphere = scatter.trace() / x.shape[1]
    least = 1e-6 * np.square(x - centre).sum() / x.size  # where each class is one point
    shrunk = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * sphere + least
    return centre, axes @ (turned / np.sqrt(shrunk))


def _draw_together(
    white: NDArray[np.float64],
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    anchors: NDArray[np.float64],
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (r, d) and anchors (C, d) after some steps of Adam on large-margin pairs of shapes."""
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import ContrastiveLoss
    from torch.nn.functional import normalize

    random = torch.Generator().manual_seed(seed)
    length = np.sqrt(np.square(white).sum(axis=1).mean())
    x = torch.from_numpy((white / length).astype(np.float32))
    y = torch.from_numpy(classes)
    parameters = [torch.nn.Parameter(torch.from_numpy(a.astype(np.float32))) for a in (weights, anchors)]
    loss = ContrastiveLoss(_SAME, _OTHER, distance=CosineSimilarity())
    optimizer = torch.optim.Adam(parameters, _RATE)
    for _ in range(_STEPS):
        rows = torch.randperm(len(x), generator=random)[:_BATCH]
        kept = torch.rand((len(rows), x.shape[1]), generator=random) >= _DROPOUT
        z = normalize((x[rows] * kept) @ parameters[0])
        assigned = torch.softmax(SHARPNESS * z @ normalize(parameters[1]).T, dim=1)
        compared = torch.cat([normalize(assigned), SHARE * z], dim=1)
        optimizer.zero_grad()
        loss(compared, y[rows]).backward()
        optimizer.step()
    drawn, moved = (parameter.detach().numpy().astype(np.float64) for parameter in parameters)
    return drawn, moved


def _class_means(x: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N, D) → (C, D)."""
    sums = np.zeros((classes.max() + 1, x.shape[1]))
    np.add.at(sums, classes, x)
    return sums / np.bincount(classes)[:, None]


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, D) → (D, rank): orthonormal, what the rows span, the strongest first."""
    _, strengths, axes = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(axes[strengths > 1e-6 * max(strengths[0], 1e-6)].T)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def _figures(features: NDArray[np.float32], labels: Sequence[str]) -> Figures | None:
    if not labels:
        return None
    retrieval = protocols.mvcnn(features, labels)
    return Figures(len(labels), retrieval.mAP, retrieval.NN)


def _kept(run: Run, settings: dict[str, Any]) -> Learned | None:
    """What is there already, if it was learned in the same way."""
    try:
        found = read_metric(run.folder, run.weights)
    except (StoredDataError, MismatchError):
        return None
    if found is None or found[1]["settings"] != settings:
        return None
    told = found[1]["learned"]
    before, after = (told[name] and Figures(**told[name]) for name in ("before", "after"))
    return Learned(told["size"], told["seconds"], False, before, after)
