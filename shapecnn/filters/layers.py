"""Layers of a network whose filters can be shown, and the activations of these layers.

A layer is a part of the network (:class:`shapecnn.networks.network.ShapeNetwork`), its classifier, or its first
convolution if this convolution shares a part with other layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapecnn.networks.local import LocallyConnected2d
from shapecnn.networks.network import ShapeNetwork

CLASSIFIER = "classifier"
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, LocallyConnected2d)
_WEIGHTED = (*_CONVOLUTIONS, nn.Linear)
CLIPPING = (nn.ReLU6, nn.Hardtanh)
"""Activation functions whose output has a largest value. Many places reach it, so that their input is compared."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Layer of a network.

    Attributes:
        name: Name by which a user selects the layer, such as ``conv1``.
        module: Path of the module in the network whose output has one channel for each filter. If it is a
            :data:`CLIPPING` function, its input is looked at.
        count: Number of filters.
        maps: Whether each filter computes a map, with an activation for each place in a view or grid; otherwise one
            activation for the whole view or grid.
        convolves: Whether the layer has a convolution, or a locally connected layer.
        weights: Weights of the filters as pictures, float32: (F, C, K, K) or (F, C, K, K, K) for F filters of C
            channels; None if the filters do not read the input of the network.
        own_weights: Whether a filter has other weights at each position (a locally connected layer). The weights of all
            positions then stand side by side in ``weights``.
        clipped: Whether ``module`` is a :data:`CLIPPING` function.
    """

    name: str
    module: str
    count: int
    maps: bool
    convolves: bool
    weights: NDArray[np.float32] | None = None
    own_weights: bool = False
    clipped: bool = False


def network_layers(network: ShapeNetwork, shape: tuple[int, ...]) -> list[Layer]:
    """List the layers of a network, from the input to the output.

    Args:
        network: The network, in evaluation mode.
        shape: Size of a view (S, S) in pixels, or of a grid (N, N, N) in cells.

    Returns:
        Each part of the network, the first convolution if its filters are not those of a part, and the classifier. The
        first layer with weights has pictures of these weights, if they fit into pictures. Parts that compute the tokens
        of a vision transformer are left out: they have no maps.

    Example:
        >>> from shapecnn.networks.volumetric import shapenets
        >>> layers = network_layers(shapenets(30, 10).eval(), (30, 30, 30))
        >>> [(layer.name, layer.count) for layer in layers]
        [('conv1', 48), ('conv2', 160), ('conv3', 512), ('full', 1200), ('classifier', 10)]
        >>> layers[0].weights.shape
        (48, 1, 6, 6, 6)
    """
    parts = [f"parts.{name}" for name in network.parts]
    inside = {path: module for path, module in network.named_modules() if path.startswith("parts.")}
    leaves = [path for path, module in inside.items() if path not in parts and not list(module.children())]
    sizes: dict[str, torch.Size] = {}  # in the order of computation

    def note(path: str, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes[path] = output.shape

    with torch.no_grad():
        blank = torch.zeros((1, *shape), dtype=torch.uint8, device=next(network.parameters()).device)
        channels = network.encode(blank).shape[1]
        observe(network, [*leaves, *parts], blank, note)
    with_weights = [path for path in sizes if isinstance(inside[path], _WEIGHTED)]
    first = with_weights[0] if with_weights else None
    pictures = None if first is None else _pictures(inside[first], len(shape), channels)
    own = first is not None and isinstance(inside[first], LocallyConnected2d)

    def layer(path: str, name: str, below: Sequence[str], weights: NDArray[np.float32] | None) -> Layer:
        convolves = any(isinstance(inside[other], _CONVOLUTIONS) for other in below)
        maps = len(sizes[path]) == len(shape) + 2
        return Layer(name, path, sizes[path][1], maps, convolves, weights, own and weights is not None)

    layers, order = [], list(sizes)
    for path in parts:
        below = [other for other in with_weights if other == path or other.startswith(f"{path}.")]
        tokens = len(sizes[path]) not in (2, len(shape) + 2)
        alone = not tokens and below == [first] and pictures is not None and len(pictures) == sizes[path][1]
        if first in below and not alone and first is not None and pictures is not None:
            layers.append(layer(first, first.removeprefix("parts."), [first], pictures))
        if tokens:
            continue
        part = layer(path, path.removeprefix("parts."), below, pictures if alone else None)
        last = order[order.index(path) - 1]
        if last.startswith(f"{path}.") and isinstance(inside[last], CLIPPING):
            part = replace(part, module=last, clipped=True)
        layers.append(part)
    if network.classifier is not None:
        direct = first is None and network.discriminant is None and not list(network.tail.parameters())
        weights = _pictures(network.classifier, len(shape), channels) if direct else None
        layers.append(Layer(CLASSIFIER, CLASSIFIER, network.classifier.out_features, False, False, weights))
    return layers


def default_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Choose the layers to show when the user names none: those with maps of convolutions, and pictures of weights.

    Args:
        layers: Layers of a network, from :func:`network_layers`.

    Returns:
        The chosen layers. Empty if no layer has convolutions or pictures of weights.
    """
    return [layer for layer in layers if (layer.convolves and layer.maps) or layer.weights is not None]


