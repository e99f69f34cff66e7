"""The multi-view network: order and number of views, pooling against a loop, pictures normalized as by torchvision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import normalize

from shapecnn.networks.backbones import Backbone
from shapecnn.networks.mvcnn import MVCNN, Pooling

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, FEATURES = 6, 5


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """A small network of random weights that tells every pixel and channel from the others."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, FEATURES), nn.Tanh())
    return Backbone("toy", network.eval(), FEATURES, SIDE, MEAN, STD)


@pytest.fixture
def views() -> Tensor:
    """Two shapes from twelve sides, (2, 12, SIDE, SIDE) uint8."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 12, SIDE, SIDE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_order_of_views_does_not_matter(backbone: Backbone, views: Tensor, pooling: Pooling) -> None:
    network = MVCNN(backbone, pooling)
    shuffled = views[:, torch.randperm(12, generator=torch.Generator().manual_seed(2))]
    torch.testing.assert_close(network(shuffled), network(views))
    assert not torch.allclose(network(views.flip(0)), network(views))  # that of shapes does


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("count", [1, 7, 80])
def test_any_number_of_views_goes_through_one_network(backbone: Backbone, pooling: Pooling, count: int) -> None:
    same = torch.full((1, count, SIDE, SIDE), 100, dtype=torch.uint8)
    network = MVCNN(backbone, pooling)
    assert network(same).shape == (1, FEATURES)
    torch.testing.assert_close(network(same), network(same[:, :1]))


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_pooling_is_the_loop_over_views(backbone: Backbone, views: Tensor, pooling: Pooling) -> None:
    network = MVCNN(backbone, pooling)
    features = network(views)
    activations = network.stem(views)
    assert activations.shape == (2, 12, FEATURES)
    for shape in range(2):
        for feature in range(FEATURES):
            column = [float(activations[shape, view, feature]) for view in range(12)]
            expected = max(column) if pooling == "max" else sum(column) / 12
            assert float(features[shape, feature]) == pytest.approx(expected, abs=1e-6)


def test_forward_pools_after_the_stem(backbone: Backbone, views: Tensor) -> None:
    network = MVCNN(backbone, "max")
    assert torch.equal(network(views), network.pool(network.stem(views)))
    for shape in range(2):
        for view in range(12):
            alone = network.stem(views[shape : shape + 1, view : view + 1])[0, 0]
            torch.testing.assert_close(network.stem(views)[shape, view], alone)


def test_pictures_are_normalized_as_torchvision_does(views: Tensor) -> None:
    pixels = Backbone("pixels", nn.Flatten(), 3 * SIDE * SIDE, SIDE, MEAN, STD)
    seen = MVCNN(pixels).stem(views).reshape(2, 12, 3, SIDE, SIDE)
    for shape in range(2):
        for view in range(12):
            rgb = (views[shape, view].float() / 255).expand(3, SIDE, SIDE)
            torch.testing.assert_close(seen[shape, view], normalize(rgb, list(MEAN), list(STD)), atol=1e-6, rtol=0)


def test_the_state_is_that_of_the_backbone_alone(backbone: Backbone) -> None:
    network = MVCNN(backbone)
    assert list(network.state_dict()) == [f"backbone.{key}" for key in backbone.network.state_dict()]
    assert network.feature_size == FEATURES
