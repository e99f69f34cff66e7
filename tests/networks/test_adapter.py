"""The adapter against loops over the ring of views: what changes nothing, what does, and how it begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from shapecnn.models.conversion import Queue, convert
from shapecnn.networks.adapter import RingAdapter
from shapecnn.networks.network import FeaturesAlone
from shapecnn.networks.registry import build_network
from shapecnn.settings.networks import MvcnnSettings

FEATURES, WIDTH, VIEWS = 10, 6, 12


def adapter(seed: int = 0) -> RingAdapter:
    """As if it were trained: no weight is zero."""
    torch.manual_seed(seed)
    made = RingAdapter(FEATURES, WIDTH)
    nn.init.normal_(made.up.weight)
    return made.requires_grad_(False)


def seen(count: int = VIEWS, seed: int = 0) -> Tensor:
    return torch.randn(2, count, FEATURES, generator=torch.Generator().manual_seed(seed))


def test_untrained_it_is_the_mean_over_the_views() -> None:
    torch.testing.assert_close(RingAdapter(FEATURES, WIDTH)(seen()), seen().mean(dim=1))


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_it_is_the_loop_over_views_and_neighbours(count: int) -> None:
    made, views = adapter(), seen(count)
    expected = views.mean(dim=1)
    for shape in range(len(views)):
        low = [made.down.weight @ view + made.down.bias for view in views[shape]]
        largest = torch.zeros(WIDTH)
        for place in range(count):
            before, after = low[(place - 1) % count], low[(place + 1) % count]
            weights = made.ring.weight.unbind(2)
            response = weights[0] @ before + weights[1] @ low[place] + weights[2] @ after + made.ring.bias
            largest = torch.maximum(largest, response)
        expected[shape] += made.up.weight @ largest
    torch.testing.assert_close(made(views), expected)


@given(st.integers(1, 13), st.integers(-30, 30), st.integers(0, 1000))
def test_a_cyclic_shift_of_the_views_changes_nothing(count: int, shift: int, seed: int) -> None:
    views = seen(count, seed)
    torch.testing.assert_close(adapter(seed)(views.roll(shift, dims=1)), adapter(seed)(views))


@pytest.mark.parametrize("change", ["reversed", "two swapped"])
def test_another_order_of_the_views_does(change: str) -> None:
    order = list(range(VIEWS))[::-1] if change == "reversed" else [1, 0, *range(2, VIEWS)]
    assert not torch.allclose(adapter()(seen()[:, order]), adapter()(seen()), atol=0.01)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_views_that_are_all_alike_are_one_view(count: int) -> None:
    view = seen(1)
    torch.testing.assert_close(adapter()(view.expand(-1, count, -1)), adapter()(view))


def test_all_its_weights_learn_from_the_second_step_on() -> None:
    torch.manual_seed(0)
    made = RingAdapter(FEATURES, WIDTH)
    descent = torch.optim.SGD(made.parameters(), lr=0.1)
    for step in range(2):
        descent.zero_grad()
        made(seen()).square().sum().backward()
        learning = {
            name for name, weight in made.named_parameters() if weight.grad is not None and weight.grad.count_nonzero()
        }
        assert learning == ({"up.weight"} if step == 0 else {name for name, _ in made.named_parameters()})
        descent.step()


def test_openvino_computes_what_torch_computes() -> None:
    settings = MvcnnSettings(backbone="test_efficientnet", weights="none", pooling="adapter", width=WIDTH)
    network = build_network(settings, 32, 3)
    assert isinstance(network.pooling, RingAdapter)
    nn.init.normal_(network.pooling.up.weight)
    views = torch.randint(0, 256, (1, VIEWS, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = FeaturesAlone(network, views=True).eval()(views)
        mean = network.stem(views).mean(dim=1)
    assert (expected[0] - mean).abs().max() > 0.01
    queue = Queue(*convert(FeaturesAlone(network, views=True).eval(), tuple(views.shape[1:])), exact=True)
    queue.start(0, views[0].numpy())
    queue.wait()
    ((_, found),) = queue.finished()
    for array, tensor in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, tensor[0].numpy(), rtol=1e-3, atol=1e-4)
