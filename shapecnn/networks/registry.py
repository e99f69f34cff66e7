"""Registry of networks: from settings to a network, pretrained where they say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import build_backbone, fork
from shapecnn.networks.mvcnn import mvcnn
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.servers import server_of_weights
from shapecnn.networks.volumetric import shapenets, voxresnet
from shapecnn.settings.experiment import MvcnnSettings, NetworkSettings, ShapenetsSettings, VoxresnetSettings


def build_network(settings: NetworkSettings, side: int, classes: int, *, seed: int = 0) -> ShapeNetwork:
    """Build a network from its settings.

    Args:
        settings: Kind of network and its options.
        side: Pixels along one side of the pictures, or cells along one side of the grids.
        classes: Number of classes; 0 for a network without classifier.
        seed: Seed of the weights that are not pretrained.

    Returns:
        The network, on the CPU.

    Raises:
        UsageError: There is no such backbone, or it takes no pictures or grids of this size.
        WeightsError: The pretrained weights are not available.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[settings.kind](settings, side, classes)


def fetch_weights(settings: NetworkSettings) -> None:
    """Fetch pretrained weights that are not on this machine, for :func:`build_network` to find them.

    Args:
        settings: Names the backbone and its weights.

    Raises:
        UsageError: The backbone cannot be built.
        WeightsError: The weights are not available.
    """
    if not isinstance(settings, MvcnnSettings) or settings.weights != "imagenet":
        return
    if server_of_weights(settings.backbone) is not None:
        build_backbone(settings.backbone, settings.weights)


def require_shapes(state: Mapping[str, Tensor], settings: NetworkSettings, side: int) -> None:
    """Require a state dict to hold the tensors of a network, before memory is allocated for the network.

    Args:
        state: Tensors by name; those of the classifier are not checked.
        settings: Kind of network and its options.
        side: Pixels along one side of the pictures, or cells along one side of the grids.

    Raises:
        RuntimeError: A tensor is missing or has another shape.
    """
    with torch.device("meta"):
        own = build_network(settings, side, classes=0).state_dict()
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            raise RuntimeError(f"{name} is missing or of another size")


def takes(settings: NetworkSettings, kind: str) -> bool:
    """Whether a network takes artefacts of a kind, ``views`` or ``voxels``."""
    return (kind == "views") == isinstance(settings, MvcnnSettings)


def _mvcnn(settings: MvcnnSettings, size: int, classes: int) -> ShapeNetwork:
    backbone = build_backbone(settings.backbone, settings.weights)
    resize = backbone.size if settings.resize == "native" else settings.resize
    if settings.maps is not None:
        backbone = fork(backbone, settings.maps, resize or size)
    network = mvcnn(
        backbone,
        classes=classes,
        resize=resize,
        pooling=settings.pooling,
        pool_at=settings.pool_at,
        dropout=settings.dropout,
    ).eval()
    try:
        pictures = torch.zeros((1, 1, size, size), dtype=torch.uint8)
        if not pictures.is_meta:  # sizes alone, nothing to compute with
            with torch.inference_mode():
                network(pictures)
    except (RuntimeError, AssertionError, ValueError) as error:  # some take one size, some pool small maps away
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"{backbone.name} takes no pictures of {size} pixels ({reason}). "
            f"It was trained on {backbone.size}: --set size={backbone.size} with "
            f"@imagenet, shapecnn render --size {backbone.size} to train."
        ) from None
    return network


def _shapenets(settings: ShapenetsSettings, resolution: int, classes: int) -> ShapeNetwork:
    normalized = settings.normalization == "batch"
    return shapenets(resolution, classes, normalized=normalized, dropout=settings.dropout)


def _voxresnet(settings: VoxresnetSettings, _resolution: int, classes: int) -> ShapeNetwork:
    return voxresnet(classes, width=settings.width, dropout=settings.dropout)


_BUILDERS: dict[str, Callable[[Any, int, int], ShapeNetwork]] = {
    "mvcnn": _mvcnn,
    "shapenets": _shapenets,
    "voxresnet": _voxresnet,
}
"""What builds each ``network.kind`` from its settings, the pixels or cells along a side, and the number of classes."""
