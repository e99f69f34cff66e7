"""What linear discriminant analysis (LDA) needs to know of the features of N shapes, collected part by part.

With more shapes than features, these are sums whose size does not depend on N: of the features, and of the products of
all pairs of features. With fewer shapes, the features themselves need less memory than the products. Both add up: the
moments of all shapes are the sum of the moments of disjoint parts, which several processes may collect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

BLOCK = 1024
"""Number of shapes whose products are computed at once."""

_FLOOR = 1e-6  # added under the square root, whose slope would be infinite at zero
_SPARE = 8  # number of directions of a randomized decomposition beyond those that are asked for
_ITERATIONS = 4  # of a randomized decomposition
_REAL = 1e-5  # length of the shortest direction that is no rounding error, relative to the longest


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


class Scatter(Protocol):
    """How N prepared features of D numbers vary around the means of their classes.

    S is the sum of d dᵀ over the deviations d of the features from these means.
    """

    def trace(self) -> float:
        """Return the trace of S."""

    def solve(self, share: float, ridge: float, right: Tensor) -> Tensor:
        """Multiply each row of ``right`` (M, D) by the inverse of share · S + ridge · I.

        I is the identity matrix. ``right`` and the result are float64; ``share`` ≥ 0 and ``ridge`` > 0.
        """

    def strongest(self, count: int) -> Tensor:
        """Return the first principal components of S: L orthonormal vectors (L, D), with L ≤ ``count``.

        The decomposition is randomized (Halko, Martinsson, Tropp 2011) with a fixed seed.
        """


class Moments:
    """The moments of the prepared features of N shapes of C classes; see the module docstring.

    Args:
        labels: (N,) int64, class numbers from 0 to C - 1; each class occurs.
        blocks: Sizes of the feature vectors that are concatenated to a feature; their sum is D.

    Example:
        >>> features, labels = torch.rand(5, 3), torch.tensor([0, 0, 1, 1, 1])
        >>> moments = Moments(labels, [3])
        >>> moments.add(slice(0, 2), features[:2])
        >>> moments.add(slice(2, 5), features[2:])
        >>> torch.allclose(moments.means()[0].float(), prepare(features[:2], [3]).mean(dim=0))
        True
    """

    def __init__(self, labels: Tensor, blocks: Sequence[int]) -> None:
        self.labels, self.blocks = labels, tuple(blocks)
        self._counts = torch.bincount(labels)
        classes, size = len(self._counts), sum(blocks)
        self._few = len(labels) < size
        self._waiting: list[tuple[slice, Tensor]] = []  # features whose products are computed together
        # Of few shapes the prepared features; of many, the sum of each class, and the products.
        self._tensors = (
            [torch.zeros((len(labels), size))]
            if self._few
            else [torch.zeros((rows, size), dtype=torch.float64) for rows in (classes, size)]
        )

    def add(self, places: slice, features: Tensor) -> None:
        """Add the features of some shapes, each of which is added once.

        Args:
            places: Where the B shapes are among the N, as a slice from one place to another.
            features: (B, D) float.
        """
        prepared = prepare(features.float(), self.blocks)
        if self._few:
            self._tensors[0][places] = prepared
            return
        self._waiting.append((places, prepared))
        if sum(len(rows) for _, rows in self._waiting) >= BLOCK:
            self._multiply()

    def add_up(self, add_up: Callable[[Tensor], Tensor]) -> None:
        """Add the moments of other processes.

        Args:
            add_up: Function that returns the sum of a tensor of this process and those of the others.
        """
        self._multiply()
        self._tensors = [add_up(tensor) for tensor in self._tensors]

    def means(self) -> Tensor:
        """Return the mean of each class, (C, D) float64."""
        self._multiply()
        if not self._few:
            return self._tensors[0] / self._counts[:, None]
        (rows,) = self._tensors
        sums = rows.new_zeros((len(self._counts), rows.shape[1])).index_add_(0, self.labels, rows)
        return (sums / self._counts[:, None]).double()

    def scatter(self) -> Scatter:
        """Return how the features vary around the means of their classes. The moments are used up."""
        means = self.means()
        if self._few:
            rows = self._tensors.pop()
            for each, mean in enumerate(means.float()):
                rows[self.labels == each] -= mean
            return _Rows(rows)
        squares = self._tensors.pop()
        return _Products(squares.sub_(means.T @ (means * self._counts[:, None])))

    def _multiply(self) -> None:
        """Compute the sums and products of the features that wait for it."""
        if not self._waiting:
            return
        labels = torch.cat([self.labels[places] for places, _ in self._waiting])
        rows = torch.cat([rows for _, rows in self._waiting]).double()
        self._waiting = []
        self._tensors[0].index_add_(0, labels, rows)
        self._tensors[1].addmm_(rows.T, rows)


class _Rows:
    """Scatter of few shapes, (N, D) float32: the deviation of each from the mean of its class."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def trace(self) -> float:
        return float(torch.linalg.vector_norm(self.rows)) ** 2

    def solve(self, share: float, ridge: float, right: Tensor) -> Tensor:
        """Compute the inverse by Woodbury's identity, from the products of all pairs of shapes."""
        rows = self.rows
        square = share * (rows @ rows.T).double() + ridge * torch.eye(len(rows), dtype=right.dtype)
        inner = torch.linalg.solve(square, (right.float() @ rows.T).double(), left=False)
        correction: Tensor = share * (inner.float() @ rows).double()
        return (right - correction) / ridge

    def strongest(self, count: int) -> Tensor:
        count = max(0, min(count, *self.rows.shape))
        if not count:
            return self.rows[:0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            spare = min(count + _SPARE, *self.rows.shape)
            _, strengths, axes = torch.svd_lowrank(self.rows, spare, niter=_ITERATIONS)
        return _longest(strengths, axes, count)


class _Products:
    """Scatter of many shapes, (D, D) float64: sums of the products of all pairs of numbers of a deviation."""

    def __init__(self, squares: Tensor) -> None:
        self.squares = squares

    def trace(self) -> float:
        return float(self.squares.trace())

    def solve(self, share: float, ridge: float, right: Tensor) -> Tensor:
        square = share * self.squares
        square.diagonal().add_(ridge)
        solved: Tensor = torch.linalg.solve(square, right, left=False)
        return solved

    def strongest(self, count: int) -> Tensor:
        """Compute what :func:`torch.svd_lowrank` computes from the deviations, up to rounding, from their products."""
        squares = self.squares
        count = max(0, min(count, len(squares)))
        if not count:
            return squares[:0].float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            basis = torch.randn(len(squares), min(count + _SPARE, len(squares))).double()
        for _ in range(_ITERATIONS):
            basis = torch.linalg.qr(squares @ basis).Q
        projected = squares @ basis
        variances, turn = torch.linalg.eigh(basis.T @ projected)
        real = (variances > 0) & (variances > variances[-1] * _REAL**2)
        sketch = (turn[:, real] / variances[real].sqrt()).T @ projected.T
        _, strengths, axes = torch.linalg.svd(sketch, full_matrices=False)
        return _longest(strengths, axes.T, count).float()


def _longest(strengths: Tensor, axes: Tensor, count: int) -> Tensor:
    """Return the first ``count`` directions, the columns of ``axes``, without those that are rounding errors."""
    real = strengths[:count] > _REAL * strengths[:1]
    return axes[:, :count][:, real].T.contiguous()
