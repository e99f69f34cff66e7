"""Multi-view convolutional network (MVCNN): one image network for all views of a shape, followed by view pooling.

Su, Maji, Kalogerakis, Learned-Miller: Multi-view Convolutional Neural Networks for 3D Shape Recognition. ICCV 2015.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapecnn.errors import UsageError
from shapecnn.networks.adapter import RingAdapter
from shapecnn.networks.backbones import Backbone
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.pooling import Pooling


class Grey(nn.Module):
    """Converts grey uint8 pictures to the three normalized float channels that a backbone expects.

    Args:
        mean: Mean of each channel, for values in [0, 1].
        std: Standard deviation of each channel, for values in [0, 1].
        size: Number of pixels a side to which pictures are scaled; None to keep their size.
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
        """Convert N grey pictures (N, S, S) uint8 of S pixels a side to (N, 3, S, S) float.

        If the module has a ``size``, the pictures are scaled to ``size`` pixels a side.
        """
        grey = pictures[:, None].to(self.scale.dtype)
        if self.size is not None:
            grey = functional.interpolate(grey, (self.size, self.size), mode="bilinear", align_corners=False)
        return grey * self.scale + self.shift


def mvcnn(
    backbone: Backbone,
    *,
    classes: int = 0,
    resize: int | None = None,
    pooling: Pooling | Literal["adapter"] = "max",
    width: int = 128,
    pool_at: Literal["early", "late"] = "late",
    dropout: float = 0.0,
) -> ShapeNetwork:
    """Build a multi-view network from a backbone, an image network without classifier.

    Args:
        backbone: Image network that is applied to each view.
        classes: Number of classes; 0 for a network without classifier.
        resize: Number of pixels a side to which views are scaled; None to keep their size.
        pooling: Element-wise pooling over the views: ``max``, as in the paper, or ``mean``; or ``adapter`` for the mean
            plus what a :class:`shapecnn.networks.adapter.RingAdapter` finds in neighbouring views. An adapter pools
            features, so ``pool_at`` is then ``late``.
        width: Number of channels of the adapter.
        pool_at: ``late`` pools the features of the views. ``early`` pools before the last part of the backbone, like
            the paper, which pools between the convolutions and the fully connected layers of VGG-M.
        dropout: Dropout rate before the classifier.

    Returns:
        Network that computes logits and features of B shapes from V views each, (B, V, S, S) uint8 of S pixels a side.

    Raises:
        UsageError: ``pool_at`` is ``early``, and the backbone has only one part.
    """
    parts, tail = list(backbone.parts), nn.Module()
    if pool_at == "late":
        tail = nn.Identity()
    elif len(parts) > 1:
        tail = parts.pop()[1]
    else:
        raise UsageError(
            f"pool_at: early does not work with {backbone.name}, which shapecnn cannot split into parts. "
            f"Use pool_at: late."
        )
    return ShapeNetwork(
        Grey(backbone.mean, backbone.std, resize),
        parts,
        tail,
        blocks=backbone.blocks,
        classes=classes,
        pooling=RingAdapter(sum(backbone.blocks), width) if pooling == "adapter" else pooling,
        dropout=dropout,
        at_once=backbone.at_once,
    )
