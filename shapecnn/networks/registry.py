"""The registry of networks: from settings to a network, pretrained where they say so."""

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
    """The network for pictures or grids of ``side`` pixels or cells; what is not pretrained is drawn from ``seed``.

    Raises UsageError if there is no such backbone or it takes no pictures of this size, WeightsError if the weights
    cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[settings.kind](settings, side, classes)


def fetch_weights(settings: NetworkSettings) -> None:
    """Fetch pretrained weights that are not at hand, for :func:`build_network` to find them.

    Raises:
        UsageError: The backbone cannot be built.
        WeightsError: They cannot be had.
    """
    if not isinstance(settings, MvcnnSettings) or settings.weights != "imagenet":
        return
    if server_of_weights(settings.backbone) is not None:
        build_backbone(settings.backbone, settings.weights)


def require_shapes(state: Mapping[str, Tensor], settings: NetworkSettings, side: int) -> None:
    """Raise RuntimeError unless ``state`` holds the tensors of this network but for its classifier, whose sizes are
    known before memory is taken for any."""
    with torch.device("meta"):
        own = build_network(settings, side, classes=0).state_dict()
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            raise RuntimeError(f"{name} is missing or of another size")


def takes(settings: NetworkSettings, kind: str) -> bool:
    """Whether the network takes artefacts of this kind: views or voxels."""
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
