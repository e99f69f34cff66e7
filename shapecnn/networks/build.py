"""The registry: settings to network."""

from __future__ import annotations

import torch

from shapecnn.errors import UsageError
from shapecnn.experiment import MvcnnSettings, NetworkSettings, ShapenetsSettings
from shapecnn.networks.backbones import build_backbone, fork, join
from shapecnn.networks.mvcnn import mvcnn
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.volumetric import shapenets, voxresnet


def build_network(settings: NetworkSettings, side: int, classes: int, *, seed: int = 0) -> ShapeNetwork:
    """The network for pictures or grids of ``side`` pixels or cells; what is not pretrained is drawn from ``seed``.

    Raises UsageError if there is no such backbone or it takes no pictures of this size, WeightsError if the weights
    cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(settings, MvcnnSettings):
            return _mvcnn(settings, side, classes)
        if isinstance(settings, ShapenetsSettings):
            normalized = settings.normalization == "batch"
            return shapenets(side, classes, normalized=normalized, dropout=settings.dropout)
        return voxresnet(classes, width=settings.width, dropout=settings.dropout)


def takes(settings: NetworkSettings, kind: str) -> bool:
    """Whether the network takes artefacts of this kind: views or voxels."""
    return (kind == "views") == isinstance(settings, MvcnnSettings)


def _mvcnn(settings: MvcnnSettings, size: int, classes: int) -> ShapeNetwork:
    backbones = [build_backbone(name, settings.weights) for name in settings.backbones]
    sizes = [backbone.size if settings.resize == "native" else settings.resize for backbone in backbones]
    if settings.maps is not None:
        backbones = [fork(each, settings.maps, scaled or size) for each, scaled in zip(backbones, sizes, strict=True)]
    (backbone, resize) = (backbones[0], sizes[0]) if len(backbones) == 1 else (join(backbones, sizes), None)
    network = mvcnn(
        backbone,
        classes=classes,
        resize=resize,
        pooling=settings.pooling,
        pool_at=settings.pool_at,
        dropout=settings.dropout,
    ).eval()
    try:
        with torch.inference_mode():
            network(torch.zeros((1, 1, size, size), dtype=torch.uint8))
    except (RuntimeError, AssertionError, ValueError) as error:  # some take one size, some pool small maps away
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"{backbone.name} takes no pictures of {size} pixels ({reason}). "
            f"It was trained on {backbone.size}: --set size={backbone.size} with "
            f"@imagenet, shapecnn render --size {backbone.size} to train."
        ) from None
    return network
