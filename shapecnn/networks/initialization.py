"""Activation functions of the small networks, and initial weights that suit each of them.

Glorot, Bengio: Understanding the Difficulty of Training Deep Feedforward Neural Networks. AISTATS 2010.
He, Zhang, Ren, Sun: Delving Deep into Rectifiers. ICCV 2015.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from shapecnn.networks.local import LocallyConnected2d
from shapecnn.settings.networks import Activation

Initialization = Literal["glorot", "normal"]

DEVIATION = 0.01
"""Standard deviation of initial weights that are drawn from a normal distribution."""

_FUNCTIONS: dict[Activation, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
_GAINS: dict[Activation, float] = {"sigmoid": 4.0, "tanh": 1.0, "relu": math.sqrt(2)}


def activation_layer(activation: Activation) -> nn.Module:
    """Return a module that applies an activation function to each element of a tensor.

    Args:
        activation: ``sigmoid``, 1 / (1 + exp(−x)); ``tanh``; or ``relu``, max(x, 0).
    """
    return _FUNCTIONS[activation]()


def glorot_bound(fan_in: int, fan_out: int, activation: Activation) -> float:
    """Return the largest magnitude of an initial weight, which is drawn uniformly between minus and plus this bound.

    Glorot and Bengio derive r = √(6 / (fan-in + fan-out)) for tanh, whose slope at 0 is 1: with this bound, signals
    and gradients keep their variance from layer to layer. For the other functions, r is multiplied by a gain. The slope
    of sigmoid at 0 is 1/4, so its gain is 4. ReLU sets half of the signals to 0, so its weights need twice the variance
    (He et al.), and its gain is √2.

    Args:
        fan_in: Number of inputs of a unit.
        fan_out: Number of units that read an input.
        activation: Activation function that follows the layer: ``sigmoid``, ``tanh`` or ``relu``.

    Returns:
        The bound: 4 r for sigmoid, r for tanh, √2 r for ReLU.

    Example:
        >>> [round(glorot_bound(100, 50, activation), 3) for activation in ("tanh", "sigmoid", "relu")]
        [0.2, 0.8, 0.283]
    """
    return _GAINS[activation] * math.sqrt(6 / (fan_in + fan_out))


def initialize(network: nn.Module, activation: Activation, initialization: Initialization = "glorot") -> None:
    """Draw the weights of all convolutions, locally connected and fully connected layers, and set their biases to 0.

    The weights come from the global random generator of torch. Other layers are not changed.

    Args:
        network: Module with the layers. It is changed in place.
        activation: Activation function that follows each of the layers: ``sigmoid``, ``tanh`` or ``relu``.
        initialization: ``glorot`` for a uniform distribution that suits the activation (:func:`glorot_bound`);
            ``normal`` for a normal distribution of mean 0 and standard deviation 0.01, whatever the activation.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear | LocallyConnected2d):
            continue
        if initialization == "normal":
            nn.init.normal_(layer.weight, std=DEVIATION)
        else:
            bound = glorot_bound(*_fans(layer), activation)
            nn.init.uniform_(layer.weight, -bound, bound)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _fans(layer: nn.Conv2d | nn.Conv3d | nn.Linear | LocallyConnected2d) -> tuple[int, int]:
    """Count the inputs of a unit, and the units that read an input if windows overlap as with stride 1.

    A locally connected layer has the same connections as a convolution, so both get the same weights.
    """
    shape = layer.weight.shape[2:] if isinstance(layer, LocallyConnected2d) else layer.weight.shape
    units, inputs, *window = shape
    return inputs * math.prod(window), units * math.prod(window)
