"""Moments of parts add up to those of all shapes; what follows from them is what numpy computes from all at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shapecnn.networks.discriminant import analyse, fit
from shapecnn.networks.moments import BLOCK, Moments, prepare


def shapes(count: int, classes: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features, some negative and some zero, and labels in any order; each class occurs."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.concatenate([np.arange(classes), random.integers(0, classes, count - classes)]))
    features = random.normal(size=(classes, size))[labels] + random.normal(size=(count, size))
    features[random.random(features.shape) < 0.1] = 0
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def collected(features: Tensor, labels: Tensor, blocks: tuple[int, ...], cuts: list[int]) -> Moments:
    """Moments of neighbouring parts, each collected alone, as by a process; each is added to those before it."""
    ends, sums = [0, *sorted(cuts), len(features)], []
    for start, stop in itertools.pairwise(ends):
        part = Moments(labels, blocks)
        part.add(slice(start, stop), features[start:stop])
        earlier, sums = iter(sums), []

        def add(tensor: Tensor, earlier: Iterator[Tensor] = earlier, sums: list[Tensor] = sums) -> Tensor:
            sums.append(tensor + next(earlier, 0))
            return sums[-1]

        part.add_up(add)
    return part


@settings(max_examples=40)
@given(
    classes=st.integers(2, 5),
    more=st.integers(1, 120),
    blocks=st.lists(st.integers(1, 30), min_size=1, max_size=3).map(tuple).filter(lambda sizes: sum(sizes) > 4),
    cuts=st.lists(st.integers(0, 120), max_size=4),
    seed=st.integers(0, 99),
)
def test_of_parts_and_at_once_the_classifier_is_the_same(
    classes: int, more: int, blocks: tuple[int, ...], cuts: list[int], seed: int
) -> None:
    """With fewer shapes than features, and with more; parts may be empty."""
    features, labels = shapes(classes + more, classes, sum(blocks), seed)
    cuts = [min(cut, len(features)) for cut in cuts]
    whole, directions = analyse(features, labels, blocks, shrinkage=0.3)
    found, own = fit(collected(features, labels, blocks, cuts), shrinkage=0.3)
    assert found.size == whole.size
    torch.testing.assert_close(found(features) @ own.T, whole(features) @ directions.T, rtol=0, atol=1e-6)
    assert found.centre.numpy() == pytest.approx(whole.centre.numpy(), abs=1e-6)
    similarities = [torch.nn.functional.normalize(space(features), dim=1) for space in (found, whole)]
    first, second = (rows @ rows.T for rows in similarities)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [30, 60, BLOCK + 500], ids=["fewer shapes than features", "more", "several blocks"])
def test_scatter_is_that_of_numpy(count: int) -> None:
    features, labels = shapes(count, 4, 40, seed=1)
    moments = collected(features, labels, (25, 15), [7, count // 2])
    x, codes = prepare(features.double(), (25, 15)).numpy(), labels.numpy()
    means = np.stack([x[codes == k].mean(axis=0) for k in range(4)])
    assert moments.means().numpy() == pytest.approx(means, abs=1e-6)
    deviations = x - means[codes]
    products = deviations.T @ deviations
    scatter = moments.scatter()
    assert scatter.trace() == pytest.approx(np.trace(products), rel=1e-5)
    right = np.random.default_rng(0).normal(size=(3, 40))
    solved = np.linalg.solve(0.01 * products + 0.2 * np.eye(40), right.T).T
    assert scatter.solve(0.01, 0.2, torch.from_numpy(right)).numpy() == pytest.approx(solved, abs=2e-5)
    _, _, axes = np.linalg.svd(deviations, full_matrices=False)
    found = scatter.strongest(40).numpy()
    assert np.abs((found[:3] * axes[:3]).sum(axis=1)) == pytest.approx(np.ones(3), abs=1e-3)


def test_of_many_shapes_the_strongest_directions_are_those_of_the_randomized_decomposition() -> None:
    """As of a space that was fitted before moments were collected part by part."""
    features, labels = shapes(900, 3, 200, seed=2)
    moments = collected(features, labels, (200,), [])
    x = prepare(features.double(), (200,))
    rows = (x - moments.means()[labels]).float()
    torch.manual_seed(0)
    expected = torch.svd_lowrank(rows, 58, niter=4)[2][:, :50]
    found = moments.scatter().strongest(50)
    torch.testing.assert_close(found.T @ found, expected @ expected.T, rtol=0, atol=1e-3)


@pytest.mark.parametrize("count", [6, 90])
def test_shapes_that_do_not_vary_have_no_direction(count: int) -> None:
    moments = collected(torch.zeros(count, 20), torch.arange(count) % 3, (20,), [count // 2])
    assert moments.scatter().strongest(5).shape[0] == 0


def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    """Of more shapes than features, no feature stays."""
    labels = torch.arange(20 * BLOCK) % 2
    moments = Moments(labels, (8,))
    for start in range(0, len(labels), 100):
        moments.add(slice(start, start + 100), torch.rand(min(100, len(labels) - start), 8))
        waiting = sum(len(rows) for _, rows in moments._waiting)
        assert waiting < BLOCK + 100
    assert {tensor.numel() for tensor in moments._tensors} == {16, 64}
