"""Volumetric networks, which classify occupancy grids. The features of all rotations of a grid are averaged.

:func:`shapenets` is the network of Wu, Song, Khosla, Yu, Zhang, Tang, Xiao: 3D ShapeNets: A Deep Representation for
Volumetric Shapes. CVPR 2015. :func:`voxresnet` is a residual network of 3×3×3 convolutions with full pre-activation
(He et al., ECCV 2016).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.initialization import activation_layer, initialize
from shapecnn.networks.network import Part, Profile, ShapeNetwork


class Occupancy(nn.Module):
    """Converts occupancy grids (uint8 values 0 and 1) to float, and adds a channel axis."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(()), persistent=False)
        self.one: Tensor

    def forward(self, grids: Tensor) -> Tensor:
        """Convert N grids of R cells a side from uint8 (N, R, R, R) to float (N, 1, R, R, R)."""
        return grids[:, None].to(self.one.dtype)


class HeightProfile(nn.Module):
    """Features from the last two maps of a network on grids: maximum of each channel in each horizontal layer of cells.

    Turning a shape about its up axis changes them little, and what is high and what is low stays apart.

    Args:
        last: Layers between the two maps.
    """

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.last = last

    def forward(self, maps: Tensor) -> Tensor:
        """Compute features of N grids, (N, C · H + C' · H'), from maps (N, C, D, W, H): C channels, H cells high.

        C' and H' are channels and height of the second maps, which ``last`` computes from the first.
        """
        return torch.cat([each.amax(dim=(2, 3)).flatten(1) for each in (maps, self.last(maps))], dim=1)


def shapenets(
    resolution: int,
    classes: int,
    *,
    normalized: bool = True,
    activation: Literal["relu", "sigmoid"] = "relu",
    dropout: float = 0.5,
) -> ShapeNetwork:
    """Build the 3D ShapeNets network.

    Its layers are three convolutions and a fully connected layer of 1200 units. The convolutions have 48 filters of 6³
    cells with stride 2, 160 filters of 5³ cells with stride 2, and 512 filters of 4³ cells.

    Args:
        resolution: Cells along one side of the grid.
        classes: Number of classes; 0 for a network without classifier.
        normalized: Whether batch normalization follows each convolution. The paper pre-trains each layer instead.
        activation: ``relu``, or ``sigmoid`` as in the paper. Weights for sigmoid have Glorot's distribution
            (:mod:`shapecnn.networks.initialization`), and those for ReLU have torch's default distribution.
        dropout: Dropout rate before the classifier.

    Returns:
        Network that computes logits (B, classes) and features (B, 1200) of B shapes from R rotations of their grids,
        (B, R, N, N, N) uint8 of N cells a side.

    Raises:
        UsageError: ``resolution`` is below 26.
    """
    side = ((resolution - 6) // 2 + 1 - 5) // 2 + 1 - 4 + 1
    if side < 1:
        raise UsageError(
            f"shapenets needs grids of at least 26³ cells, not {resolution}³. Voxelize with a larger --resolution."
        )

    def convolution(channels: int, filters: int, size: int, stride: int) -> nn.Module:
        norm = nn.BatchNorm3d(filters) if normalized else nn.Identity()
        return nn.Sequential(nn.Conv3d(channels, filters, size, stride), norm, activation_layer(activation))

    parts = [
        ("conv1", convolution(1, 48, 6, 2)),
        ("conv2", convolution(48, 160, 5, 2)),
        ("conv3", convolution(160, 512, 4, 1)),
        ("full", nn.Sequential(nn.Flatten(), nn.Linear(512 * side**3, 1200), activation_layer(activation))),
    ]
    network = ShapeNetwork(
        Occupancy(),
        parts,
        nn.Identity(),
        blocks=(1200,),
        classes=classes,
        pooling="mean",
        dropout=dropout,
        profile=Profile(HeightProfile(parts[2][1]), (160 * (side + 3), 512 * side), replaces=2),
    )
    if activation == "sigmoid":
        initialize(network.parts, activation)
    return network


class Residual(nn.Module):
    """Residual block: batch normalization, ReLU and a 3×3×3 convolution, all applied twice, plus a shortcut.

    Args:
        inputs: Number of input channels.
        channels: Number of output channels.
        stride: Stride of the first convolution.
    """

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm3d(inputs), nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(inputs, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv3d(channels, channels, 3, 1, 1, bias=False)
        same = inputs == channels and stride == 1
        self.shortcut = None if same else nn.Conv3d(inputs, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the two convolutions to feature maps ``x``, and add the shortcut."""
        inner = self.norm1(x).relu()
        short = x if self.shortcut is None else self.shortcut(inner)
        total: Tensor = short + self.conv2(self.norm2(self.conv1(inner)).relu())
        return total


class Last(nn.Module):
    """Last block of the residual network: batch normalization, ReLU, and max pooling over all cells.

    Args:
        channels: Number of channels, which is the number of features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute features (N, C) of N grids from feature maps (N, C, D, H, W): C channels, D × H × W cells."""
        features: Tensor = self.norm(x).relu().amax(dim=(2, 3, 4))
        return features


def voxresnet(resolution: int, classes: int, *, width: int = 32, dropout: float = 0.3) -> ShapeNetwork:
    """Build the volumetric residual network: a 5×5×5 convolution with stride 2 and five residual blocks.

    Args:
        resolution: Cells along one side of the grid.
        classes: Number of classes; 0 for a network without classifier.
        width: Number of channels of the first block; the last block has four times as many.
        dropout: Dropout rate before the classifier.

    Returns:
        Network that computes logits (B, classes) and features (B, 4 · width) of B shapes from R rotations of their
        grids, (B, R, N, N, N) uint8 of N cells a side.
    """
    block5, last = Residual(4 * width, 4 * width, 1), Last(4 * width)
    parts: list[Part] = [
        ("conv1", nn.Conv3d(1, width, 5, 2, 2, bias=False)),
        ("block1", Residual(width, width, 1)),
        ("block2", Residual(width, 2 * width, 2)),
        ("block3", Residual(2 * width, 2 * width, 1)),
        ("block4", Residual(2 * width, 4 * width, 2)),
        ("block5", block5),
        ("last", last),
    ]
    side = -(-resolution // 8)  # three layers of stride 2
    return ShapeNetwork(
        Occupancy(),
        parts,
        nn.Identity(),
        blocks=(4 * width,),
        classes=classes,
        pooling="mean",
        dropout=dropout,
        profile=Profile(
            HeightProfile(nn.Sequential(block5, last.norm, nn.ReLU())), (4 * width * side,) * 2, replaces=2
        ),
    )
