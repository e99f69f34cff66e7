"""Networks on pixels and cells: products of matrices, parameters by formula, and scores averaged over views."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.perceptron import linear, perceptron
from shapecnn.networks.pooling import Pooling
from shapecnn.settings.networks import Activation, InputKind

AXES: dict[InputKind, int] = {"views": 2, "voxels": 3}


def inputs(kind: InputKind, side: int, count: int = 4, shapes: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (shapes, count, *[side] * AXES[kind])
    return torch.randint(0, 256 if kind == "views" else 2, size, dtype=torch.uint8, generator=generator)


def vectors(kind: InputKind, seen: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = seen.flatten(2).numpy().astype(np.float64)
    return (255 - values) / 255 if kind == "views" else values


def undecided_no_more(network: ShapeNetwork) -> ShapeNetwork:
    assert network.classifier is not None
    torch.manual_seed(3)
    nn.init.normal_(network.classifier.weight)
    nn.init.normal_(network.classifier.bias)
    return network.eval()


@pytest.mark.parametrize("kind", AXES)
def test_linear_is_a_product_with_the_mean_picture(kind: InputKind) -> None:
    network, seen = undecided_no_more(linear(kind, 6, 5)), inputs(kind, 6)
    assert network.classifier is not None
    logits, features = network(seen)
    mean = vectors(kind, seen).mean(axis=1)
    weight, bias = (parameter.detach().numpy() for parameter in network.classifier.parameters())
    np.testing.assert_allclose(features.detach().numpy(), mean, atol=1e-6)
    np.testing.assert_allclose(logits.detach().numpy(), mean @ weight.T + bias, atol=1e-4)


@pytest.mark.parametrize("kind", AXES)
def test_the_logits_of_a_shape_are_the_mean_over_its_views(kind: InputKind) -> None:
    network, seen = undecided_no_more(linear(kind, 6, 5, side=4)), inputs(kind, 6, 7)
    each = torch.stack([network(seen[:, i : i + 1])[0] for i in range(7)])
    torch.testing.assert_close(network(seen)[0], each.mean(dim=0))
    assert not torch.allclose(each[0], each[1])


@pytest.mark.parametrize(
    ("kind", "side", "size"), [("views", None, 24**2), ("views", 8, 64), ("voxels", None, 24**3), ("voxels", 8, 512)]
)
def test_parameters_are_those_of_the_formulas(kind: InputKind, side: int | None, size: int) -> None:
    network = linear(kind, 24, 10, side=side)
    assert (network.feature_size, network.parameter_count) == (size, 10 * size + 10)
    for hidden in ((16,), (16, 9), (7, 8, 9)):
        widths = [size, *hidden, 10]
        expected = sum(a * b + b for a, b in pairwise(widths))
        mlp = perceptron(kind, 24, 10, side=side, hidden=hidden)
        assert (mlp.feature_size, mlp.parameter_count) == (hidden[-1], expected)
    assert perceptron(kind, 24, 0, side=side, hidden=(16,)).parameter_count == 16 * size + 16


@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_a_perceptron_is_products_and_activations(kind: InputKind, pooling: Pooling, activation: Activation) -> None:
    torch.manual_seed(0)
    network = perceptron(kind, 5, 3, hidden=(8, 6), activation=activation, pooling=pooling).eval()
    seen = inputs(kind, 5)
    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": np.tanh,
        "relu": lambda x: np.maximum(x, 0),
    }
    x = vectors(kind, seen)
    for name in ("hidden1", "hidden2"):
        weight, bias = (parameter.detach().numpy().astype(np.float64) for parameter in network.parts[name].parameters())
        x = functions[activation](x @ weight.T + bias)
    pooled = x.max(axis=1) if pooling == "max" else x.mean(axis=1)
    np.testing.assert_allclose(network(seen)[1].detach().numpy(), pooled, atol=1e-5)


def test_dropout_follows_each_hidden_layer_once() -> None:
    network = perceptron("views", 8, 3, hidden=(5, 6, 7), dropout=0.4)
    rates = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
    assert rates == {"parts.hidden1.2": 0.4, "parts.hidden2.2": 0.4, "dropout": 0.4}
    plain = perceptron("views", 8, 3, hidden=(5, 6, 7))
    assert [module.p for module in plain.modules() if isinstance(module, nn.Dropout)] == [0.0]


def test_scaling_has_a_part_whose_output_a_training_can_store() -> None:
    network, seen = linear("views", 8, 3, side=4), inputs("views", 8)
    stored = network.stem(seen, stop=1)
    assert stored.shape == (3, 4, 16)
    blocks = torch.from_numpy(vectors("views", seen)).reshape(3, 4, 4, 2, 4, 2).mean(dim=(3, 5)).flatten(2)
    torch.testing.assert_close(stored.double(), blocks, atol=1e-6, rtol=0)
    assert torch.equal(network(stored, 1)[0], network(seen)[0])


@pytest.mark.parametrize("build", [linear, perceptron])
@pytest.mark.parametrize(("kind", "unit"), [("views", "pixels"), ("voxels", "cells")])
def test_a_side_larger_than_the_input_is_refused(build: type[ShapeNetwork], kind: InputKind, unit: str) -> None:
    with pytest.raises(UsageError, match=rf"down to 25 {unit} a side, but the input has 24: use"):
        build(kind, 24, 3, side=25)  # type: ignore[call-arg, arg-type]
