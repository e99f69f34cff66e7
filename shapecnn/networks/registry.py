"""Build networks from their settings, with pretrained weights if the settings name such weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import build_backbone, fork
from shapecnn.networks.descriptor import DescriptorNetwork
from shapecnn.networks.lenet import lenet
from shapecnn.networks.mvcnn import mvcnn
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.perceptron import linear, perceptron
from shapecnn.networks.servers import server_of_weights
from shapecnn.networks.volumetric import shapenets, voxresnet
from shapecnn.settings.networks import (
    InputKind,
    LenetSettings,
    LinearSettings,
    MlpSettings,
    MvcnnSettings,
    NetworkSettings,
    ShapenetsSettings,
    VoxresnetSettings,
)


def build_network(
    settings: NetworkSettings, side: int, classes: int, *, seed: int = 0, kind: InputKind | None = None
) -> ShapeNetwork:
    """Build a network from its settings.

    Args:
        settings: Architecture of the network and its options.
        side: Pixels along one side of the views, or cells along one side of the grids.
        classes: Number of classes; 0 for a network without classifier.
        seed: Random seed of the initial weights; pretrained weights do not depend on it.
        kind: ``views`` or ``voxels``. None if the network reads only one of them.

    Returns:
        Network on the CPU.

    Raises:
        UsageError: The backbone does not exist, or the network cannot process views or grids of this size, or inputs of
            this kind; or ``kind`` is None and the network reads both kinds.
        WeightsError: The pretrained weights cannot be downloaded or read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[settings.kind](settings, side, classes, _input_kind(settings, kind))


def fetch_weights(settings: NetworkSettings) -> None:
    """Download the pretrained weights of a network, unless they are already on this machine.

    Args:
        settings: Architecture of the network, with the names of backbone and weights.

    Raises:
        UsageError: The backbone cannot be built.
        WeightsError: The weights cannot be downloaded.
    """
    if not isinstance(settings, MvcnnSettings) or settings.weights != "imagenet":
        return
    if server_of_weights(settings.backbone) is not None:
        build_backbone(settings.backbone, settings.weights)


def fitting_state(
    state: Mapping[str, Tensor], settings: NetworkSettings, side: int, *, kind: InputKind | None = None
) -> Mapping[str, Tensor]:
    """Check that a state dict has the tensors of a network, without allocating memory for the network.

    Args:
        state: Tensors by name, read from a file of weights. The tensors of the classifier are not checked.
        settings: Architecture of the network and its options.
        side: Pixels along one side of the views, or cells along one side of the grids.
        kind: ``views`` or ``voxels``. None if the network reads only one of them.

    Returns:
        The tensors, by the names that the network has for them. Earlier versions of shapecnn did not split vision
        transformers into parts, and stored their tensors by other names.

    Raises:
        RuntimeError: A tensor is missing or has the wrong shape.
    """
    with torch.device("meta"):
        network = build_network(settings, side, classes=0, kind=kind)
    if "whole" not in network.parts and any(name.startswith("parts.whole.") for name in state):
        from shapecnn.networks.transformers import by_parts  # here, because it imports timm

        state = by_parts(state)
    network.shorten_like(state)
    for name, tensor in network.state_dict().items():
        if name not in state or state[name].shape != tensor.shape:
            raise RuntimeError(f"tensor {name} is missing or has the wrong shape")
    return state


def _input_kind(settings: NetworkSettings, kind: InputKind | None) -> InputKind:
    """Return the kind of input of a network. Raise UsageError if the network does not read it, or reads both kinds."""
    if kind is None and len(settings.inputs) == 1:
        (kind,) = settings.inputs
    if kind is None or kind not in settings.inputs:
        readable = " and ".join(sorted(settings.inputs))
        raise UsageError(f"The network {settings.kind} reads {readable}: set kind to one of them, not to {kind}.")
    return kind


def _mvcnn(settings: MvcnnSettings, size: int, classes: int, _kind: InputKind) -> ShapeNetwork:
    scaled = settings.resize or size
    backbone = build_backbone(settings.backbone, settings.weights, scaled)
    resize = backbone.size if settings.resize == "native" else settings.resize
    if settings.maps is not None:
        backbone = fork(backbone, settings.maps, resize or size)
    network = mvcnn(
        backbone,
        classes=classes,
        resize=resize,
        pooling=settings.pooling,
        width=settings.width,
        pool_at=settings.pool_at,
        dropout=settings.dropout,
    ).eval()
    try:
        pictures = torch.zeros((1, 1, size, size), dtype=torch.uint8)
        if not pictures.is_meta:  # on the meta device, tensors have shapes but no values to compute with
            with torch.inference_mode():
                network(pictures)
    except (RuntimeError, AssertionError, ValueError) as error:  # the size does not fit the backbone
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"{backbone.name} cannot process pictures of {size} pixels a side ({reason}). "
            f"The backbone was trained on {backbone.size} pixels: use --set size={backbone.size} with @imagenet, or "
            f"shapecnn render --size {backbone.size} before training."
        ) from None
    return network


def _shapenets(settings: ShapenetsSettings, resolution: int, classes: int, _kind: InputKind) -> ShapeNetwork:
    return shapenets(
        resolution,
        classes,
        normalized=settings.normalization == "batch",
        activation=settings.activation,
        dropout=settings.dropout,
    )


def _voxresnet(settings: VoxresnetSettings, resolution: int, classes: int, _kind: InputKind) -> ShapeNetwork:
    return voxresnet(resolution, classes, width=settings.width, dropout=settings.dropout)


def _linear(settings: LinearSettings, side: int, classes: int, kind: InputKind) -> ShapeNetwork:
    if settings.descriptor is not None:
        return DescriptorNetwork(settings.descriptor, classes)
    return linear(kind, side, classes, side=settings.side)


def _mlp(settings: MlpSettings, side: int, classes: int, kind: InputKind) -> ShapeNetwork:
    return perceptron(
        kind,
        side,
        classes,
        side=settings.side,
        hidden=settings.hidden,
        activation=settings.activation,
        initialization=settings.init,
        pooling=settings.pooling,
        dropout=settings.dropout,
    )


def _lenet(settings: LenetSettings, size: int, classes: int, _kind: InputKind) -> ShapeNetwork:
    return lenet(
        size,
        classes,
        side=settings.side,
        activation=settings.activation,
        initialization=settings.init,
        pool=settings.pool,
        shared=settings.shared,
        pooling=settings.pooling,
        pool_at=settings.pool_at,
        dropout=settings.dropout,
    )


_BUILDERS: dict[str, Callable[[Any, int, int, InputKind], ShapeNetwork]] = {
    "mvcnn": _mvcnn,
    "shapenets": _shapenets,
    "voxresnet": _voxresnet,
    "linear": _linear,
    "mlp": _mlp,
    "lenet": _lenet,
}
"""Functions that build the networks, by ``network.kind``.

The arguments of each function are the settings, the pixels or cells along one side of the input, the number of classes,
and the kind of input.
"""
