"""Multi-view convolutional network: one picture network for all views, then the views pooled.

Su, Maji, Kalogerakis, Learned-Miller: Multi-view Convolutional Neural Networks for 3D Shape Recognition. ICCV 2015.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import Backbone
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.pooling import Pooling


class Grey(nn.Module):
    """Converts grey pictures (N, S, S) uint8 to the three normalized channels a backbone was trained on.

    Args:
        mean: Mean of each channel, for values in [0, 1].
        std: Standard deviation of each channel.
        size: Side in pixels to which pictures are scaled, bilinearly; None to leave them as they are.
    """

    def __init__(
        self, mean: tuple[float, float, float], std: tuple[float, float, float], size: int | None = None
    ) -> None:
        super().__init__()
        self.size = size
        means, stds = torch.tensor(mean), torch.tensor(std)
        self.register_buffer("scale", (1 / (255 * stds)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-means / stds).view(1, 3, 1, 1), persistent=False)
        self.scale: Tensor
        self.shift: Tensor

    def forward(self, pictures: Tensor) -> Tensor:
        """Convert pictures (N, S, S) uint8 to channels (N, 3, S, S) float."""
        grey = pictures[:, None].to(self.scale.dtype)
        if self.size is not None:
            grey = functional.interpolate(grey, (self.size, self.size), mode="bilinear", align_corners=False)
        return grey * self.scale + self.shift


def mvcnn(
    backbone: Backbone,
    *,
    classes: int = 0,
    resize: int | None = None,
    pooling: Pooling = "max",
    pool_at: Literal["early", "late"] = "late",
    dropout: float = 0.0,
) -> ShapeNetwork:
    """Build a multi-view network from a backbone.

    Args:
        backbone: The picture network that all views share.
        classes: Number of classes; 0 for a network without classifier.
        resize: Side in pixels to which pictures are scaled; None to leave them as they are.
        pooling: Element-wise over views: ``max``, as in the paper, or ``mean``.
        pool_at: ``late`` pools features; ``early`` pools before the backbone's last part, as the paper does in VGG-M,
            between the convolutions and the fully connected layers.
        dropout: Dropout rate in front of the classifier.

    Returns:
        A network from views (B, V, S, S) uint8 to logits and features.

    Raises:
        UsageError: ``early`` is asked for and the backbone has only one part.
    """
    parts, tail = list(backbone.parts), nn.Module()
    if pool_at == "late":
        tail = nn.Identity()
    elif len(parts) > 1:
        tail = parts.pop()[1]
    else:
        raise UsageError(
            f"{backbone.name} is not known in parts, so that views cannot be pooled inside. Use pool_at: late."
        )
    return ShapeNetwork(
        Grey(backbone.mean, backbone.std, resize),
        parts,
        tail,
        blocks=backbone.blocks,
        classes=classes,
        pooling=pooling,
        dropout=dropout,
    )
