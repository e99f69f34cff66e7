"""Small vision transformers of timm with random weights: the architectures of their names, but two narrow blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import nn

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}


def randomize(network: nn.Module) -> None:
    """Draw all weights anew. As they are initialized, blocks of DINO change next to nothing, and tokens are equal."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            middle = 1.0 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0.0  # scales of normalizations
            parameter.copy_(middle + 0.2 * torch.randn(parameter.shape, generator=generator))


def made(name: str, **options: Any) -> Any:
    """A network of timm without classifier, in evaluation mode."""
    network = timm.create_model(name, num_classes=0, **SMALL, **options)
    randomize(network)
    return network.eval()


def build_narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Every vision transformer that timm builds by name is as small as :data:`SMALL`, with weights of its own."""
    create = timm.create_model

    def small(name: str, **options: Any) -> Any:
        if not name.startswith(("vit_", "eva")):
            return create(name, **options)
        network = create(name, **SMALL, **options)
        if not next(network.parameters()).is_meta:
            randomize(network)
        return network

    monkeypatch.setattr(timm, "create_model", small)
    return small
