"""Receptive fields: those of formulas, and those of gradients of networks whose weights are all positive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shapecnn.filters.fields import Fields, parts_of, receptive_fields
from shapecnn.filters.layers import network_layers
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.networks.volumetric import Occupancy
from shapecnn.settings.networks import (
    InputKind,
    LenetSettings,
    MvcnnSettings,
    NetworkSettings,
    ShapenetsSettings,
    VoxresnetSettings,
)


def fields_of(network: ShapeNetwork, shape: tuple[int, ...]) -> dict[str, Fields]:
    return receptive_fields(network.eval(), network_layers(network, shape), shape)


def test_fields_follow_the_formula() -> None:
    """A window of 5 with stride 2 and padding 2, then windows of 3 with padding 1."""
    fields = fields_of(build_network(VoxresnetSettings(width=4), 22, 2), (22, 22, 22))
    positions = np.arange(11)
    first = np.stack([2 * positions - 2, 2 * positions + 3], axis=1).clip(0, 22)
    block = np.stack([2 * positions - 6, 2 * positions + 7], axis=1).clip(0, 22)
    for axis in range(3):
        assert np.array_equal(fields["conv1"].ends[axis], first)
        assert np.array_equal(fields["block1"].ends[axis], block)
    assert fields["conv1"].box(int(np.ravel_multi_index((0, 3, 10), (11, 11, 11)))) == ((0, 3), (4, 9), (18, 22))
    assert list(fields) == ["conv1", "block1", "block2", "block3", "block4", "block5"]  # the others have no maps


@pytest.mark.parametrize(
    ("settings", "side", "kind"),
    [
        (ShapenetsSettings(), 26, "voxels"),
        (VoxresnetSettings(width=4), 20, "voxels"),
        (LenetSettings(activation="relu", pool="mean"), 40, "views"),
        (LenetSettings(activation="relu", pool="gaussian"), 32, "views"),
        (MvcnnSettings(backbone="test_efficientnet", weights="none", resize=40), 32, "views"),
    ],
)
def test_a_field_is_where_the_gradient_of_positive_weights_is(
    settings: NetworkSettings, side: int, kind: InputKind
) -> None:
    """With positive weights and input, no unit is switched off, and no gradient cancels."""
    shape = (side,) * (2 if kind == "views" else 3)
    network = build_network(settings, side, 2, kind=kind).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.1 + 0.01)
    layers = [layer for layer in network_layers(network, shape) if layer.maps]
    fields = receptive_fields(network, layers, shape)
    inputs = (torch.rand((1, *shape), generator=generator, dtype=torch.float32) + 1).requires_grad_()
    # Darkness is 1 − x / 255, so that x near 0 is a positive input; Grey subtracts a mean, which 500 exceeds.
    scaled = inputs * 100 if isinstance(settings, MvcnnSettings) else inputs
    for layer in layers:
        stop = list(network.parts).index(layer.name.split(".")[0]) + 1
        if layer.name not in network.parts:
            continue
        maps = network.stem(scaled[:, None], stop=stop)[0, 0].sum(dim=0)
        for position in {0, maps.numel() // 2, maps.numel() // 3, maps.numel() - 1}:
            (gradient,) = torch.autograd.grad(maps.reshape(-1)[position], inputs, retain_graph=True)
            reached = (gradient[0] != 0).nonzero().numpy()
            box = tuple((int(a), int(b) + 1) for a, b in zip(reached.min(axis=0), reached.max(axis=0), strict=True))
            field = fields[layer.name].box(position)
            assert field == box


class OneSided(nn.Module):
    """Right of the middle, a position depends on the first column as well."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mirrored = torch.zeros_like(x)
        mirrored[..., x.shape[-1] // 2 :] = x[..., :1]
        return x + mirrored


def test_axes_that_are_treated_differently_have_fields_of_their_own() -> None:
    layers = [nn.Conv3d(1, 1, (1, 3, 5)), nn.Conv3d(1, 2, (1, 1, 3), stride=(1, 1, 2))]
    network = ShapeNetwork(Occupancy(), [("a", layers[0]), ("b", layers[1])], nn.Flatten(), blocks=(1,), classes=0)
    fields = fields_of(network, (9, 9, 9))
    assert (fields["a"].size, fields["b"].size) == ((1, 3, 5), (1, 3, 7))
    assert fields["b"].ends[2].tolist() == [[0, 7], [2, 9]]
    network = ShapeNetwork(
        Occupancy(), [("a", OneSided()), ("b", nn.Conv3d(1, 1, 1))], nn.Flatten(), blocks=(1,), classes=0
    )
    fields = fields_of(network, (6, 6, 6))
    assert fields["b"].ends[1].tolist() == [[k, k + 1] for k in range(6)]
    assert fields["b"].ends[2].tolist() == [[0, 1], [1, 2], [2, 3], [0, 4], [0, 5], [0, 6]]


def test_units_that_are_switched_off_have_fields_too() -> None:
    network = build_network(ShapenetsSettings(normalization="none"), 30, 2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(-1000)
    assert {name: each.size[0] for name, each in fields_of(network, (30, 30, 30)).items()} == {
        "conv1": 6,
        "conv2": 14,
        "conv3": 26,
    }


def test_a_window_beyond_the_border_depends_on_nothing_and_is_shown_whole() -> None:
    network = ShapeNetwork(Occupancy(), [("a", nn.Conv3d(1, 1, 1, padding=1))], nn.Flatten(), blocks=(1,), classes=0)
    (fields,) = fields_of(network, (4, 4, 4)).values()
    assert fields.ends[0].tolist() == [[0, 4], [0, 1], [1, 2], [2, 3], [3, 4], [0, 4]]


def test_memory_is_bounded_for_any_number_of_views() -> None:
    for count, size in ((12, (224, 224)), (360, (1024, 1024)), (4, (30, 30, 30)), (1, (2048, 2048)), (0, (8, 8))):
        parts = list(parts_of(count, size))
        assert [k for part in parts for k in range(part.start, part.stop)] == list(range(count))
        assert all(
            (part.stop - part.start) * np.prod(size) <= 16 * 224**2 or part.stop - part.start == 1 for part in parts
        )
