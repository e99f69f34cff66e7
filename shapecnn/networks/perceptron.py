"""Networks on pixels or cells: logistic regression, and perceptrons with fully connected hidden layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from shapecnn.networks.initialization import Initialization, activation_layer, initialize
from shapecnn.networks.network import Part, ShapeNetwork
from shapecnn.networks.pixels import AreaScaling, Darkness, require_side
from shapecnn.networks.pooling import Pooling
from shapecnn.networks.volumetric import Occupancy
from shapecnn.settings.networks import Activation, InputKind


def linear(kind: InputKind, resolution: int, classes: int, *, side: int | None = None) -> ShapeNetwork:
    """Build a network without hidden layers: the pixels or cells are the features, and the classifier is linear.

    A pixel is 0 where it is white and 1 where it is black. A cell is 0 or 1, or a fraction after scaling. The features
    of a shape are the mean over its views or rotations. The logits of this mean are the mean of the logits of the
    single views.

    Args:
        kind: ``views`` or ``voxels``.
        resolution: Pixels along one side of the views, or cells along one side of the grids.
        classes: Number of classes; 0 for a network without classifier.
        side: Pixels or cells a side to which views or grids are scaled down by area averaging; None for no scaling.

    Returns:
        Network that computes logits (B, classes) and features (B, D) of B shapes, with D = ``side``² pixels or
        ``side``³ cells. Its only part, ``flat``, scales and flattens.

    Raises:
        UsageError: ``side`` is larger than ``resolution``.

    Example:
        >>> network = linear("views", 224, classes=10, side=32)
        >>> network.feature_size, network.parameter_count
        (1024, 10250)
    """
    encode, flat, size = _flattened(kind, resolution, side)
    return ShapeNetwork(encode, [("flat", flat)], nn.Identity(), blocks=(size,), classes=classes, pooling="mean")


def perceptron(
    kind: InputKind,
    resolution: int,
    classes: int,
    *,
    side: int | None = None,
    hidden: Sequence[int] = (256,),
    activation: Activation = "relu",
    initialization: Initialization = "glorot",
    pooling: Pooling = "mean",
    dropout: float = 0.0,
) -> ShapeNetwork:
    """Build a multilayer perceptron: fully connected hidden layers on pixels or cells, then a linear classifier.

    Args:
        kind: ``views`` or ``voxels``.
        resolution: Pixels along one side of the views, or cells along one side of the grids.
        classes: Number of classes; 0 for a network without classifier.
        side: Pixels or cells a side to which views or grids are scaled down by area averaging; None for no scaling.
        hidden: Number of units of each hidden layer; at least one layer.
        activation: Activation function of the hidden layers: ``sigmoid``, ``tanh`` or ``relu``.
        initialization: Distribution of the initial weights of the hidden layers: ``glorot`` or ``normal``.
        pooling: Pooling of the last hidden layer over views or rotations: ``max`` or ``mean``.
        dropout: Dropout rate after each hidden layer; after the last one, dropout follows the pooling.

    Returns:
        Network that computes logits (B, classes) and features (B, H) of B shapes, with H units in the last hidden
        layer. Its parts are ``flat``, which scales and flattens, ``hidden1``, ``hidden2`` and so on.

    Raises:
        UsageError: ``side`` is larger than ``resolution``.

    Example:
        >>> network = perceptron("voxels", 30, classes=10, hidden=(500, 100))
        >>> list(network.parts), network.feature_size
        (['flat', 'hidden1', 'hidden2'], 100)
    """
    encode, flat, size = _flattened(kind, resolution, side)
    parts: list[Part] = [("flat", flat)]
    for number, (inputs, units) in enumerate(zip([size, *hidden[:-1]], hidden, strict=True), start=1):
        layers = [nn.Linear(inputs, units), activation_layer(activation)]
        if dropout and number < len(hidden):
            layers.append(nn.Dropout(dropout))
        parts.append((f"hidden{number}", nn.Sequential(*layers)))
    network = ShapeNetwork(
        encode, parts, nn.Identity(), blocks=(hidden[-1],), classes=classes, pooling=pooling, dropout=dropout
    )
    initialize(network.parts, activation, initialization)
    return network


def _flattened(kind: InputKind, resolution: int, side: int | None) -> tuple[nn.Module, nn.Module, int]:
    """Return the encoding of views or grids, the part that scales and flattens them, and the resulting vector's length.

    The scaling is a part of the network and not of its encoding, because an explanation colours the encoded input.
    """
    views = kind == "views"
    if side is not None:
        require_side(side, resolution, "pixels" if views else "cells")
    scaled = side or resolution
    scaling = AreaScaling(scaled) if scaled < resolution else nn.Identity()
    encode = Darkness() if views else Occupancy()
    return encode, nn.Sequential(scaling, nn.Flatten()), scaled ** (2 if views else 3)
