"""Input of the small networks: darkness, and area averaging against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecnn.errors import UsageError
from shapecnn.networks.pixels import AreaScaling, Darkness, require_side


def test_white_is_0_and_black_is_1() -> None:
    pictures = torch.tensor([[[255, 204], [51, 0]]], dtype=torch.uint8)
    torch.testing.assert_close(Darkness()(pictures), torch.tensor([[[[0, 0.2], [0.8, 1]]]]))
    assert Darkness().bfloat16()(pictures).dtype == torch.bfloat16


@given(st.data())
@settings(max_examples=30)
def test_a_pixel_is_the_mean_of_those_that_it_covers(data: st.DataObject) -> None:
    old = data.draw(st.integers(1, 12))
    new, axes = data.draw(st.integers(1, old)), data.draw(st.sampled_from([2, 3]))
    x = torch.rand(2, 1, *[old] * axes, dtype=torch.float64)
    expected = torch.empty(2, 1, *[new] * axes, dtype=torch.float64)
    for place in torch.cartesian_prod(*[torch.arange(new)] * axes).tolist():
        covered = [slice(math.floor(at * old / new), math.ceil((at + 1) * old / new)) for at in place]
        expected[(slice(None), slice(None), *place)] = (
            x[(slice(None), slice(None), *covered)].flatten(1).mean(dim=1)[:, None]
        )
    torch.testing.assert_close(AreaScaling(new)(x), expected)


@pytest.mark.parametrize("axes", [2, 3])
def test_scaling_to_a_divisor_keeps_the_mean(axes: int) -> None:
    x = torch.rand(3, 1, *[12] * axes, dtype=torch.float64)
    torch.testing.assert_close(AreaScaling(4)(x).flatten(1).mean(dim=1), x.flatten(1).mean(dim=1))


@pytest.mark.parametrize(("unit", "advice"), [("pixels", "render with a larger --size"), ("cells", "voxelize with")])
def test_input_is_not_scaled_up(unit: str, advice: str) -> None:
    require_side(30, 30, unit)
    with pytest.raises(
        UsageError, match=rf"down to 31 {unit} a side, but the input has 30: use --set network\.side=30, or {advice}"
    ):
        require_side(31, 30, unit)
