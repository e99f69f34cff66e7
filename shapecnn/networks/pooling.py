"""View pooling: combine the activations of all views of a shape into one tensor (Su et al. 2015, section 3.2)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Pooling = Literal["max", "mean"]


def pool_views(activations: Tensor, pooling: Pooling) -> Tensor:
    """Pool activations element-wise over the views, or over the rotations of a grid.

    Args:
        activations: Activations of V views of each of B shapes, (B, V, ...) float.
        pooling: ``max`` for the largest value of each element over the views, ``mean`` for the mean.

    Returns:
        Activations of the shapes, (B, ...) float.
    """
    return activations.amax(dim=1) if pooling == "max" else activations.mean(dim=1)
