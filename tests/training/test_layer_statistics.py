"""Statistics of layers, against values computed by hand from small networks."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from shapecnn.networks.local import LocallyConnected2d
from shapecnn.training.layer_statistics import LayerMonitor, LayerStatistics, sampled_steps


def watched(network: nn.Module, *batches: Tensor, scale: float = 1.0) -> list[LayerStatistics]:
    """Statistics of a network after one step for each batch, whose loss is the sum of the outputs."""
    monitor = LayerMonitor(network)
    for batch in batches:
        network.zero_grad()
        with monitor.watch():
            loss = network(batch).sum()
        (scale * loss).backward()
        monitor.read_gradients(scale)
    return monitor.statistics()


def dense(weights: list[list[float]], biases: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weights[0]), len(weights))
    layer.weight.data, layer.bias.data = torch.tensor(weights), torch.tensor(biases)
    return layer


def test_norms_are_those_of_the_weights_and_their_gradient() -> None:
    """The gradient of the sum of the outputs is the sum of the inputs, for each output."""
    layer = dense([[3.0, 0.0], [0.0, 4.0]], [9.0, 9.0])
    (statistics,) = watched(nn.Sequential(layer), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    assert statistics == LayerStatistics("0", 3.162, 5.0, None, None)  # √(2 · (1² + 2²)), without the biases


def test_the_gradient_is_the_mean_of_the_steps_and_the_last_weights_count() -> None:
    layer = dense([[2.0]], [0.0])
    monitor = LayerMonitor(nn.Sequential(layer))
    for value in (1.0, 2.0, 6.0):
        layer.zero_grad()
        with monitor.watch():
            loss = layer(torch.tensor([[value]])).sum()
        loss.backward()
        layer.weight.data += 1
        monitor.read_gradients()
    (statistics,) = monitor.statistics()
    assert (statistics.gradient, statistics.weights) == (3.0, 5.0)
    assert monitor.statistics() == []  # begun anew


def test_a_scaled_loss_changes_nothing() -> None:
    layer, batch = dense([[3.0, 1.0]], [0.0]), torch.tensor([[1.0, 0.5]])
    assert watched(nn.Sequential(layer), batch, scale=1024.0) == watched(nn.Sequential(layer), batch)


def test_gradients_that_are_no_numbers_are_left_out() -> None:
    layer = nn.Sequential(dense([[1.0]], [0.0]))
    (statistics,) = watched(layer, torch.tensor([[2.0]]), torch.tensor([[math.inf]]))
    assert statistics.gradient == 2.0
    (statistics,) = watched(layer, torch.tensor([[math.nan]]))
    assert statistics.gradient is None


def test_the_squares_of_huge_gradients_do_not_overflow() -> None:
    (statistics,) = watched(nn.Sequential(dense([[1.0, 1.0]], [0.0])), torch.full((1, 2), 1e30))
    assert statistics.gradient == pytest.approx(math.sqrt(2) * 1e30, rel=1e-3)


def test_a_unit_is_dead_if_it_is_zero_in_all_steps() -> None:
    layer = dense([[1.0], [-1.0], [1.0], [1.0]], [0.0, 0.0, -10.0, -3.0])
    network = nn.Sequential(layer, nn.ReLU())
    assert watched(network, torch.tensor([[1.0], [2.0]]))[0].dead == 0.75
    assert watched(network, torch.tensor([[1.0], [2.0]]), torch.tensor([[-1.0], [-2.0]]))[0].dead == 0.5
    assert watched(network, torch.tensor([[1.0], [4.0]]), torch.tensor([[-1.0], [-2.0]]))[0].dead == 0.25


def test_a_filter_is_dead_if_it_is_zero_at_all_positions() -> None:
    layer = nn.Conv2d(1, 2, 1)
    layer.weight.data, layer.bias.data = torch.ones(2, 1, 1, 1), torch.tensor([-0.5, -2.0])
    picture = torch.zeros(3, 1, 4, 4)
    picture[1, 0, 2, 3] = 1
    (statistics,) = watched(nn.Sequential(layer, nn.ReLU(inplace=True)), picture)
    assert (statistics.dead, statistics.saturated) == (0.5, None)


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.Tanh()])
def test_a_unit_is_saturated_if_almost_all_its_outputs_are_near_a_limit(activation: nn.Module) -> None:
    """Sigmoid is 0.05 and 0.95 at ∓2.944; tanh, which is 2 sigmoid(2 x) − 1, reaches ∓0.9 at half of that."""
    edge = 2.9444 if isinstance(activation, nn.Sigmoid) else 1.4722
    layer = dense([[1.0]] * 4, [0.0] * 4)
    layer.weight.data = torch.tensor([[1.001 * edge], [0.999 * edge], [-1.001 * edge], [0.0]])
    network = nn.Sequential(layer, activation)
    signs = torch.ones(100, 1)
    signs[::2] = -1
    assert watched(network, signs)[0] == LayerStatistics("0", *_norms(network, signs), 0.5, None)
    signs[:6] = 0  # six of a hundred shapes are in the middle
    assert watched(network, signs)[0].saturated == 0
    signs[4:6] = 1
    assert watched(network, signs)[0].saturated == 0.5


def _norms(network: nn.Module, batch: Tensor) -> tuple[float, float]:
    """Norms of gradient and weights of the first layer, in four digits."""
    network.zero_grad()
    network(batch).sum().backward()
    weight = next(network.parameters())
    assert weight.grad is not None
    return float(f"{weight.grad.norm():.4g}"), float(f"{weight.norm():.4g}")


def test_layers_are_convolutions_and_connected_layers_that_are_not_frozen() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Sequential(LocallyConnected2d(2, 2, 3, size=(4, 4)), nn.Tanh()),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.Sigmoid(),
        nn.Linear(3, 1),
    )
    picture = torch.randn(5, 1, 6, 6)
    kinds = [(s.layer, s.dead is None, s.saturated is None) for s in watched(network, picture)]
    assert kinds == [("0", False, True), ("3.0", True, False), ("5", True, False), ("7", True, True)]
    network[0].requires_grad_(False)
    assert [each.layer for each in watched(network, picture)] == ["3.0", "5", "7"]


class Shared(nn.Module):
    """Two layers with one activation module, which is applied to the second layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = nn.ReLU()
        self.second = dense([[-1.0], [-1.0]], [-1.0, -1.0])
        self.first = dense([[1.0]], [0.0])

    def forward(self, x: Tensor) -> Tensor:
        shown: Tensor = self.activation(self.activation(self.second(self.activation(self.first(x)))) + 1)
        return shown


