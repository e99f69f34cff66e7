"""The multi-view convolutional network: one picture network for all views, then the views pooled.

Su, Maji, Kalogerakis, Learned-Miller: Multi-view Convolutional Neural Networks for 3D Shape Recognition. ICCV 2015.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import Backbone
from shapecnn.networks.network import Pooling, ShapeNetwork


class Grey(nn.Module):
    """Grey pictures (N, S, S) uint8 as the three normalized channels (N, 3, S, S) a backbone was trained on.

    size: scaled to (N, 3, size, size), between pixels linearly.
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
        """(N, S, S) uint8 → (N, 3, S, S) float."""
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
    """Views (B, V, S, S) uint8, grey, to logits and features.

    resize: pictures are scaled to so many pixels a side.  pooling: element-wise over views, ``max`` as in the paper
    or ``mean``.  pool_at: ``late``, of features, or ``early``, before the backbone's last part,
    where the paper has it in VGG-M: between the convolutions and the rest.

    Raises UsageError if a backbone known only as a whole is to be pooled early.
    """
    parts, tail = list(backbone.parts), nn.Module()
    if pool_at == "late":
        tail = nn.Identity()
    elif len(parts) > 1:
        tail = parts.pop()[1]
    else:
        raise UsageError(
            f"{backbone.name} is not known in parts, so that views cannot be pooled inside: pool_at: late."
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
