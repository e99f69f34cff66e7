"""Pooling by a fixed filter: each 2 × 2 block of pixels becomes a Gaussian-weighted mean of its neighbourhood."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class GaussianPool2d(nn.Module):
    """Halves the sides of feature maps by a fixed Gaussian filter of 4 × 4 pixels with stride 2.

    The filter is the outer product of (1, 3, 3, 1) / 8 with itself: the values of a Gaussian of standard deviation
    1/√(ln 3) ≈ 0.95 pixels at 4 × 4 pixels, scaled to sum to 1. Its side is even, so that it is centred on a 2 × 2
    block, like the window of 2 × 2 max pooling; its 12 outer pixels overlap with neighbouring filters and reduce
    aliasing. At the border, the weights that lie outside are left out, and the others are scaled to sum to 1.

    Example:
        >>> GaussianPool2d()(torch.ones(1, 1, 4, 4))
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """

    def __init__(self) -> None:
        super().__init__()
        binomial = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("filter", torch.outer(binomial, binomial)[None, None], persistent=False)
        self.filter: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Pool N maps of C channels (N, C, H, W) to (N, C, H // 2, W // 2); H and W are at least 2."""
        channels = x.shape[1]
        sums = functional.conv2d(x, self.filter.expand(channels, -1, -1, -1), stride=2, padding=1, groups=channels)
        inside = functional.conv2d(torch.ones_like(x[:1, :1]), self.filter, stride=2, padding=1)
        return sums / inside
