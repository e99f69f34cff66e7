"""Metric learning: learn a low-rank projection of features that brings shapes of the same class close together.

The projection is initialized by linear discriminant analysis, and then trained with a large-margin loss on pairs of
shapes. The MVCNN paper does the same (Su, Maji, Kalogerakis, Learned-Miller, ICCV 2015), following Simonyan, Parkhi,
Vedaldi, Zisserman: Fisher Vector Faces in the Wild, BMVC 2013.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import TrainingError
from shapecnn.models.metric import SHARE, SHARPNESS, Projection, raised
from shapecnn.shared.similarity import unit

SIZE = 128  # default number of dimensions of the projection

# These values were chosen by five-fold cross-validation on the Princeton Shape Benchmark (docs/measurements/metric.md).
_POWER = 0.5  # exponent applied to each number of a feature
_SHRINKAGE = 0.5  # shrinkage of the within-class scatter, which is too small on the training shapes
_REST = 0.3  # weight of the axes that do not separate classes; the discriminant axes have weight 1
_SAME, _OTHER = 0.8, 0.4  # margins: lowest cosine of a pair of the same class, highest cosine of any other pair
_STEPS, _RATE, _DROPOUT, _BATCH = 40, 3e-4, 0.5, 1024


def learn_projection(
    features: NDArray[np.float32], labels: NDArray[Any], *, size: int = SIZE, seed: int = 0, spread: bool = False
) -> Projection:
    """Learn the projection of a retrieval metric from labelled features.

    The projection is initialized by linear discriminant analysis, in which all classes have the same weight and the
    within-class scatter is shrunk towards a multiple of the identity. Axes that do not separate the classes are added
    with a lower weight, the axes of largest variance first. A contrastive loss on all pairs of a batch then trains the
    projection and the class anchors (one vector per class).

    Args:
        features: (N, D) float32, the features of N shapes, D numbers each.
        labels: (N,), the class of each of the N shapes; at least two classes.
        size: Largest rank of the projection. The rank is also at most N - 1 and D.
        seed: Random seed of batches and dropout.
        spread: Whether the features are coordinates in a discriminant space that was fitted to the same shapes. The
            within-class scatter is then not meaningful, and all axes get the same weight.

    Returns:
        The projection, with one anchor per class.

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
    """Compute the mean of the class means, and the matrix that whitens the within-class scatter after shrinkage.

    Args:
        x: (N, D), the features of N shapes, D numbers each.
        classes: (N,), class number of each shape, from 0.
        shrinkage: Shrinkage of the scatter towards a multiple of the identity, in [0, 1].

    Returns:
        Pair of mean (D,) and matrix (D, r), where r is the rank of the centred features.

    Raises:
        TrainingError: The features of all shapes are the same.
    """
    means = _class_means(x, classes)
    centre = means.mean(axis=0)
    axes = _directions(x - centre)
    if not axes.size:
        raise TrainingError("The features of all shapes are the same: no metric can separate them. Use another run.")
    within = (x - means[classes]) @ axes
    scatter = within.T @ within / len(x)
    variances, turned = np.linalg.eigh(scatter)
    sphere = scatter.trace() / x.shape[1]
    least = (
        1e-6 * np.square(x - centre).sum() / x.size
    )  # keeps the scatter positive if all shapes of each class coincide
    shrunk = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * sphere + least
    return centre, axes @ (turned / np.sqrt(shrunk))


def _draw_together(
    white: NDArray[np.float64],
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    anchors: NDArray[np.float64],
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train the projection and the class anchors (one vector per class) with a large-margin loss on pairs of shapes.

    Args:
        white: (N, r), the whitened features of N shapes, r numbers each.
        classes: (N,), class number of each shape, from 0 to C - 1 for C classes.
        weights: (r, d), the initial projection from r to d dimensions.
        anchors: (C, d), the initial anchor of each class.
        seed: Random seed of batches and dropout.

    Returns:
        Pair of trained weights (r, d) and anchors (C, d).
    """
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
    """Compute the mean feature (C, D) of each of C classes, from N features of D numbers and their class numbers."""
    sums = np.zeros((classes.max() + 1, x.shape[1]))
    np.add.at(sums, classes, x)
    return sums / np.bincount(classes)[:, None]


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis (D, rank) of the span of N vectors with D numbers, by SVD, strongest axis first."""
    _, strengths, axes = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(axes[strengths > 1e-6 * max(strengths[0], 1e-6)].T)
