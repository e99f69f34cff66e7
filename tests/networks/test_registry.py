"""From settings to the network they name, the same on every machine."""

from __future__ import annotations

import pytest
import torch

from shapecnn.errors import UsageError
from shapecnn.networks.registry import build_network, takes
from shapecnn.settings.networks import MvcnnSettings, NetworkSettings, ShapenetsSettings, VoxresnetSettings

MVCNN = MvcnnSettings(backbone="test_efficientnet", weights="none")
CASES: list[tuple[NetworkSettings, int, int]] = [
    (MVCNN, 32, 256),
    (ShapenetsSettings(), 26, 1200),
    (VoxresnetSettings(width=4), 12, 16),
]


def zeros(settings: NetworkSettings, side: int) -> torch.Tensor:
    return torch.zeros((1, 2, *[side] * (2 if settings.kind == "mvcnn" else 3)), dtype=torch.uint8)


@pytest.mark.parametrize(("settings", "side", "features"), CASES)
def test_settings_name_a_network(settings: NetworkSettings, side: int, features: int) -> None:
    network = build_network(settings, side, 3).eval()
    with torch.inference_mode():
        found = network(zeros(settings, side))
    assert [tensor.shape for tensor in found] == [(1, 3), (1, features)]
    assert network.feature_size == features
    assert network.pooling == ("max" if settings.kind == "mvcnn" else "mean")


@pytest.mark.parametrize(("settings", "side", "features"), CASES)
def test_the_seed_alone_decides_what_is_not_pretrained(settings: NetworkSettings, side: int, features: int) -> None:
    torch.manual_seed(5)
    following = torch.rand(1)
    torch.manual_seed(5)
    first = build_network(settings, side, 3, seed=1).state_dict()
    assert torch.equal(torch.rand(1), following)  # and no trace is left
    torch.manual_seed(6)
    second = build_network(settings, side, 3, seed=1).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = build_network(settings, side, 3, seed=2).state_dict()
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_each_setting_of_a_network_has_its_effect() -> None:
    mean = build_network(MVCNN.model_copy(update={"pooling": "mean", "dropout": 0.25}), 32, 3)
    assert (mean.pooling, mean.dropout.p) == ("mean", 0.25)
    early = build_network(MVCNN.model_copy(update={"pool_at": "early"}), 32, 3)
    assert len(early.parts) == len(mean.parts) - 1
    plain = build_network(ShapenetsSettings(normalization="none", dropout=0.1), 26, 3)
    assert plain.dropout.p == 0.1
    assert not [key for key in plain.state_dict() if "running_mean" in key]
    wide = build_network(VoxresnetSettings(width=8, dropout=0.2), 12, 3)
    assert (wide.feature_size, wide.dropout.p) == (32, 0.2)


def test_pictures_the_backbone_does_not_take_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"alexnet cannot process pictures of 32 pixels .* trained on 224 pixels: use --set size=224"
    ):
        build_network(MvcnnSettings(backbone="alexnet", weights="none"), 32, 3)


@pytest.mark.parametrize("kind", ["views", "voxels"])
def test_what_a_network_takes(kind: str) -> None:
    assert takes(MvcnnSettings(), kind) == (kind == "views")
    assert takes(ShapenetsSettings(), kind) == takes(VoxresnetSettings(), kind) == (kind == "voxels")
