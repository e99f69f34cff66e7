"""Linear discriminant analysis, and in its space the cosine to the class means: a classifier in closed form.

Fisher 1936, Rao 1948, with a covariance shrunk towards a multiple of the identity, as there are more features than
shapes. The Gaussian posterior is far too sure there, and how far a shape lies from the centre says more of the shape
than of its class: directions alone are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

_FLOOR = 1e-6  # keeps the slope of the square root finite at zero


class Discriminant(nn.Module):
    """Features (B, D) → coordinates (B, K), K at most one less than the classes.

    x = projection · (p − centre), divided by √(|x|² + radius²): nearly a direction, but what lies near the centre is of
    no class, also where K is 1.  p: the signed square roots of the features, which tames the few large ones
    (Perronnin, Sánchez, Mensink, ECCV 2010), each block divided by its length.  blocks: sizes, of sum D, of what was
    joined to make the features.
    """

    def __init__(self, projection: Tensor, centre: Tensor, radius: Tensor, blocks: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("projection", projection.float())
        self.register_buffer("centre", centre.float())
        self.register_buffer("radius", radius.float())
        self.projection: Tensor
        self.centre: Tensor
        self.radius: Tensor
        self.blocks = tuple(blocks)

    @classmethod
    def of(cls, state: Mapping[str, Tensor], blocks: Sequence[int]) -> Discriminant:
        """That with these tensors.  Raises KeyError if one is missing."""
        return cls(state["projection"], state["centre"], state["radius"], blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, D) → coordinates (B, K)."""
        x = (prepare(features, self.blocks) - self.centre) @ self.projection.T
        return x / (x.square().sum(dim=1, keepdim=True) + self.radius.square()).sqrt()


def prepare(features: Tensor, blocks: Sequence[int]) -> Tensor:
    """(N, D) → (N, D): signed square roots, each block divided by its length."""
    roots = features / (features.abs() + _FLOOR).sqrt()
    return torch.cat([nn.functional.normalize(part, dim=1) for part in torch.split(roots, list(blocks), dim=1)], dim=1)


def analyse(
    features: Tensor, labels: Tensor, blocks: Sequence[int], *, shrinkage: float
) -> tuple[Discriminant, Tensor]:
    """The space of N shapes of C classes, all of which occur, and the directions of the class means in it, (C, K).

    features: (N, D).  labels: (N,), of 0 to C − 1.  shrinkage: s of (1 − s) S + s tr(S)/D I, in place of the covariance
    S within classes. Takes the smaller of N and D squared times the larger: where shapes are few, the inverse is
    Woodbury's.
    """
    x = prepare(features.double(), blocks)
    classes, size = int(labels.max()) + 1, x.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    means = torch.zeros((classes, size), dtype=x.dtype).index_add_(0, labels, x) / counts[:, None]
    scatter = (x - means[labels]) / len(x) ** 0.5  # rows R with RᵀR = S
    ridge = shrinkage * float(scatter.square().sum()) / size or torch.finfo(x.dtype).eps
    centre = means.mean(dim=0)
    between = means - centre
    solved = _solve(scatter * (1 - shrinkage) ** 0.5, ridge, between)
    variances, axes = torch.linalg.eigh(between @ solved.T)
    kept = variances > variances.max() * 1e-9
    projection = (axes[:, kept] / variances[kept].sqrt()).T @ solved
    projected = between @ projection.T
    lengths = torch.linalg.norm(projected, dim=1).clamp(min=torch.finfo(x.dtype).tiny)
    return Discriminant(projection, centre, lengths.mean() / 2, blocks), (projected / lengths[:, None]).float()


def _solve(rows: Tensor, ridge: float, right: Tensor) -> Tensor:
    """(RᵀR + ridge I)⁻¹ applied to each row of ``right``.  rows: R, (N, D).  right: (M, D)."""
    count, size = rows.shape
    if count >= size:
        square = rows.T @ rows + ridge * torch.eye(size, dtype=rows.dtype)
        solved: Tensor = torch.linalg.solve(square, right, left=False)
        return solved
    square = rows @ rows.T + ridge * torch.eye(count, dtype=rows.dtype)
    correction: Tensor = torch.linalg.solve(square, right @ rows.T, left=False) @ rows
    return (right - correction) / ridge
