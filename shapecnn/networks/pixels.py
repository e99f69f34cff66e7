"""Input of small networks: the darkness of pixels, or the cells of a grid, and fewer of them by area averaging."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.errors import UsageError


class Darkness(nn.Module):
    """Converts grey uint8 pictures to their darkness: 0 for the white background, 1 for black.

    Most pixels are background. With 0 there, they add nothing to outputs and nothing to the gradients of weights. With
    white as 1, all inputs have a large common mean, and gradient descent diverges at smaller learning rates.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("white", torch.tensor(255.0), persistent=False)
        self.white: Tensor

    def forward(self, pictures: Tensor) -> Tensor:
        """Convert N pictures of S pixels a side from uint8 (N, S, S) to float (N, 1, S, S) in [0, 1]."""
        return (self.white - pictures[:, None].to(self.white.dtype)) / self.white


class AreaScaling(nn.Module):
    """Scales pictures or grids down: each new pixel or cell is the mean of the old ones that it covers, even in part.

    Args:
        side: Pixels or cells a side of the result.

    Example:
        >>> AreaScaling(2)(torch.arange(16.0).reshape(1, 1, 4, 4))
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Scale pictures (N, C, S, S) or grids (N, C, R, R, R) of C channels to ``side`` pixels or cells a side."""
        if x.ndim == 4:
            return functional.adaptive_avg_pool2d(x, self.side)
        return functional.adaptive_avg_pool3d(x, self.side)


def require_side(side: int, resolution: int, unit: str) -> None:
    """Raise UsageError if pictures or grids are smaller than the size to which they would be scaled down.

    Args:
        side: Pixels or cells a side that the network needs.
        resolution: Pixels or cells a side of the pictures or grids.
        unit: ``pixels`` or ``cells``, for the message.

    Raises:
        UsageError: ``side`` is larger than ``resolution``.
    """
    if side > resolution:
        option = "render with a larger --size" if unit == "pixels" else "voxelize with a larger --resolution"
        raise UsageError(
            f"The network scales its input down to {side} {unit} a side, but the input has {resolution}: use "
            f"--set network.side={resolution}, or {option}."
        )
