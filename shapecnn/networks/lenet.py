"""LeNet-5 for views: two convolutions, each followed by pooling, and two fully connected layers.

LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. Proceedings of the IEEE, 1998.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from torch import nn

from shapecnn.errors import UsageError
from shapecnn.networks.initialization import Initialization, activation_layer, initialize
from shapecnn.networks.local import LocallyConnected2d
from shapecnn.networks.network import Part, ShapeNetwork
from shapecnn.networks.pixels import AreaScaling, Darkness, require_side
from shapecnn.networks.pooling import Pooling
from shapecnn.networks.smoothing import GaussianPool2d
from shapecnn.settings.networks import Activation

WINDOW = 5
"""Side of the filters of both convolutions, in pixels."""

LEAST_SIDE = 16
"""Smallest picture, in pixels a side, whose feature maps still have a pixel after the second pooling."""

_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "mean": lambda: nn.AvgPool2d(2),
    "gaussian": GaussianPool2d,
}


def lenet(
    resolution: int,
    classes: int,
    *,
    side: int = 32,
    activation: Activation = "tanh",
    initialization: Initialization = "glorot",
    pool: Literal["max", "mean", "gaussian"] = "max",
    shared: bool = True,
    pooling: Pooling = "mean",
    pool_at: Literal["early", "late"] = "late",
    dropout: float = 0.0,
) -> ShapeNetwork:
    """Build LeNet-5: 6 and 16 filters of 5 × 5 pixels, each with 2 × 2 pooling, then 120 and 84 fully connected units.

    Unlike the network of 1998, each of the 16 filters reads all 6 maps below, the pooling has no weights, the
    activation is a plain tanh, and the classifier is linear. Larger pictures have larger feature maps: pictures of S
    pixels a side give 16 maps of ((S − 4) // 2 − 4) // 2 pixels a side to the fully connected layers.

    Args:
        resolution: Pixels along one side of the views.
        classes: Number of classes; 0 for a network without classifier.
        side: Pixels a side to which the views are scaled down; at least 16.
        activation: Activation function after each layer, and before the 2 × 2 pooling: ``sigmoid``, ``tanh`` or
            ``relu``.
        initialization: Distribution of the initial weights: ``glorot`` or ``normal``.
        pool: Pooling of 2 × 2 pixels: ``max``, ``mean``, or ``gaussian`` for a fixed Gaussian filter.
        shared: Whether a filter has the same weights everywhere. False replaces the convolutions by locally connected
            layers.
        pooling: Pooling over the views: ``max`` or ``mean``.
        pool_at: ``late`` pools the 84 features of the views, ``early`` pools their feature maps before the fully
            connected layers.
        dropout: Dropout rate before the classifier.

    Returns:
        Network that computes logits (B, classes) and features (B, 84) of B shapes from V views each, (B, V, S, S) uint8
        of S pixels a side. Its parts are ``scaled``, ``conv1`` and ``conv2``; with ``late``, also ``full1`` and
        ``full2``.

    Raises:
        UsageError: ``side`` or ``resolution`` is below 16, or ``side`` is larger than ``resolution``.

    Example:
        >>> lenet(224, 10).parameter_count
        61706
    """
    if min(side, resolution) < LEAST_SIDE:
        raise UsageError(
            f"lenet needs views of at least {LEAST_SIDE} pixels a side, not {min(side, resolution)}: use a larger "
            f"side, or render with a larger --size."
        )
    require_side(side, resolution, "pixels")

    def filters(inputs: int, outputs: int, size: int) -> nn.Module:
        layer = (
            nn.Conv2d(inputs, outputs, WINDOW)
            if shared
            else LocallyConnected2d(inputs, outputs, WINDOW, size=(size, size))
        )
        return nn.Sequential(layer, activation_layer(activation), _POOLS[pool]())

    def full(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs), activation_layer(activation))

    size1 = (side - WINDOW + 1) // 2
    size2 = (size1 - WINDOW + 1) // 2
    parts: list[Part] = [
        ("scaled", AreaScaling(side)),  # a part, so that a training scales each view only once
        ("conv1", filters(1, 6, side)),
        ("conv2", filters(6, 16, size1)),
    ]
    last: list[Part] = [("full1", full(16 * size2**2, 120)), ("full2", full(120, 84))]
    late = pool_at == "late"
    network = ShapeNetwork(
        Darkness(),
        [*parts, *last] if late else parts,
        nn.Identity() if late else nn.Sequential(OrderedDict(last)),
        blocks=(84,),
        classes=classes,
        pooling=pooling,
        dropout=dropout,
    )
    for layers in (network.parts, network.tail):
        initialize(layers, activation, initialization)
    return network
