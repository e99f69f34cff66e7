"""Networks of occupancy grids. Rotations of a grid vote: their features are averaged.

3D ShapeNets: Wu, Song, Khosla, Yu, Zhang, Tang, Xiao: 3D ShapeNets: A Deep Representation for Volumetric Shapes. CVPR
2015. The residual one applies full pre-activation (He et al., ECCV 2016) to 3×3×3 convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.network import ShapeNetwork


class Occupancy(nn.Module):
    """Converts grids (N, R, R, R) uint8, of 0 and 1, to one channel (N, 1, R, R, R) float."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(()), persistent=False)
        self.one: Tensor

    def forward(self, grids: Tensor) -> Tensor:
        """Convert grids (N, R, R, R) uint8 to (N, 1, R, R, R) float."""
        return grids[:, None].to(self.one.dtype)


def shapenets(resolution: int, classes: int, *, normalized: bool = True, dropout: float = 0.5) -> ShapeNetwork:
    """Build 3D ShapeNets: 48 filters of 6³ and 160 of 5³, both with stride 2, 512 of 4³, and 1200 units.

    Args:
        resolution: Cells along one side of the grid.
        classes: Number of classes; 0 for a network without classifier.
        normalized: Batch normalization after each convolution, in place of the paper's layer-wise pre-training.
        dropout: Dropout rate in front of the classifier.

    Returns:
        A network from grids (B, R, N, N, N) uint8 to logits and features (B, 1200).

    Raises:
        UsageError: The grid is too small.
    """
    side = ((resolution - 6) // 2 + 1 - 5) // 2 + 1 - 4 + 1
    if side < 1:
        raise UsageError(
            f"shapenets takes no grids of {resolution}³ cells, at least 26³. Voxelize with a larger --resolution."
        )

    def convolution(channels: int, filters: int, size: int, stride: int) -> nn.Module:
        norm = nn.BatchNorm3d(filters) if normalized else nn.Identity()
        return nn.Sequential(nn.Conv3d(channels, filters, size, stride), norm, nn.ReLU())

    parts = [
        ("conv1", convolution(1, 48, 6, 2)),
        ("conv2", convolution(48, 160, 5, 2)),
        ("conv3", convolution(160, 512, 4, 1)),
        ("full", nn.Sequential(nn.Flatten(), nn.Linear(512 * side**3, 1200), nn.ReLU())),
    ]
    return ShapeNetwork(
        Occupancy(), parts, nn.Identity(), blocks=(1200,), classes=classes, pooling="mean", dropout=dropout
    )


class Residual(nn.Module):
    """Residual block (N, C, ...) → (N, channels, ... / stride): normalization, ReLU, convolution, twice; a shortcut."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm3d(inputs), nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(inputs, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv3d(channels, channels, 3, 1, 1, bias=False)
        same = inputs == channels and stride == 1
        self.shortcut = None if same else nn.Conv3d(inputs, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the sum of both paths."""
        inner = self.norm1(x).relu()
        short = x if self.shortcut is None else self.shortcut(inner)
        total: Tensor = short + self.conv2(self.norm2(self.conv1(inner)).relu())
        return total


class Last(nn.Module):
    """Last block (N, C, ...) → (N, C): normalization, ReLU, and the maximum over the grid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute features (N, C) from maps (N, C, D, H, W)."""
        features: Tensor = self.norm(x).relu().amax(dim=(2, 3, 4))
        return features


def voxresnet(classes: int, *, width: int = 32, dropout: float = 0.3) -> ShapeNetwork:
    """Build the residual network: a convolution of 5³ with stride 2 and five residual blocks.

    Args:
        classes: Number of classes; 0 for a network without classifier.
        width: Channels of the first block; they double twice.
        dropout: Dropout rate in front of the classifier.

    Returns:
        A network from grids (B, R, N, N, N) uint8 to logits and features (B, 4 · width).
    """
    parts = [
        ("conv1", nn.Conv3d(1, width, 5, 2, 2, bias=False)),
        ("block1", Residual(width, width, 1)),
        ("block2", Residual(width, 2 * width, 2)),
        ("block3", Residual(2 * width, 2 * width, 1)),
        ("block4", Residual(2 * width, 4 * width, 2)),
        ("block5", Residual(4 * width, 4 * width, 1)),
        ("last", Last(4 * width)),
    ]
    return ShapeNetwork(
        Occupancy(), parts, nn.Identity(), blocks=(4 * width,), classes=classes, pooling="mean", dropout=dropout
    )
