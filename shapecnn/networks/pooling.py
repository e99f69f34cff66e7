"""View pooling: the activations of all views of a shape become those of the shape (Su et al. 2015, section 3.2)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Pooling = Literal["max", "mean"]


def pool_views(activations: Tensor, pooling: Pooling) -> Tensor:
    """Pool activations element-wise over the views, or over the rotations of a grid.

    Args:
        activations: (B, V, C, ...) of V views of B shapes.
        pooling: The largest value of each element, or the mean.

    Returns:
        (B, C, ...).
    """
    return activations.amax(dim=1) if pooling == "max" else activations.mean(dim=1)