def test_an_activation_belongs_to_the_layer_that_was_computed_before_it() -> None:
    statistics = {each.layer: each.dead for each in watched(Shared(), torch.ones(2, 1))}
    assert statistics == {"first": 0.0, "second": 1.0}


def test_nothing_stays_on_the_network_and_nothing_random_is_drawn() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    other, batch = copy.deepcopy(network), torch.randn(6, 3)
    torch.manual_seed(1)
    watched(network, batch)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    other(batch).sum().backward()
    assert torch.equal(torch.get_rng_state(), state)
    for mine, plain in zip(network.parameters(), other.parameters(), strict=True):
        assert mine.grad is not None
        assert plain.grad is not None
        assert torch.equal(mine.grad, plain.grad)
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_are_removed_after_an_error() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with pytest.raises(RuntimeError), LayerMonitor(network).watch():
        network(torch.zeros(1, 2))
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("steps", "sampled"), [(1, {0}), (2, {0, 1}), (3, {0, 1, 2}), (5, {0, 2, 4}), (101, {0, 50, 100})]
)
def test_first_middle_and_last_step_are_sampled(steps: int, sampled: set[int]) -> None:
    assert sampled_steps(steps) == sampled


@given(st.integers(1, 10**6))
def test_sampled_steps_exist_and_are_few(steps: int) -> None:
    sampled = sampled_steps(steps)
    assert {0, steps - 1} <= sampled <= {*range(steps)}
    assert len(sampled) <= 3