def observe(
    network: ShapeNetwork, modules: Sequence[str], inputs: Tensor, see: Callable[[str, Tensor], object]
) -> None:
    """Run a network on single views or grids, and pass the output of some of its modules to a function.

    The function gets an output before later layers can change it in place. The network stops when each of the modules
    has run.

    Args:
        network: The network.
        modules: Paths of modules in the network.
        inputs: N views (N, S, S) or grids (N, R, R, R), uint8, or float with the same values.
        see: Function that gets the path of a module and its output (N, C, ...) of C channels.
    """
    with watching(network, modules, see):
        activations = network.stem(inputs[:, None])
        if CLASSIFIER in modules:
            network.head(network.pool(activations))


class _AllSeen(Exception):  # noqa: N818  # no error: it ends a computation whose rest is not needed
    """All modules have been seen."""


@contextmanager
def watching(network: ShapeNetwork, modules: Sequence[str], see: Callable[[str, Tensor], object]) -> Iterator[None]:
    """Pass the first output of some modules of a network to a function, while the ``with`` block runs the modules.

    The block ends as soon as each of the modules has run. Of a :data:`CLIPPING` function, the input is passed.

    Args:
        network: The network.
        modules: Paths of modules in the network.
        see: Function that gets the path of a module and its output.
    """
    waiting = set(modules)

    def note(path: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if path in waiting:
            waiting.remove(path)
            see(path, output)
            if not waiting:
                raise _AllSeen

    def note_input(path: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        note(path, module, inputs, inputs[0])

    hooks = []
    for path in modules:
        module = network.get_submodule(path)
        if isinstance(module, CLIPPING):
            hooks.append(module.register_forward_pre_hook(partial(note_input, path)))
        else:
            hooks.append(module.register_forward_hook(partial(note, path)))
    try:
        with suppress(_AllSeen):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _pictures(module: nn.Module, axes: int, channels: int) -> NDArray[np.float32] | None:
    """Return the weights of a layer that reads the input as pictures (F, C, K, ...); None if they do not fit."""
    assert isinstance(module, _WEIGHTED)
    weight = module.weight.detach().cpu().float()
    if isinstance(module, LocallyConnected2d):  # (H', W', F, C, K, K): all windows side by side
        rows, columns, filters, inputs, size, _ = weight.shape
        weight = weight.permute(2, 3, 0, 4, 1, 5).reshape(filters, inputs, rows * size, columns * size)
    elif isinstance(module, nn.Linear):
        side = round((weight.shape[1] / channels) ** (1 / axes))
        if channels * side**axes != weight.shape[1]:
            return None
        weight = weight.reshape(len(weight), channels, *[side] * axes)
    return weight.numpy() if weight.ndim == axes + 2 else None
