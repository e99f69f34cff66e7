"""LeNet-5: parameters and shapes of the paper, what sharing saves, and each option in its place."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.lenet import lenet
from shapecnn.networks.local import LocallyConnected2d
from shapecnn.networks.smoothing import GaussianPool2d


def views(count: int = 3, side: int = 32, shapes: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (shapes, count, side, side), dtype=torch.uint8, generator=generator)


def test_parameters_are_the_61706_of_lenet5_and_differ_from_the_paper_as_documented() -> None:
    conv1, conv2, full1, full2 = 6 * (25 + 1), 16 * (6 * 25 + 1), 120 * (16 * 5 * 5 + 1), 84 * (120 + 1)
    classifier = 10 * (84 + 1)
    assert conv1 + conv2 + full1 + full2 + classifier == 61706
    assert lenet(32, 10).parameter_count == 61706
    assert lenet(32, 40).parameter_count == 61706 + 30 * 85
    # LeCun et al. count 60,000: their pooling has 2 weights a map, their second convolution has 1,516 weights, as most
    # of its filters read 3 or 4 of the 6 maps, and the weights of their output units are not learned.
    assert lenet(32, 10).parameter_count + 2 * (6 + 16) - (conv2 - 1516) - classifier == 60000


def test_maps_have_the_shapes_of_the_paper() -> None:
    network, seen = lenet(64, 10), views(side=64)
    shapes = [tuple(network.stem(seen, stop=stop).shape[2:]) for stop in range(6)]
    assert shapes == [(1, 64, 64), (1, 32, 32), (6, 14, 14), (16, 5, 5), (120,), (84,)]
    assert list(network.parts) == ["scaled", "conv1", "conv2", "full1", "full2"]


@pytest.mark.parametrize("side", [16, 17, 28, 45, 64])
@pytest.mark.parametrize("shared", [True, False])
def test_sizes_scale_with_the_side(side: int, shared: bool) -> None:
    network = lenet(64, 3, side=side, shared=shared).eval()
    assert network(views(side=64))[1].shape == (2, 84)
    size1 = (side - 4) // 2
    size2 = (size1 - 4) // 2
    windows1, windows2 = (1, 1) if shared else ((side - 4) ** 2, (size1 - 4) ** 2)
    full = 120 * (16 * size2**2 + 1) + 84 * 121 + 3 * 85
    assert network.parameter_count == 156 * windows1 + 2416 * windows2 + full


def test_sharing_saves_all_windows_but_one() -> None:
    saved = lenet(32, 10, shared=False).parameter_count - lenet(32, 10).parameter_count
    assert saved == (28**2 - 1) * 156 + (10**2 - 1) * 2416 == 361332


def test_without_sharing_and_with_equal_weights_it_is_the_shared_network() -> None:
    shared, own = lenet(32, 3).eval(), lenet(32, 3, shared=False).eval()
    state = shared.state_dict()
    for name, tensor in own.state_dict().items():
        state[name] = state[name].expand_as(tensor)
    own.load_state_dict(state)
    for one, other in zip(own(views()), shared(views()), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("pool", "kind"), [("max", nn.MaxPool2d), ("mean", nn.AvgPool2d), ("gaussian", GaussianPool2d)]
)
def test_pooling_of_pixels_is_chosen(pool: Literal["max", "mean", "gaussian"], kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = lenet(32, 3, pool=pool)
    layers = [type(layer) for part in ("conv1", "conv2") for layer in network.parts[part].children()]
    assert layers == [nn.Conv2d, nn.Tanh, kind] * 2
    assert network.parameter_count == lenet(32, 3).parameter_count
    assert network(views())[1].shape == (2, 84)


def test_views_are_pooled_after_or_before_the_fully_connected_layers() -> None:
    torch.manual_seed(0)
    late = lenet(32, 3, pooling="max").eval()
    torch.manual_seed(0)
    early = lenet(32, 3, pooling="max", pool_at="early").eval()
    seen = views()
    assert list(early.parts) == ["scaled", "conv1", "conv2"]
    assert early.pool(early.stem(seen)).shape == (2, 16, 5, 5)
    assert early.parameter_count == late.parameter_count
    for one, other in zip(early(seen[:, :1]), late(seen[:, :1]), strict=True):  # the same weights, in another order
        assert torch.equal(one, other)
    assert not torch.allclose(early(seen)[1], late(seen)[1])
    each = torch.stack([late(seen[:, i : i + 1])[1] for i in range(3)])
    torch.testing.assert_close(late(seen)[1], each.amax(dim=0))


def test_scores_of_single_views_are_averaged() -> None:
    network, seen = lenet(32, 3).eval(), views()
    each = torch.stack([network(seen[:, i : i + 1])[0] for i in range(3)])
    torch.testing.assert_close(network(seen)[0], each.mean(dim=0))


def test_activation_initialization_and_dropout_are_chosen() -> None:
    network = lenet(32, 3, activation="sigmoid", initialization="normal", shared=False, dropout=0.3)
    assert sum(isinstance(module, nn.Sigmoid) for module in network.modules()) == 4
    assert sum(isinstance(module, LocallyConnected2d) for module in network.modules()) == 2
    assert network.dropout.p == 0.3
    for pool_at in ("late", "early"):
        drawn = lenet(32, 3, initialization="normal", pool_at=pool_at).state_dict()
        weights = [value for name, value in drawn.items() if name.endswith("weight")]
        assert [float(value.std()) for value in weights] == pytest.approx([0.01] * 5, rel=0.3)


@pytest.mark.parametrize(
    ("resolution", "side", "message"),
    [
        (32, 15, "at least 16 pixels a side, not 15"),
        (12, 32, "at least 16 pixels a side, not 12: use a larger side, or render with a larger --size"),
        (32, 33, r"down to 33 pixels a side, but the input has 32: use --set network\.side=32, or render"),
    ],
)
def test_views_too_small_are_refused(resolution: int, side: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        lenet(resolution, 3, side=side)
