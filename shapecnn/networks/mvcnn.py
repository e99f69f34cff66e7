"""The multi-view convolutional network: one picture network for all views, then the views pooled.

Su, Maji, Kalogerakis, Learned-Miller: Multi-view Convolutional Neural Networks for 3D Shape Recognition. ICCV 2015.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from shapecnn.networks.backbones import Backbone

Pooling = Literal["max", "mean"]


class MVCNN(nn.Module):
    """Views (B, V, S, S) uint8, grey, to features (B, D): stem, then view pooling.

    pooling: element-wise over views, ``max`` as in the paper or ``mean``. Any number of views, at any time.
    """

    def __init__(self, backbone: Backbone, pooling: Pooling = "max") -> None:
        super().__init__()
        self.backbone = backbone.network
        self.pooling = pooling
        self.feature_size = backbone.feature_size
        mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)
        self.scale: Tensor
        self.shift: Tensor

    def stem(self, views: Tensor) -> Tensor:
        """(B, V, S, S) uint8 → the activations of each view, (B, V, D)."""
        batch, count, height, width = views.shape
        grey = views.reshape(batch * count, 1, height, width).to(self.scale.dtype)
        activations: Tensor = self.backbone(grey * self.scale + self.shift)
        return activations.reshape(batch, count, self.feature_size)

    def pool(self, activations: Tensor) -> Tensor:
        """(B, V, D) → (B, D)."""
        return activations.amax(dim=1) if self.pooling == "max" else activations.mean(dim=1)

    def forward(self, views: Tensor) -> Tensor:
        """Views (B, V, S, S) uint8 → features (B, D)."""
        return self.pool(self.stem(views))
