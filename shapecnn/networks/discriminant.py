"""Linear discriminant analysis (LDA) with a closed-form classifier: the cosines to the class means in the LDA space.

The method follows Fisher (1936) and Rao (1948). The covariance is shrunk towards a multiple of the identity, because
there are often more features than shapes. With so few shapes, the Gaussian posterior is far too confident, and the
distance of a shape from the centre depends more on the shape than on its class. The classifier therefore compares
directions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.moments import BLOCK, Moments, prepare

SIZE = 128
"""Usual number of coordinates of a discriminant space; fewer for very few shapes, more for over 64 classes."""

_WITHIN = 0.2  # norm of the within-class coordinates; the norm of the between-class coordinates is at most 1
_MEMBERSHIP = 0.5  # norm of the membership coordinates
_SHARPNESS = 12.0  # factor of the cosines to the class means; the softmax of the products is the membership


class Discriminant(nn.Module):
    """Discriminant space: D features become K + C coordinates that separate C classes and L that vary within a class.

    K is at most C - 1. In the formulas, p is the vector of the signed square roots of the features,
    where each block (one of the concatenated feature vectors) is scaled to unit length. Square roots reduce the
    influence of a few large features (Perronnin, Sánchez, Mensink, ECCV 2010).

    The K between-class coordinates are x / √(|x|² + radius²), with x = between · (p − centre). The vector of
    these coordinates has nearly unit length, but is short for a shape near the centre, which belongs to no class.

    The C membership coordinates are the square roots of the softmax of 12 times the cosines to the class means, scaled
    to length 0.5. With them, shapes of the fitted classes are found nearly as well as by their class probabilities.
    Longer ones would find shapes of other classes worse: results/membership.json.

    The L within-class coordinates are the projections on the directions in which shapes of one class differ most. The
    vector of these coordinates is scaled to length 0.2, so that it has little influence on similarities. If there are
    more features than shapes, all fitted shapes of a class have the same between-class coordinates; the within-class
    coordinates still show which of these shapes are similar.

    Args:
        between: (K, D), projection on the between-class coordinates.
        within: (L, D), projection on the within-class coordinates.
        centre: (D,), mean of the class means.
        radius: (), a scalar: half the mean length of x over the class means.
        means: (C, K), unit vectors to the class means; no rows in spaces of earlier versions, which have no membership.
        blocks: Sizes of the feature vectors that were concatenated; the sum is D.
    """

    def __init__(
        self, between: Tensor, within: Tensor, centre: Tensor, radius: Tensor, means: Tensor, blocks: Sequence[int]
    ) -> None:
        super().__init__()
        self.register_buffer("between", between.float())
        self.register_buffer("within", within.float())
        self.register_buffer("centre", centre.float())
        self.register_buffer("radius", radius.float())
        self.register_buffer("means", means.float(), persistent=len(means) > 0)
        self.between: Tensor
        self.within: Tensor
        self.means: Tensor
        self.centre: Tensor
        self.radius: Tensor
        self.blocks = tuple(blocks)

    @classmethod
    def of(cls, state: Mapping[str, Tensor], blocks: Sequence[int]) -> Discriminant:
        """Build a :class:`Discriminant` from the tensors of a state dict.

        Args:
            state: Tensors ``between``, ``within``, ``centre``, ``radius`` and, but for those of earlier versions,
                ``means``.
            blocks: Sizes of the feature vectors that were concatenated; their sum is the number of features.

        Returns:
            The discriminant space.

        Raises:
            KeyError: A tensor is missing.
        """
        between = state["between"]
        means = state.get("means", between.new_empty((0, len(between))))
        return cls(between, state["within"], state["centre"], state["radius"], means, blocks)

    @property
    def size(self) -> int:
        """Total number of coordinates: those that separate the classes and those that vary within a class."""
        return len(self.between) + len(self.means) + len(self.within)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) of B shapes to (B, K + C + L): K + C coordinates separate the classes, L do not."""
        p = prepare(features, self.blocks) - self.centre
        x = p @ self.between.T
        damped = x / (x.square().sum(dim=1, keepdim=True) + self.radius.square()).sqrt()
        within = _WITHIN * nn.functional.normalize(p @ self.within.T, dim=1)
        if not len(self.means):
            return torch.cat([damped, within], dim=1)
        logarithms = (_SHARPNESS * damped @ self.means.T).log_softmax(dim=1)
        return torch.cat([damped, _MEMBERSHIP * (logarithms / 2).exp(), within], dim=1)


def analyse(
    features: Tensor, labels: Tensor, blocks: Sequence[int], *, shrinkage: float
) -> tuple[Discriminant, Tensor]:
    """Fit a discriminant space to the features of N shapes of C classes, as :func:`fit` does to their moments.

    Args:
        features: (N, D) float, D features of each shape.
        labels: (N,) int64, class numbers from 0 to C - 1; each class occurs.
        blocks: Sizes of the feature vectors that were concatenated; the sum is D.
        shrinkage: As in :func:`fit`.

    Returns:
        The discriminant space and the weights of its classifier.

    Raises:
        TrainingError: All class means are the same.
    """
    moments = Moments(labels, blocks)
    for start in range(0, len(features), BLOCK):
        places = slice(start, min(start + BLOCK, len(features)))
        moments.add(places, features[places])
    return fit(moments, shrinkage=shrinkage)


def fit(moments: Moments, *, shrinkage: float) -> tuple[Discriminant, Tensor]:
    """Fit a discriminant space to N shapes of C classes, whose features were collected part by part.

    The memory needed is a few square matrices with as many rows as features, or as shapes if these are fewer.

    Args:
        moments: What was collected. Its content is used up.
        shrinkage: Weight s in (0, 1] of the identity matrix I in the within-class covariance S, which becomes
            (1 − s) S + s tr(S)/D I.

    Returns:
        The discriminant space, with K + C coordinates that separate the classes and L that vary within a class; and the
        weights (C, K + C + L) float32 of its classifier. The weights of a class are a unit vector that points to the
        class mean; only its first K elements differ from 0.

    Raises:
        TrainingError: All class means are the same.
    """
    means, scatter = moments.means(), moments.scatter()
    classes, size = means.shape
    count = len(moments.labels)
    ridge = shrinkage * scatter.trace() / (count * size)
    centre = means.mean(dim=0)
    between = means - centre
    solved = scatter.solve((1 - shrinkage) / count, max(ridge, torch.finfo(torch.float32).eps), between)
    variances, axes = torch.linalg.eigh(between @ solved.T)  # ascending; the first is 0: the rows sum to 0
    kept = variances > variances.max() * 1e-6
    kept[0] = False
    if not kept.any():
        raise TrainingError(
            "All classes have the same mean feature, so the classes cannot be separated. Use another network."
        )
    projection = (axes[:, kept] / variances[kept].sqrt()).T @ solved
    projected = between @ projection.T
    lengths = torch.linalg.norm(projected, dim=1).clamp(min=torch.finfo(between.dtype).tiny)
    directions = (projected / lengths[:, None]).float()
    within = scatter.strongest(SIZE - len(projection) - classes)
    space = Discriminant(projection, within, centre, lengths.mean() / 2, directions, moments.blocks)
    return space, nn.functional.pad(directions, (0, classes + len(within)))
