"""The multi-view network: pictures normalized as by torchvision, views pooled early or late."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import normalize, resize

from shapecnn.errors import UsageError
from shapecnn.networks.backbones import Backbone, build_backbone
from shapecnn.networks.mvcnn import Grey, mvcnn
from shapecnn.networks.pooling import Pooling

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 64


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """A small one of random weights, known in parts."""
    torch.manual_seed(0)
    return build_backbone("test_resnet", "none")


@pytest.fixture
def views() -> Tensor:
    """Two shapes from twelve sides, (2, 12, SIDE, SIDE) uint8."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 12, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def features_of(backbone: Backbone, pictures: Tensor) -> Tensor:
    """(N, S, S) uint8 through the whole backbone, normalized by torchvision."""
    x = normalize((pictures[:, None].float() / 255).expand(-1, 3, -1, -1), list(backbone.mean), list(backbone.std))
    for _, part in backbone.parts:
        x = part(x)
    return x


def test_pictures_are_normalized_as_torchvision_does(views: Tensor) -> None:
    for picture, seen in zip(views[0], Grey(MEAN, STD)(views[0]), strict=True):
        rgb = (picture.float() / 255).expand(3, SIDE, SIDE)
        torch.testing.assert_close(seen, normalize(rgb, list(MEAN), list(STD)), atol=1e-6, rtol=0)


def test_pictures_are_scaled_as_torchvision_does(views: Tensor) -> None:
    scaled = Grey(MEAN, STD, 2 * SIDE + 1)(views[0])
    assert scaled.shape == (12, 3, 2 * SIDE + 1, 2 * SIDE + 1)
    expected = resize(views[0][:, None].float() / 255, [2 * SIDE + 1] * 2, antialias=False).expand(-1, 3, -1, -1)
    torch.testing.assert_close(scaled, normalize(expected, list(MEAN), list(STD)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_late_pooling_is_that_of_the_features_of_each_view(backbone: Backbone, views: Tensor, pooling: Pooling) -> None:
    each = features_of(backbone, views.flatten(0, 1)).unflatten(0, (2, 12))
    expected = each.max(dim=1).values if pooling == "max" else each.mean(dim=1)
    network = mvcnn(backbone, pooling=pooling).eval()
    _, features = network(views)
    assert features.shape == (2, network.feature_size)
    assert network.blocks == (backbone.feature_size,)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_early_pooling_is_before_the_last_part(backbone: Backbone, views: Tensor, pooling: Pooling) -> None:
    front = dataclasses.replace(backbone, parts=backbone.parts[:-1])
    maps = features_of(front, views.flatten(0, 1)).unflatten(0, (2, 12))
    pooled = maps.max(dim=1).values if pooling == "max" else maps.mean(dim=1)
    expected = backbone.parts[-1][1](pooled)
    network = mvcnn(backbone, pooling=pooling, pool_at="early").eval()
    torch.testing.assert_close(network(views)[1], expected, atol=1e-5, rtol=1e-5)


def test_early_and_late_agree_on_one_view_and_differ_on_twelve(backbone: Backbone, views: Tensor) -> None:
    early, late = (mvcnn(backbone, pool_at=where).eval() for where in ("early", "late"))
    torch.testing.assert_close(early(views[:, :1])[1], late(views[:, :1])[1])
    assert not torch.allclose(early(views)[1], late(views)[1], rtol=0.01)


@pytest.mark.parametrize("name", ["vgg11", "alexnet"])
def test_the_fully_connected_layers_follow_early_pooling(name: str) -> None:
    """As the paper has it in VGG-M: the largest activation of the convolutions, then all the rest."""
    backbone = build_backbone(name, "none")
    network = mvcnn(backbone, classes=3, pool_at="early").eval()
    assert list(network.parts) == [key for key, _ in backbone.parts[:-1]]
    linear = [layer for layer in network.tail.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(linear) == 2
    assert not [layer for layer in network.parts.modules() if isinstance(layer, nn.Linear)]


def test_a_backbone_known_as_a_whole_is_pooled_late_alone() -> None:
    backbone = build_backbone("test_convnext", "none")
    assert len(backbone.parts) == 1
    with pytest.raises(UsageError, match=r"test_convnext, which shapecnn cannot split.* pool_at: late"):
        mvcnn(backbone, pool_at="early")
    _, features = mvcnn(backbone).eval()(torch.zeros((1, 2, backbone.size, backbone.size), dtype=torch.uint8))
    assert features.shape == (1, backbone.feature_size)


def test_what_is_stored_is_parts_and_classifier(backbone: Backbone) -> None:
    """Mean and deviation belong to the backbone's name and are not among the weights."""
    keys = list(mvcnn(backbone, classes=3).state_dict())
    own = [f"parts.{name}.{key}" for name, part in backbone.parts for key in part.state_dict()]
    assert keys == [*own, "classifier.weight", "classifier.bias"]
