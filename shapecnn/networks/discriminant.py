"""Linear discriminant analysis, with a classifier in closed form: the cosine to the class means in its space.

Fisher 1936, Rao 1948, with a covariance shrunk towards a multiple of the identity, as there are more features than
shapes. The Gaussian posterior is far too sure there, and how far a shape lies from the centre says more of the shape
than of its class: directions alone are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shapecnn.errors import TrainingError

SIZE = 128
"""Number of coordinates, unless there are fewer shapes or more classes."""

_FLOOR = 1e-6  # keeps the slope of the square root finite at zero
_WITHIN = 0.2  # length of the coordinates within classes, beside 1 of those between


class Discriminant(nn.Module):
    """Discriminant space: features (B, D) → coordinates (B, K + L), K (classes - 1) between classes and L within.

    Between: x = between · (p − centre), divided by √(|x|² + radius²): nearly a direction, but what lies near the centre
    is of no class, also where K is 1.  Within: the strongest directions in which shapes of one class differ, as a short
    vector of one length.  Shapes that the space was fitted to lie on their class mean wherever there are more features
    than shapes; these coordinates tell which of them are alike.

    p: the signed square roots of the features, which tames the few large ones (Perronnin, Sánchez, Mensink, ECCV 2010),
    each block divided by its length.  blocks: sizes, of sum D, of what was joined to make the features.
    """

    def __init__(self, between: Tensor, within: Tensor, centre: Tensor, radius: Tensor, blocks: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("between", between.float())
        self.register_buffer("within", within.float())
        self.register_buffer("centre", centre.float())
        self.register_buffer("radius", radius.float())
        self.between: Tensor
        self.within: Tensor
        self.centre: Tensor
        self.radius: Tensor
        self.blocks = tuple(blocks)

    @classmethod
    def of(cls, state: Mapping[str, Tensor], blocks: Sequence[int]) -> Discriminant:
        """Build the space from its tensors.

        Args:
            state: ``between``, ``within``, ``centre`` and ``radius``.
            blocks: Sizes, of sum D, of the features that were joined.

        Returns:
            The space.

        Raises:
            KeyError: A tensor is missing.
        """
        return cls(state["between"], state["within"], state["centre"], state["radius"], blocks)

    @property
    def size(self) -> int:
        """Number of coordinates, K + L."""
        return len(self.between) + len(self.within)

    def forward(self, features: Tensor) -> Tensor:
        """Compute coordinates (B, K + L) from features (B, D)."""
        p = prepare(features, self.blocks) - self.centre
        x = p @ self.between.T
        damped = x / (x.square().sum(dim=1, keepdim=True) + self.radius.square()).sqrt()
        return torch.cat([damped, _WITHIN * nn.functional.normalize(p @ self.within.T, dim=1)], dim=1)


def prepare(features: Tensor, blocks: Sequence[int]) -> Tensor:
    """Take signed square roots and divide each block by its length.

    Args:
        features: (N, D) float.
        blocks: Sizes, of sum D, of the features that were joined.

    Returns:
        (N, D) float.
    """
    roots = features / (features.abs() + _FLOOR).sqrt()
    return torch.cat([nn.functional.normalize(part, dim=1) for part in torch.split(roots, list(blocks), dim=1)], dim=1)


def analyse(
    features: Tensor, labels: Tensor, blocks: Sequence[int], *, shrinkage: float
) -> tuple[Discriminant, Tensor]:
    """Fit a discriminant space to N shapes of C classes.

    Memory holds one copy of the features and the square of the smaller of N and D.

    Args:
        features: (N, D) float.
        labels: (N,) int64, from 0 to C - 1; each class occurs.
        blocks: Sizes, of sum D, of the features that were joined.
        shrinkage: s of (1 − s) S + s tr(S)/D I, which replaces the covariance S within classes; in (0, 1].

    Returns:
        The space, and the directions of the class means in it, (C, K + L) float32, zero within classes.

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
    variances, axes = torch.linalg.eigh(between @ solved.T)  # ascending; the first is 0 but for rounding, of the centre
    kept = variances > variances.max() * 1e-6
    kept[0] = False
    if not kept.any():
        raise TrainingError(
            "The mean feature of every class is the same: nothing tells the classes apart. Use another network."
        )
    projection = (axes[:, kept] / variances[kept].sqrt()).T @ solved
    projected = between @ projection.T
    lengths = torch.linalg.norm(projected, dim=1).clamp(min=torch.finfo(between.dtype).tiny)
    within = _strongest(x, SIZE - len(projection))
    space = Discriminant(projection, within, centre, lengths.mean() / 2, blocks)
    directions = nn.functional.pad((projected / lengths[:, None]).float(), (0, len(within)))
    return space, directions


def _strongest(rows: Tensor, count: int) -> Tensor:
    """Compute the directions (at most ``count``, D), orthonormal, in which rows (N, D) of mean zero vary most.

    Randomized (Halko, Martinsson, Tropp 2011), always from the same numbers.
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
    """Apply (share RᵀR + ridge I)⁻¹ to each row of ``right`` (M, D) float64; R is ``rows``, (N, D) float32.

    Where rows are fewer than columns the inverse is Woodbury's.
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
