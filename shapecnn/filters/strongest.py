"""Keep the strongest activations of each filter while shapes stream by; memory does not grow with their number."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Strongest:
    """Running list of the shapes with the strongest activation of each of C filters, with one place for each shape.

    Args:
        count: Number of filters, C.
        top: Largest number of shapes for each filter, K.

    Attributes:
        activations: (C, K) float32, the strongest activations of each filter in descending order; −∞ while there are
            fewer than K shapes. Of equal activations, the shape that was added first comes first.
        shapes: (C, K) int64, number of the shape of each activation.
        views: (C, K) int64, number of its view or rotation.
        positions: (C, K) int64, its position in the flattened map of the filter.

    Example:
        >>> strongest = Strongest(count=1, top=2)
        >>> for shape, activation in enumerate([3.0, 1.0, 2.0]):
        ...     strongest.add(shape, np.float32([activation]), np.int64([0]), np.int64([0]))
        >>> strongest.shapes
        array([[0, 2]])
    """

    def __init__(self, count: int, top: int) -> None:
        self.activations = np.full((count, top), -np.inf, np.float32)
        self.shapes, self.views, self.positions = (np.zeros((count, top), np.int64) for _ in range(3))

    def add(
        self,
        shape: int,
        activations: NDArray[np.float32],
        views: NDArray[np.int64],
        positions: NDArray[np.int64],
    ) -> None:
        """Add the strongest place of a shape for each filter.

        Args:
            shape: Number of the shape; each shape is added once.
            activations: (C,) float32, finite.
            views: (C,) int64, number of the view or rotation.
            positions: (C,) int64, position in the flattened map of the filter.
        """
        rows = np.flatnonzero(activations > self.activations[:, -1])
        shapes = np.full(len(rows), shape)
        values = np.column_stack([self.activations[rows], activations[rows]])
        order = np.argsort(-values, axis=1, kind="stable")[:, :-1]
        self.activations[rows] = np.take_along_axis(values, order, axis=1)
        for kept, new in ((self.shapes, shapes), (self.views, views[rows]), (self.positions, positions[rows])):
            kept[rows] = np.take_along_axis(np.column_stack([kept[rows], new]), order, axis=1)


def strongest_place(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the strongest activation of each filter in the views of one shape, and where it is.

    Of equal activations, the one in the first view and at the first position is returned.

    Args:
        outputs: Activations of F filters in V views, (V, F) or (V, F, ...) float.

    Returns:
        Activation (F,) float, number of the view (F,) int64, and position in the flattened map (F,) int64.
    """
    flat = outputs.flatten(2) if outputs.ndim > 2 else outputs[..., None]
    best, position = flat.max(dim=2)
    activation, view = best.max(dim=0)
    return activation, view, torch.gather(position, 0, view[None])[0]
