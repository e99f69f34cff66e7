"""View pooling against loops over the views."""

from __future__ import annotations

import pytest
import torch

from shapecnn.networks.pooling import Pooling, pool_views


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("shape", [(2, 12, 5), (1, 3, 4, 6, 6), (2, 1, 3, 2, 2, 2)])
def test_pooling_is_element_by_element(pooling: Pooling, shape: tuple[int, ...]) -> None:
    activations = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    pooled = pool_views(activations, pooling)
    views = list(activations.unbind(1))
    expected = views[0]
    for view in views[1:]:
        expected = torch.maximum(expected, view) if pooling == "max" else expected + view
    expected = expected if pooling == "max" else expected / len(views)
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_order_of_the_views_does_not_matter(pooling: Pooling) -> None:
    activations = torch.randn(2, 5, 7)
    torch.testing.assert_close(pool_views(activations.flip(1), pooling), pool_views(activations, pooling))
