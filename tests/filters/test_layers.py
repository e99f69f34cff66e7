"""Layers of networks: which have filters to show, and where their activations are looked at."""

from __future__ import annotations

import doctest
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapecnn.filters import fields, layers, strongest
from shapecnn.filters.layers import Layer, default_layers, network_layers, observe
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.networks.volumetric import Occupancy
from shapecnn.report import grids
from shapecnn.settings.networks import (
    InputKind,
    LenetSettings,
    LinearSettings,
    MlpSettings,
    MvcnnSettings,
    NetworkSettings,
    VoxresnetSettings,
)


def backbone(name: str, resize: int | None = None) -> MvcnnSettings:
    return MvcnnSettings(backbone=name, weights="none", resize=resize)


def listed(settings: NetworkSettings, side: int, kind: InputKind) -> tuple[ShapeNetwork, list[Layer]]:
    network = build_network(settings, side, 3, kind=kind).eval()
    return network, network_layers(network, (side,) * (2 if kind == "views" else 3))


@pytest.mark.parametrize(
    ("settings", "kind", "chosen", "weights"),
    [
        (VoxresnetSettings(width=4), "voxels", ["conv1", *(f"block{k}" for k in range(1, 6))], (4, 1, 5, 5, 5)),
        (LenetSettings(), "views", ["conv1", "conv2"], (6, 1, 5, 5)),
        (LenetSettings(pool_at="early"), "views", ["conv1", "conv2"], (6, 1, 5, 5)),
        (LenetSettings(shared=False), "views", ["conv1", "conv2"], (6, 1, 28 * 5, 28 * 5)),
        (LinearSettings(), "views", ["classifier"], (3, 1, 32, 32)),
        (LinearSettings(side=8), "voxels", ["classifier"], (3, 1, 8, 8, 8)),
        (MlpSettings(hidden=(7, 5), side=16), "views", ["hidden1"], (7, 1, 16, 16)),
        (backbone("test_efficientnet"), "views", ["first", *(f"block{k}" for k in range(5))], (24, 3, 3, 3)),
        (backbone("alexnet", 64), "views", ["stage0", "stage1", "stage2"], (64, 3, 11, 11)),
        (backbone("test_vit", 160), "views", ["first.patch_embed.proj"], (64, 3, 16, 16)),
    ],
)
def test_convolutions_or_else_templates_are_shown_unless_others_are_named(
    settings: NetworkSettings, kind: InputKind, chosen: list[str], weights: tuple[int, ...]
) -> None:
    _, layers = listed(settings, 32, kind)
    shown = default_layers(layers)
    assert [layer.name for layer in shown] == chosen
    assert layers[-1].name == "classifier"
    assert [layer.weights.shape for layer in layers if layer.weights is not None] == [weights]
    assert shown[0].weights is not None
    assert shown[0].count == len(shown[0].weights)


def test_all_weights_of_a_locally_connected_layer_stand_side_by_side() -> None:
    network, layers = listed(LenetSettings(shared=False), 32, "views")
    first = next(layer for layer in layers if layer.weights is not None)
    assert first.own_weights
    assert first.weights is not None
    own = network.get_parameter("parts.conv1.0.weight").detach().numpy()  # (rows, columns, filters, channels, 5, 5)
    assert np.array_equal(first.weights[3, 0, 10:15, 100:105], own[2, 20, 3, 0])
    assert not any(layer.own_weights for layer in layers if layer is not first)


def stacked(*layers: nn.Module) -> ShapeNetwork:
    """A network on grids with one part of several layers, in each of which a filter averages 3 × 3 × 3 cells."""
    network = ShapeNetwork(
        Occupancy(), [("stage", nn.Sequential(*layers))], nn.Flatten(), blocks=(1,), classes=0
    ).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.constant_(layer.weight, 1.0)
            nn.init.constant_(layer.bias, -5.0)  # type: ignore[arg-type]
    return network


def test_a_first_convolution_among_others_is_a_layer_of_its_own_before_it_is_rectified() -> None:
    network = stacked(nn.Conv3d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv3d(2, 4, 3), nn.ReLU(inplace=True))
    layers = network_layers(network, (9, 9, 9))
    assert [(layer.name, layer.module, layer.count) for layer in layers] == [
        ("stage.0", "parts.stage.0", 2),
        ("stage", "parts.stage", 4),
    ]
    assert layers[0].weights is not None
    assert layers[1].weights is None
    seen: dict[str, Tensor] = {}
    empty = torch.zeros((1, 9, 9, 9), dtype=torch.uint8)
    observe(network, [layer.module for layer in layers], empty, lambda path, output: seen.update({path: output.min()}))
    assert seen == {"parts.stage.0": -5, "parts.stage": 0}


def test_activations_that_would_be_cut_off_are_seen_before() -> None:
    full = torch.ones((1, 5, 5, 5), dtype=torch.uint8)
    for last, most in ((nn.ReLU6(inplace=True), 22), (nn.ReLU(), 22), (nn.Sigmoid(), 1)):
        network = stacked(nn.Conv3d(1, 2, 3), last)
        (layer,) = network_layers(network, (5, 5, 5))
        assert layer.clipped == isinstance(last, nn.ReLU6)
        seen: list[Tensor] = []
        observe(network, [layer.module], full, lambda _, output, seen=seen: seen.append(output.detach().max()))  # type: ignore[misc]
        assert [float(value) for value in seen] == [pytest.approx(most)]
    inside = stacked(nn.Conv3d(1, 2, 3), nn.ReLU6(), nn.MaxPool3d(3))
    (layer,) = network_layers(inside, (5, 5, 5))
    assert not layer.clipped  # pooling is part of the layer


def test_a_module_that_runs_twice_is_seen_the_first_time() -> None:
    pooling = nn.MaxPool3d(2)
    network = stacked(nn.Conv3d(1, 2, 2), pooling, pooling)
    outputs = []
    empty = torch.zeros((1, 9, 9, 9), dtype=torch.uint8)
    observe(network, ["parts.stage.1", "parts.stage"], empty, lambda path, output: outputs.append((path, output.shape)))
    assert outputs == [("parts.stage.1", (1, 2, 4, 4, 4)), ("parts.stage", (1, 2, 2, 2, 2))]


def test_nothing_runs_after_the_last_module_that_is_seen() -> None:
    network, layers = listed(VoxresnetSettings(width=4), 16, "voxels")
    calls = []
    network.parts["block5"].register_forward_hook(lambda *_: calls.append("block5"))
    grid = torch.zeros((1, 16, 16, 16), dtype=torch.uint8)
    for name, runs in (("block4", 0), ("block5", 1), ("classifier", 2)):
        module = next(layer.module for layer in layers if layer.name == name)
        observe(network, [module], grid, lambda _path, _output: None)
        assert len(calls) == runs
    assert not any(module._forward_hooks for name, module in network.named_modules() if not name.endswith("block5"))


@pytest.mark.parametrize("module", [layers, fields, strongest, grids], ids=lambda module: module.__name__)
def test_the_examples_do_what_they_say(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
