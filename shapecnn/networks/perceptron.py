"""Networks on vectors: logistic regression, and perceptrons with fully connected hidden layers.

The vector of a shape holds the pixels of a view, the cells of a grid, or the numbers of a descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from shapecnn.networks.initialization import Initialization, activation_layer, initialize
from shapecnn.networks.network import Part, ShapeNetwork
from shapecnn.networks.pixels import AreaScaling, Darkness, require_side
from shapecnn.networks.pooling import Pooling
from shapecnn.networks.volumetric import Occupancy
from shapecnn.settings.networks import Activation, InputKind


class Vectors(NamedTuple):
    """Layers that turn the input of a network into one vector for each view, rotation or shape.

    Attributes:
        encode: Module that converts the input to float.
        flat: Module that computes vectors (N, D) of D numbers from N encoded inputs.
        size: Length of a vector, D.
    """

    encode: nn.Module
    flat: nn.Module
    size: int


def input_vectors(kind: InputKind, resolution: int, side: int | None = None) -> Vectors:
    """Return layers that scale views or grids down by area averaging, and flatten them.

    A pixel is 0 where it is white and 1 where it is black. A cell is 0 or 1, or a fraction after scaling.

    Args:
        kind: ``views`` or ``voxels``.
        resolution: Pixels along one side of the views, or cells along one side of the grids.
        side: Pixels or cells a side after scaling; None for no scaling.

    Returns:
        Layers for vectors of ``side``² or ``side``³ numbers.

    Raises:
        UsageError: ``side`` is larger than ``resolution``.
    """
    views = kind == "views"
    if side is not None:
        require_side(side, resolution, "pixels" if views else "cells")
    # Scaling is not part of the encoding: explanations show the encoded input at its full resolution.
    scaling = nn.Identity() if side in (None, resolution) else AreaScaling(side or resolution)
    size = (side or resolution) ** (2 if views else 3)
    return Vectors(Darkness() if views else Occupancy(), nn.Sequential(scaling, nn.Flatten()), size)


def linear(vectors: Vectors, classes: int) -> ShapeNetwork:
    """Build a network without hidden layers: the vector itself is the feature, and the classifier is linear.

    The logits of the mean of several vectors are the mean of their logits. The network therefore averages the scores
    of single views.

    Args:
        vectors: Layers that turn the input into vectors of D numbers.
        classes: Number of classes; 0 for a network without classifier.

    Returns:
        Network that computes logits (B, classes) and features (B, D) of B shapes, whose part ``flat`` returns vectors.

    Example:
        >>> network = linear(input_vectors("views", 224, side=32), classes=10)
        >>> network.feature_size, network.parameter_count
        (1024, 10250)
    """
    return ShapeNetwork(
        vectors.encode,
        [("flat", vectors.flat)],
        nn.Identity(),
        blocks=(vectors.size,),
        classes=classes,
        pooling="mean",
    )


def perceptron(
    vectors: Vectors,
    classes: int,
    *,
    hidden: Sequence[int] = (256,),
    activation: Activation = "relu",
    initialization: Initialization = "glorot",
    pooling: Pooling = "mean",
    dropout: float = 0.0,
) -> ShapeNetwork:
    """Build a multilayer perceptron: fully connected hidden layers on a vector, then a linear classifier.

    Args:
        vectors: Layers that turn the input into vectors of D numbers.
        classes: Number of classes; 0 for a network without classifier.
        hidden: Number of units of each hidden layer; at least one layer.
        activation: Activation function of the hidden layers: ``sigmoid``, ``tanh`` or ``relu``.
        initialization: Distribution of the initial weights of the hidden layers: ``glorot`` or ``normal``.
        pooling: Pooling of the last hidden layer over views or rotations: ``max`` or ``mean``.
        dropout: Dropout rate after each hidden layer; after the last one, dropout follows the pooling.

    Returns:
        Network that computes logits (B, classes) and features (B, H) of B shapes, with H units in the last hidden
        layer. Its parts are ``flat``, ``hidden1``, ``hidden2`` and so on.

    Example:
        >>> network = perceptron(input_vectors("voxels", 30), classes=10, hidden=(500, 100))
        >>> list(network.parts), network.feature_size
        (['flat', 'hidden1', 'hidden2'], 100)
    """
    parts: list[Part] = [("flat", vectors.flat)]
    for number, (inputs, units) in enumerate(zip([vectors.size, *hidden[:-1]], hidden, strict=True), start=1):
        layers = [nn.Linear(inputs, units), activation_layer(activation)]
        if dropout and number < len(hidden):
            layers.append(nn.Dropout(dropout))
        parts.append((f"hidden{number}", nn.Sequential(*layers)))
    network = ShapeNetwork(
        vectors.encode,
        parts,
        nn.Identity(),
        blocks=(hidden[-1],),
        classes=classes,
        pooling=pooling,
        dropout=dropout,
    )
    initialize(network.parts, activation, initialization)
    return network
