"""The multi-view convolutional network: one picture network for all views, then the views pooled.

Su, Maji, Kalogerakis, Learned-Miller: Multi-view Convolutional Neural Networks for 3D Shape Recognition. ICCV 2015.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import Backbone
from shapecnn.networks.network import Pooling, ShapeNetwork


class Grey(nn.Module):
    """Grey pictures (N, S, S) uint8 as the three normalized channels (N, 3, S, S) a backbone was trained on."""

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        means, stds = torch.tensor(mean), torch.tensor(std)
        self.register_buffer("scale", (1 / (255 * stds)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-means / stds).view(1, 3, 1, 1), persistent=False)
        self.scale: Tensor
        self.shift: Tensor

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, S, S) uint8 → (N, 3, S, S) float."""
        return pictures[:, None].to(self.scale.dtype) * self.scale + self.shift


def mvcnn(
    backbone: Backbone,
    *,
    classes: int = 0,
    pooling: Pooling = "max",
    pool_at: Literal["early", "late"] = "late",
    dropout: float = 0.0,
) -> ShapeNetwork:
    """Views (B, V, S, S) uint8, grey, to logits and features.

    pooling: element-wise over views, ``max`` as in the paper or ``mean``.  pool_at: ``late``, of features, or
    ``early``, before the backbone's last part, where the paper has it in VGG-M: between the convolutions and the rest.

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
        Grey(backbone.mean, backbone.std),
        parts,
        tail,
        feature_size=backbone.feature_size,
        classes=classes,
        pooling=pooling,
        dropout=dropout,
    )
