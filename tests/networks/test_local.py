"""The locally connected layer: a loop over windows, a convolution whose weights are copied, numerical gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from shapecnn.networks.local import LocallyConnected2d


def layer(
    channels: int, filters: int, kernel: int, stride: int = 1, size: tuple[int, int] = (7, 9)
) -> LocallyConnected2d:
    torch.manual_seed(0)
    return LocallyConnected2d(channels, filters, kernel, stride, size=size).double()


def inputs(local: LocallyConnected2d, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, local.in_channels, *local.size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 3), (7, 1)])
def test_each_window_has_filters_of_its_own(kernel: int, stride: int) -> None:
    local = layer(2, 3, kernel, stride)
    x, rows, columns = inputs(local), (7 - kernel) // stride + 1, (9 - kernel) // stride + 1
    expected = torch.empty(2, 3, rows, columns, dtype=torch.float64)
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            for f in range(3):
                expected[:, f, i, j] = (window * local.weight[i, j, f]).sum(dim=(1, 2, 3)) + local.bias[i, j, f]
    torch.testing.assert_close(local(x), expected)


@given(
    channels=st.integers(1, 3),
    filters=st.integers(1, 4),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
)
@settings(max_examples=50)
def test_with_the_same_weights_everywhere_it_is_the_convolution(
    channels: int, filters: int, kernel: int, stride: int, height: int, width: int
) -> None:
    convolution = nn.Conv2d(channels, filters, kernel, stride).double()
    local = layer(channels, filters, kernel, stride, (height, width))
    with torch.no_grad():
        local.weight.copy_(convolution.weight.expand_as(local.weight))
        local.bias.copy_(convolution.bias.expand_as(local.bias) if convolution.bias is not None else torch.zeros(()))
    x = inputs(local)
    torch.testing.assert_close(local(x), convolution(x))


def test_the_gradient_is_the_numerical_one() -> None:
    local = layer(2, 3, 3, 2, size=(6, 5))
    x = inputs(local).requires_grad_()
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in (local.weight, local.bias))

    def responses(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        values: Tensor = functional_call(local, {"weight": weight, "bias": bias}, (x,))
        return values

    assert torch.autograd.gradcheck(responses, (x, weight, bias))


def test_the_weights_of_a_window_change_only_its_response() -> None:
    local = layer(1, 2, 3)
    x = inputs(local)
    before = local(x)
    with torch.no_grad():
        local.weight[2, 4] += 1
    assert torch.nonzero((local(x) != before).any(dim=0).any(dim=0)).tolist() == [[2, 4]]


@pytest.mark.parametrize(("channels", "filters", "kernel", "side"), [(1, 6, 5, 32), (6, 16, 5, 14), (3, 4, 3, 9)])
def test_sharing_divides_the_parameters_by_the_number_of_windows(
    channels: int, filters: int, kernel: int, side: int
) -> None:
    own, shared = (
        sum(parameter.numel() for parameter in module.parameters())
        for module in (
            LocallyConnected2d(channels, filters, kernel, size=(side, side)),
            nn.Conv2d(channels, filters, kernel),
        )
    )
    assert shared == filters * (channels * kernel**2 + 1)
    assert own == (side - kernel + 1) ** 2 * shared


def test_untrained_weights_are_drawn_like_those_of_a_convolution() -> None:
    bound = 1 / (2 * 9) ** 0.5
    local = layer(2, 8, 3, size=(12, 12))
    for values in (local.weight, local.bias):
        assert 0.98 * bound < float(values.detach().abs().max()) <= bound


@pytest.mark.parametrize("size", [(3, 9), (9, 3)])
def test_a_picture_smaller_than_a_window_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"a window of 5 pixels a side does not fit into {size[0]} × {size[1]}"):
        LocallyConnected2d(1, 1, 5, size=size)


def test_another_picture_than_the_layer_was_built_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"built for \(7, 9\) pixels, not for \(9, 7\)"):
        layer(1, 1, 3)(torch.zeros(1, 1, 9, 7, dtype=torch.float64))


def test_memory_layout_does_not_matter() -> None:
    local = layer(3, 2, 3)
    x = inputs(local)
    assert torch.equal(local(x.to(memory_format=torch.channels_last)), local(x))
    assert "3, 2, kernel_size=3, stride=1, size=(7, 9)" in repr(local)
