"""Learning of a low-rank projection of features in which shapes of one class are close.

It starts as the discriminant directions and is then trained on large-margin pairs, as in the paper of MVCNN (Su, Maji,
Kalogerakis, Learned-Miller, ICCV 2015), where it follows Simonyan, Parkhi, Vedaldi, Zisserman: Fisher Vector Faces in
the Wild, BMVC 2013.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import TrainingError
from shapecnn.models.metric import SHARE, SHARPNESS, Projection, raised
from shapecnn.shared.similarity import unit

SIZE = 128

# Chosen on the five folds of psb together (docs/training.md).
_POWER = 0.5  # of each number of a feature
_SHRINKAGE = 0.5  # of the scatter within classes: features of shapes that were trained on are too close
_REST = 0.3  # weight of the directions that tell no classes apart, beside those that do
_SAME, _OTHER = 0.8, 0.4  # margins: the least cosine wanted of a pair of one class, the largest of any other
_STEPS, _RATE, _DROPOUT, _BATCH = 40, 3e-4, 0.5, 1024


def learn_projection(
    features: NDArray[np.float32], labels: NDArray[Any], *, size: int = SIZE, seed: int = 0, spread: bool = False
) -> Projection:
    """Learn the projection of a metric.

    The start is linear discriminant analysis with the scatter within classes shrunk towards that of a sphere, all
    classes worth the same, and the strongest of the other directions beside it. Contrastive loss on all pairs of a
    batch, by what will be compared, then moves projection and anchors.

    Args:
        features: (N, D) float32.
        labels: (N,), of at least two classes.
        size: Largest rank of the projection; N - 1 or D if that is less.
        seed: Seed of batches and dropout.
        spread: Whether the features are coordinates of a discriminant space that was fitted to the same shapes. Its
            axes are worth the same, and the scatter of these shapes in it says nothing.

    Returns:
        The projection, with one anchor for each class.

    Raises:
        TrainingError: The features of all shapes are the same.
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
    weights, anchors = _draw_together(white, classes, weights, unit(means @ weights), seed)
    return Projection.of(
        (whitening @ weights).T.astype(np.float32), centre.astype(np.float32), unit(anchors).astype(np.float32), power
    )


def _whitening(
    x: NDArray[np.float64], classes: NDArray[np.int64], shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the mean of the class means (D,), and the map (D, r) that whitens the shrunk scatter within classes."""
    means = _class_means(x, classes)
    centre = means.mean(axis=0)
    axes = _directions(x - centre)
    if not axes.size:
        raise TrainingError("The features of all shapes are the same: no metric tells them apart. Use another run.")
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
    """Train weights (r, d) and anchors (C, d) with Adam on large-margin pairs of shapes."""
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
    """Compute the mean of each class: rows (N, D) → (C, D)."""
    sums = np.zeros((classes.max() + 1, x.shape[1]))
    np.add.at(sums, classes, x)
    return sums / np.bincount(classes)[:, None]


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute an orthonormal basis (D, rank) of the rows (N, D), strongest direction first."""
    _, strengths, axes = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(axes[strengths > 1e-6 * max(strengths[0], 1e-6)].T)
