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

SIZE = 128
"""Usual number of coordinates of a discriminant space; fewer for very few shapes, more for over 64 classes."""

_FLOOR = 1e-6  # added under the square root, whose slope would be infinite at zero
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


def prepare(features: Tensor, blocks: Sequence[int]) -> Tensor:
    """Return the signed square roots of features, scaled block by block to unit length.

    The features of a shape are several feature vectors, called blocks, one after the other.

    Args:
        features: (N, D) float, D features of N shapes.
        blocks: Sizes of the blocks; the sum is D.

    Returns:
        (N, D) float; in each row, each block has unit length.
    """
    roots = features / (features.abs() + _FLOOR).sqrt()
    return torch.cat([nn.functional.normalize(part, dim=1) for part in torch.split(roots, list(blocks), dim=1)], dim=1)


def analyse(
    features: Tensor, labels: Tensor, blocks: Sequence[int], *, shrinkage: float
) -> tuple[Discriminant, Tensor]:
    """Fit a discriminant space to N shapes of C classes.

    The memory needed is one copy of the features and a square matrix with min(N, D) rows.

    Args:
        features: (N, D) float, D features of each shape.
        labels: (N,) int64, class numbers from 0 to C - 1; each class occurs.
        blocks: Sizes of the feature vectors that were concatenated; the sum is D.
        shrinkage: Weight s in (0, 1] of the identity matrix I in the within-class covariance S, which becomes
            (1 − s) S + s tr(S)/D I.

    Returns:
        The discriminant space, with K + C coordinates that separate the classes and L that vary within a class; and the
        weights (C, K + C + L) float32 of its classifier. The weights of a class are a unit vector that points to the
        class mean; only its first K elements differ from 0.

    Raises:
        TrainingError: All class means are the same.
    """
    x = prepare(features.float(), blocks)
    classes, size = int(labels.max()) + 1, x.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    means = torch.zeros((classes, size)).index_add_(0, labels, x) / counts[:, None]
    for each in range(classes):
        x[labels == each] -= means[each]
    ridge = shrinkage * float(torch.linalg.vector_norm(x)) ** 2 / x.numel()
    centre = means.double().mean(dim=0)
    between = means.double() - centre
    solved = _solve(x, (1 - shrinkage) / len(x), max(ridge, torch.finfo(x.dtype).eps), between)
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
    within = _strongest(x, SIZE - len(projection) - classes)
    space = Discriminant(projection, within, centre, lengths.mean() / 2, directions, blocks)
    return space, nn.functional.pad(directions, (0, classes + len(within)))


def _strongest(rows: Tensor, count: int) -> Tensor:
    """Return the first principal components of N vectors of D values (N, D) with mean zero; at most ``count``.

    The result is L orthonormal vectors (L, D), with L ≤ ``count``. The SVD is randomized (Halko, Martinsson, Tropp
    2011) with a fixed seed.
    """
    count = max(0, min(count, *rows.shape))
    if not count:
        return rows[:0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, strengths, axes = torch.svd_lowrank(rows, min(count + 8, *rows.shape), niter=4)
    real = strengths[:count] > 1e-5 * strengths[0]
    return axes[:, :count][:, real].T.contiguous()


def _solve(rows: Tensor, share: float, ridge: float, right: Tensor) -> Tensor:
    """Multiply each row of ``right`` by the inverse of share · RᵀR + ridge · I, where R is ``rows``.

    ``rows`` is (N, D) float32, N rows of D values. ``right`` and the result are (M, D) float64, M rows of
    D values. I is the D × D identity matrix. ``share`` ≥ 0 and ``ridge`` > 0 are numbers. For N < D, the
    inverse is computed by Woodbury's identity.
    """
    count, size = rows.shape
    if count >= size:
        square = share * (rows.T @ rows).double() + ridge * torch.eye(size, dtype=right.dtype)
        solved: Tensor = torch.linalg.solve(square, right, left=False)
        return solved
    square = share * (rows @ rows.T).double() + ridge * torch.eye(count, dtype=right.dtype)
    inner = torch.linalg.solve(square, (right.float() @ rows.T).double(), left=False)
    correction: Tensor = share * (inner.float() @ rows).double()
    return (right - correction) / ridge
