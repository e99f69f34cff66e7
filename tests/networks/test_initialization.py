"""Initial weights: bounds and variance of each distribution, and signals that keep their size through many layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from shapecnn.networks.initialization import Initialization, activation_layer, glorot_bound, initialize
from shapecnn.networks.local import LocallyConnected2d
from shapecnn.settings.networks import Activation

GAINS: dict[Activation, float] = {"tanh": 1, "sigmoid": 4, "relu": math.sqrt(2)}
LAYERS: dict[
    str, tuple[nn.Conv2d | nn.Conv3d | nn.Linear | LocallyConnected2d, int, int]
] = {  # with fan-in and fan-out
    "linear": (nn.Linear(60, 90), 60, 90),
    "conv2d": (nn.Conv2d(8, 12, 5), 8 * 25, 12 * 25),
    "conv3d": (nn.Conv3d(4, 6, 5), 4 * 125, 6 * 125),
    "local": (LocallyConnected2d(8, 12, 5, size=(7, 8)), 8 * 25, 12 * 25),
}


def deep(activation: Activation, initialization: Initialization, depth: int = 10, width: int = 512) -> nn.Sequential:
    """Fully connected layers of equal width, as they are at the start of a training."""
    torch.manual_seed(0)
    layers = [(nn.Linear(width, width), activation_layer(activation)) for _ in range(depth)]
    network = nn.Sequential(*(layer for pair in layers for layer in pair))
    initialize(network, activation, initialization)
    return network


def size(values: Tensor) -> float:
    """Root of the mean square."""
    return float(values.square().mean().sqrt())


@pytest.mark.parametrize("activation", GAINS)
@pytest.mark.parametrize("name", LAYERS)
def test_glorot_weights_have_the_bound_and_the_variance_of_their_activation(name: str, activation: Activation) -> None:
    torch.manual_seed(0)
    layer, fan_in, fan_out = LAYERS[name]
    initialize(layer, activation)
    bound = GAINS[activation] * math.sqrt(6 / (fan_in + fan_out))
    assert glorot_bound(fan_in, fan_out, activation) == pytest.approx(bound)
    weights = layer.weight.detach()
    assert 0.99 * bound < float(weights.abs().max()) <= bound
    assert float(weights.var()) == pytest.approx(bound**2 / 3, rel=0.05)  # of a uniform distribution
    assert abs(float(weights.mean())) < 4 * bound / math.sqrt(3 * weights.numel())
    assert layer.bias is not None
    assert not layer.bias.count_nonzero()


@pytest.mark.parametrize("gain", ["tanh", "relu"])
def test_the_bounds_of_torch_differ_by_its_larger_gain_for_tanh_only(gain: Activation) -> None:
    theirs = torch.empty(300, 400)
    nn.init.xavier_uniform_(theirs, 1 if gain == "tanh" else nn.init.calculate_gain("relu"))
    assert float(theirs.abs().max()) == pytest.approx(glorot_bound(400, 300, gain), rel=1e-3)


@pytest.mark.parametrize("activation", GAINS)
@pytest.mark.parametrize("name", LAYERS)
def test_normal_weights_have_mean_0_and_deviation_1_percent_whatever_the_activation(
    name: str, activation: Activation
) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name][0]
    initialize(layer, activation, "normal")
    weights = layer.weight.detach()
    assert float(weights.std()) == pytest.approx(0.01, rel=0.05)
    assert abs(float(weights.mean())) < 0.04 / math.sqrt(weights.numel())
    assert layer.bias is not None
    assert not layer.bias.count_nonzero()


def test_only_weights_and_biases_of_layers_with_inputs_are_changed() -> None:
    convolution, norm, full = nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Linear(8, 2)
    nn.init.zeros_(convolution.weight)
    nn.init.constant_(norm.bias, 5)
    initialize(nn.Sequential(convolution, norm, nn.Flatten(), full), "relu")
    assert torch.equal(norm.weight, torch.ones(2))
    assert torch.equal(norm.bias, torch.full((2,), 5.0))
    assert convolution.weight.count_nonzero() == 18
    assert not full.bias.count_nonzero()


def test_the_generator_of_torch_decides() -> None:
    def drawn(seed: int) -> Tensor:
        layer = nn.Linear(5, 5)
        torch.manual_seed(seed)
        initialize(layer, "tanh")
        return layer.weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_relu_layers_keep_the_size_of_signals_and_gradients() -> None:
    x = torch.randn(256, 512, requires_grad=True)
    y = deep("relu", "glorot")(x)
    assert 0.5 < size(y.detach()) / size(x.detach()) < 2
    (gradient,) = torch.autograd.grad(y, x, torch.randn_like(y))
    assert 0.5 < size(gradient) < 2


def test_tanh_layers_lose_little_of_small_signals_and_normal_weights_lose_all() -> None:
    x = 0.1 * torch.randn(256, 512)
    with torch.inference_mode():
        kept, lost = (size(deep("tanh", how)(x)) / size(x) for how in ("glorot", "normal"))
    assert 0.5 < kept <= 1.05
    assert lost < 1e-5  # each layer multiplies signals by 0.01 · √512 = 0.23


def test_the_gain_of_sigmoid_makes_up_for_its_slope() -> None:
    """The change of the output by a small change of the input, after 10 layers at the middle of the function."""
    with torch.inference_mode():
        base, change = torch.zeros(256, 512), 0.1 * torch.randn(256, 512)
        network = deep("sigmoid", "glorot", depth=1)
        kept = size(network(base + change) - network(base)) / size(change)
    assert kept == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("activation", GAINS)
def test_activation_functions_are_those_of_the_formulas(activation: Activation) -> None:
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    formulas: dict[str, Callable[[float], float]] = {
        "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
        "tanh": lambda v: (math.exp(v) - math.exp(-v)) / (math.exp(v) + math.exp(-v)),
        "relu": lambda v: max(v, 0.0),
    }
    expected = torch.tensor([formulas[activation](float(v)) for v in x], dtype=torch.float64)
    torch.testing.assert_close(activation_layer(activation)(x), expected)
