"""Statistics of the layers of a network while it trains: sizes of gradients, and saturated and dead units.

A layer is a module with a weight tensor of at least two axes: a convolution, or a fully or locally connected layer. A
unit is one of its outputs; all positions of a feature map count as one unit. Only a few steps of an epoch are sampled,
so that the statistics cost next to nothing. They do not change the training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

_SAMPLES = 3  # number of steps of an epoch that are sampled
_NEAR = 0.05  # saturated: within this fraction of the range of the activation function from its lower or upper limit
_ALMOST_ALL = 0.95  # saturated: fraction of the outputs of a unit that must be near a limit
_DIGITS = 4  # significant digits of stored numbers

_RECTIFIERS = (nn.ReLU, nn.ReLU6)
_BOUNDED = (nn.Sigmoid, nn.Tanh)


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """Statistics of one layer and the activation function after it, in one epoch.

    Attributes:
        layer: Name of the layer in the network, such as ``parts.conv1.0``.
        gradient: L2 norm of the gradient of the loss with respect to the weights (without biases), before gradient
            clipping; mean of the sampled steps. None if it is infinite or NaN in all of them.
        weights: L2 norm of the weights, after the last step.
        saturated: Fraction of the units, in [0, 1], whose sigmoid or tanh is within 5 % of its range from a limit in
            at least 95 % of its outputs. None if neither follows the layer.
        dead: Fraction of the units, in [0, 1], whose ReLU is 0 in all sampled steps. None if no ReLU follows.
    """

    layer: str
    gradient: float | None
    weights: float
    saturated: float | None
    dead: float | None


def sampled_steps(steps: int) -> frozenset[int]:
    """Return the numbers of the steps of an epoch to sample: the first, the middle and the last.

    Args:
        steps: Number of steps in the epoch.

    Returns:
        At most 3 numbers, from 0 to ``steps`` − 1.
    """
    return frozenset(round(i * (steps - 1) / (_SAMPLES - 1)) for i in range(_SAMPLES))


@dataclass(slots=True)
class _Layer:
    """Values of one layer in the sampled steps, as tensors on the device of the network."""

    weight: nn.Parameter
    gradients: list[Tensor] = field(default_factory=list)
    near: list[Tensor] = field(default_factory=list)
    alive: Tensor | None = None


class LayerMonitor:
    """Samples the layers of a network in some training steps, and computes their statistics.

    Args:
        network: The network. Layers whose weights are frozen are left out.
        add_up: Function that adds up a tensor over the processes that train together.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> _ = nn.init.constant_(network[0].bias, -100)
        >>> monitor = LayerMonitor(network)
        >>> with monitor.watch():
        ...     loss = network(torch.ones(4, 2)).sum()
        >>> loss.backward()
        >>> monitor.read_gradients()
        >>> [(each.layer, each.dead) for each in monitor.statistics()]
        [('0', 1.0), ('2', None)]
    """

    def __init__(self, network: nn.Module, add_up: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> None:
        self._network, self._add_up = network, add_up
        self._layers = {name: _Layer(weight) for name, module in network.named_modules() for weight in _weights(module)}

    @contextmanager
    def watch(self, part: float = 1.0) -> Iterator[None]:
        """Sample the outputs of the activation functions while the network computes, in a ``with`` block.

        The activation function of a layer is the first one that is computed after it.

        Args:
            part: Number of examples that this process computes, divided by that of the whole batch.
        """
        latest: list[_Layer] = []  # the layer that was computed last, until its activation function

        def after_layer(layer: _Layer) -> Callable[..., None]:
            def remember(*_: Any) -> None:
                latest[:] = [layer]

            return remember

        def after_activation(module: nn.Module, _: Any, outputs: Tensor) -> None:
            if latest:
                _sample(latest.pop(), module, outputs.detach(), part)

        hooks = [
            self._network.get_submodule(name).register_forward_hook(after_layer(layer))
            for name, layer in self._layers.items()
        ]
        hooks += [
            module.register_forward_hook(after_activation)
            for module in self._network.modules()
            if isinstance(module, _RECTIFIERS + _BOUNDED)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def read_gradients(self, scale: float = 1.0) -> None:
        """Sample the gradients of the weights, after the backward pass.

        Args:
            scale: Factor by which the loss was multiplied, to compute in 16 bits.
        """
        for layer in self._layers.values():
            if layer.weight.grad is not None:
                layer.gradients.append(_norm(layer.weight.grad).double() / scale)

    def statistics(self) -> list[LayerStatistics]:
        """Return the statistics of the layers since the last call, in the order of the network.

        Returns:
            Statistics of each layer that was sampled, with numbers of 4 significant digits.
        """
        result = []
        for name, layer in self._layers.items():
            if layer.gradients:
                gradients = [value for value in torch.stack(layer.gradients).tolist() if math.isfinite(value)]
                near = self._add_up(torch.stack(layer.near)).mean(0) if layer.near else None
                saturated = _fraction(near >= _ALMOST_ALL) if near is not None else None
                dead = _fraction(self._add_up(layer.alive.float()) == 0) if layer.alive is not None else None
                gradient = _rounded(sum(gradients) / len(gradients)) if gradients else None
                weights = _rounded(_norm(layer.weight.detach()).item())
                result.append(LayerStatistics(name, gradient, weights, saturated, dead))
            self._layers[name] = _Layer(layer.weight)
        return result


def _weights(module: nn.Module) -> Sequence[nn.Parameter]:
    """Return the weight of a layer that is not frozen; nothing for other modules, such as normalizations."""
    weight = getattr(module, "weight", None)
    return [weight] if isinstance(weight, nn.Parameter) and weight.ndim >= 2 and weight.requires_grad else []


def _sample(layer: _Layer, activation: nn.Module, outputs: Tensor, part: float) -> None:
    """Add the outputs (B, C, ...) of the activation function of a layer of C units, for B views or grids.

    They are a ``part`` of those of the whole batch, maybe none.
    """
    others = [axis for axis in range(outputs.ndim) if axis != 1]
    if isinstance(activation, _RECTIFIERS):
        alive = (outputs > 0).any(dim=others)
        layer.alive = alive if layer.alive is None else layer.alive | alive
    else:
        low, high = (0.0, 1.0) if isinstance(activation, nn.Sigmoid) else (-1.0, 1.0)
        reach = (0.5 - _NEAR) * (high - low)  # from the middle of the range
        sides = (outputs.float() - (low + high) / 2).abs_().sub_(reach).sign_()  # 1 near a limit, -1 elsewhere; fast
        near = (1 + sides.mean(dim=others)) / 2
        layer.near.append(near * part if part else torch.zeros_like(near))


def _norm(values: Tensor) -> Tensor:
    """Return the L2 norm; in float64 (slow) if squares of float32 numbers are too large."""
    norm: Tensor = torch.linalg.vector_norm(values)
    return norm if norm.isfinite() else torch.linalg.vector_norm(values, dtype=torch.float64)


def _fraction(units: Tensor) -> float:
    return _rounded(units.float().mean().item())


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
