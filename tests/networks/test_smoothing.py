"""Gaussian pooling: a loop over blocks, numerical gradients, what it keeps, and what max pooling does not do."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from shapecnn.networks.smoothing import GaussianPool2d

SIDES = st.integers(2, 11)


def maps(height: int, width: int, channels: int = 3, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, height, width, generator=generator, dtype=torch.float64)


def pooled(x: Tensor) -> Tensor:
    values: Tensor = GaussianPool2d().double()(x)
    return values


def by_loop(x: Tensor) -> Tensor:
    """Mean of the pixels within 1.5 pixels of the centre of a block, with weights 3 · 3, 3 · 1 and 1 · 1."""
    height, width = x.shape[2:]
    out = torch.empty(*x.shape[:2], height // 2, width // 2, dtype=x.dtype)
    for i in range(height // 2):
        for j in range(width // 2):
            total, weights = torch.zeros(x.shape[:2], dtype=x.dtype), 0
            for y in range(max(2 * i - 1, 0), min(2 * i + 3, height)):
                for z in range(max(2 * j - 1, 0), min(2 * j + 3, width)):
                    weight = (3 if y in (2 * i, 2 * i + 1) else 1) * (3 if z in (2 * j, 2 * j + 1) else 1)
                    total, weights = total + weight * x[:, :, y, z], weights + weight
            out[:, :, i, j] = total / weights
    return out


@given(SIDES, SIDES)
def test_each_block_becomes_the_weighted_mean_of_its_neighbourhood(height: int, width: int) -> None:
    x = maps(height, width)
    torch.testing.assert_close(pooled(x), by_loop(x))


@given(SIDES, SIDES)
def test_maps_get_the_size_that_max_pooling_gives(height: int, width: int) -> None:
    x = maps(height, width)
    assert pooled(x).shape == nn.MaxPool2d(2)(x).shape


@given(SIDES, SIDES, st.floats(-100, 100))
def test_a_constant_map_stays_constant(height: int, width: int, value: float) -> None:
    x = torch.full((1, 2, height, width), value, dtype=torch.float64)
    torch.testing.assert_close(pooled(x), x[:, :, : height // 2, : width // 2])


def test_the_filter_has_the_values_of_a_gaussian() -> None:
    offsets = np.arange(4) - 1.5
    squares = offsets[:, None] ** 2 + offsets**2
    gaussian = np.exp(-squares / (2 / np.log(3)))
    np.testing.assert_allclose(GaussianPool2d().filter[0, 0].numpy(), gaussian / gaussian.sum(), rtol=1e-6)


def test_a_slope_is_pooled_without_a_shift() -> None:
    """Inside, a block gets the value at its own centre, as with mean pooling."""
    x = torch.arange(12, dtype=torch.float64).expand(1, 1, 12, 12)
    torch.testing.assert_close(pooled(x)[..., 1:-1], nn.AvgPool2d(2)(x)[..., 1:-1])


def test_a_fine_pattern_is_averaged_where_max_pooling_keeps_its_maximum() -> None:
    x = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(6).expand(1, 1, 12, 12)
    assert not torch.count_nonzero(pooled(x)[..., 1:-1])
    assert (nn.MaxPool2d(2)(x) == 1).all()


def test_the_gradient_is_the_numerical_one() -> None:
    assert torch.autograd.gradcheck(pooled, maps(5, 6).requires_grad_())


def test_nothing_is_learned_or_stored() -> None:
    assert not list(GaussianPool2d().parameters())
    assert not GaussianPool2d().state_dict()
