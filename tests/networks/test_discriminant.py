"""The discriminant space: that of generalized eigenvectors, with directions by naive loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from sklearn.covariance import empirical_covariance, shrunk_covariance
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.discriminant import SIZE, analyse, prepare
from shapecnn.networks.network import ShapeNetwork

BLOCKS = (5, 7)


def shapes(count: int, classes: int, size: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``count`` shapes of each class, some features negative."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), count)
    features = random.normal(size=(classes, size))[labels] + random.normal(size=(len(labels), size))
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def test_preparing_is_the_loop_over_blocks() -> None:
    features, _ = shapes(2, 2)
    prepared = prepare(features, BLOCKS)
    for row, found in zip(features.tolist(), prepared.tolist(), strict=True):
        roots = [math.copysign(math.sqrt(abs(value)), value) for value in row]
        lengths = [math.sqrt(sum(r * r for r in part)) for part in (roots[:5], roots[5:])]
        expected = [r / lengths[0] for r in roots[:5]] + [r / lengths[1] for r in roots[5:]]
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("count", [3, 40], ids=["fewer shapes than features", "more"])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("shrinkage", [0.1, 0.6, 1.0])
def test_the_space_is_that_of_generalized_eigenvectors(count: int, classes: int, shrinkage: float) -> None:
    """Up to turns and mirrors of the axes: inner products of coordinates are the same."""
    features, labels = shapes(count, classes)
    found, _ = analyse(features, labels, BLOCKS, shrinkage=shrinkage)
    x, codes = prepare(features.double(), BLOCKS).numpy(), labels.numpy()
    means = np.stack([x[codes == k].mean(axis=0) for k in range(classes)])
    within = shrunk_covariance(empirical_covariance(x - means[codes], assume_centered=True), shrinkage)
    between = means - means.mean(axis=0)
    _, axes = eigh(between.T @ between, within)
    expected = (x - means.mean(axis=0)) @ axes[:, 1 - classes :]
    coordinates = (x - found.centre.numpy()) @ found.between.numpy().T
    assert coordinates.shape == expected.shape
    largest = np.abs(expected @ expected.T).max()
    assert coordinates @ coordinates.T == pytest.approx(expected @ expected.T, abs=1e-4 * largest)


@pytest.mark.parametrize("classes", [2, 4])
def test_coordinates_are_damped_directions_and_weights_those_of_the_class_means(classes: int) -> None:
    features, labels = shapes(6, classes)
    found, directions = analyse(features, labels, BLOCKS, shrinkage=0.3)
    raw = ((prepare(features, BLOCKS) - found.centre) @ found.between.T).tolist()
    means = [
        np.mean([row for row, k in zip(raw, labels.tolist(), strict=True) if k == each], axis=0)
        for each in range(classes)
    ]
    lengths = [math.sqrt(sum(v * v for v in mean)) for mean in means]
    for direction, mean, length in zip(directions.tolist(), means, lengths, strict=True):
        assert direction[: classes - 1] == pytest.approx(mean / length, abs=1e-3)
    radius = sum(lengths) / classes / 2
    for row, coordinates in zip(raw, found(features).tolist(), strict=True):
        damped = math.sqrt(sum(v * v for v in row) + radius**2)
        assert coordinates[: classes - 1] == pytest.approx([v / damped for v in row], abs=1e-3)


def test_further_coordinates_are_the_principal_ones_within_classes_and_tell_no_class() -> None:
    random = np.random.default_rng(0)
    labels = torch.arange(150) % 3
    features = torch.from_numpy(random.normal(size=(150, 200))).float()
    features[torch.arange(150), labels] += 9
    found, directions = analyse(features, labels, (200,), shrinkage=0.5)
    assert found.size == SIZE
    assert not directions[:, 2:].any()
    rest = SIZE - 2 - 3
    x, codes = prepare(features.double(), (200,)).numpy(), labels.numpy()
    means = np.stack([x[codes == k].mean(axis=0) for k in range(3)])
    _, strengths, _ = np.linalg.svd(x - means[codes], full_matrices=False)
    kept = np.linalg.norm((x - means[codes]) @ found.within.numpy().T, axis=0)
    assert kept[:60] == pytest.approx(strengths[:60], rel=0.02)
    assert np.square(kept).sum() == pytest.approx(np.square(strengths[:rest]).sum(), rel=0.01)
    assert found.within.numpy() @ found.within.numpy().T == pytest.approx(np.eye(rest), abs=1e-4)
    lengths = torch.linalg.norm(found(features)[:, 5:], dim=1).tolist()
    assert lengths == pytest.approx([0.2] * 150, abs=1e-4)


def test_of_the_shapes_it_was_fitted_to_twins_are_nearest() -> None:
    random = np.random.default_rng(0)
    labels = torch.arange(80) % 4
    features = torch.from_numpy(random.normal(size=(80, 300))).float()
    features[torch.arange(80), labels] += 30
    twins = features + 0.05 * torch.from_numpy(random.normal(size=(80, 300))).float()
    both = torch.cat([features, twins])
    found, _ = analyse(both, labels.repeat(2), (300,), shrinkage=0.5)
    coordinates = nn.functional.normalize(found(both), dim=1)
    similarity = (coordinates @ coordinates.T).fill_diagonal_(-1)
    assert torch.equal(similarity.argmax(dim=1), (torch.arange(160) + 80) % 160)


def test_the_space_is_the_same_whatever_was_drawn_before() -> None:
    features, labels = shapes(20, 3)
    first, _ = analyse(features, labels, BLOCKS, shrinkage=0.3)
    torch.rand(7)
    second, _ = analyse(features, labels, BLOCKS, shrinkage=0.3)
    assert torch.equal(first.within, second.within)


def test_of_more_classes_than_coordinates_none_is_left_for_the_rest() -> None:
    features, labels = shapes(2, SIZE + 2, size=200)
    found, directions = analyse(features, labels, (200,), shrinkage=0.5)
    assert found.size == SIZE + 1 + SIZE + 2
    assert not len(found.within)
    assert directions.shape == (SIZE + 2, found.size)


def test_membership_is_the_square_root_of_the_softmax_of_the_cosines() -> None:
    features, labels = shapes(6, 4)
    found, directions = analyse(features, labels, BLOCKS, shrinkage=0.3)
    for row in found(features).tolist():
        cosines = [sum(a * b for a, b in zip(row[:3], mean[:3], strict=True)) for mean in directions.tolist()]
        powers = [math.exp(12 * cosine) for cosine in cosines]
        expected = [0.5 * math.sqrt(power / sum(powers)) for power in powers]
        assert row[3:7] == pytest.approx(expected, abs=1e-5)
        assert sum(value * value for value in row[3:7]) == pytest.approx(0.25, abs=1e-5)


def test_membership_finds_shapes_of_the_fitted_classes_that_lie_between_two() -> None:
    """Two shapes a little on either side of a border are more alike without membership than with it."""
    features, labels = shapes(20, 3)
    found, directions = analyse(features, labels, BLOCKS, shrinkage=0.3)
    coordinates = found(features)
    probabilities = (12 * coordinates @ directions.T).softmax(dim=1)
    first, second = (
        int(
            (probabilities[:, one] - probabilities[:, other])
            .abs()
            .where(probabilities.argmax(dim=1) == one, 9)
            .argmin()
        )
        for one, other in ((0, 1), (1, 0))
    )
    pair = coordinates[[first, second]]
    apart = nn.functional.cosine_similarity(pair[0, :2], pair[1, :2], dim=0)
    assert nn.functional.cosine_similarity(pair[0, :5], pair[1, :5], dim=0) < apart


def test_a_space_of_an_earlier_version_has_no_membership() -> None:
    features, labels = shapes(6, 3)
    found, _ = analyse(features, labels, BLOCKS, shrinkage=0.3)
    state = {name: value for name, value in found.state_dict().items() if name != "means"}
    earlier = type(found).of(state, BLOCKS)
    assert earlier.size == found.size - 3
    assert earlier.state_dict().keys() == state.keys()
    now = found(features)
    torch.testing.assert_close(earlier(features), torch.cat([now[:, :2], now[:, 5:]], dim=1))


def test_classes_that_lie_apart_are_told_apart() -> None:
    features, labels = shapes(20, 3)
    unseen, _ = shapes(20, 3, seed=1)
    for each in (features, unseen):
        each[torch.arange(60), labels] += 20
    found, directions = analyse(features, labels, BLOCKS, shrinkage=0.3)
    assert torch.equal((found(unseen) @ directions.T).argmax(dim=1), labels)


def test_shapes_without_any_scatter_give_numbers() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    features = torch.eye(12)[labels]
    found, directions = analyse(features, labels, BLOCKS, shrinkage=0.3)
    logits = found(torch.cat([features, torch.zeros(1, 12)])) @ directions.T
    assert logits.isfinite().all()
    assert torch.equal(logits[:4].argmax(dim=1), labels)


def test_classes_that_are_the_same_are_told() -> None:
    with pytest.raises(TrainingError, match="the classes cannot be separated"):
        analyse(torch.ones(6, 12), torch.arange(6) % 3, BLOCKS, shrinkage=0.3)


def test_gradients_are_finite_also_at_features_of_zero() -> None:
    features, labels = shapes(5, 3)
    found, _ = analyse(features, labels, BLOCKS, shrinkage=0.3)
    features[0] = 0
    features.requires_grad_(True)
    found(features).square().sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_a_network_takes_the_space_that_was_saved() -> None:
    def network() -> ShapeNetwork:
        torch.manual_seed(0)
        return ShapeNetwork(nn.Flatten(), [("only", nn.Linear(4, 12))], nn.Identity(), blocks=BLOCKS, classes=3).eval()

    features, labels = shapes(6, 3)
    saved = network()
    assert saved.feature_size == 12
    space, directions = analyse(features, labels, saved.blocks, shrinkage=0.3)
    before = saved.parameter_count
    saved.discriminate(space, 12 * directions)
    within = len(space.within)
    assert 0 < within <= 12
    assert saved.feature_size == 2 + 3 + within
    assert before == 4 * 12 + 12 + 12 * 3 + 3
    learned = (2 + within) * 12 + 12 + 1 + 3 * 2  # of the space, with its centre, radius and means
    assert saved.parameter_count == 4 * 12 + 12 + (2 + 3 + within) * 3 + 3 + learned
    loaded = network()
    loaded.load(saved.state_dict())
    looks = torch.rand(2, 3, 4)
    logits, coordinates = loaded(looks)
    assert torch.equal(logits, saved(looks)[0])
    raw = network()(looks)[1]
    torch.testing.assert_close(coordinates, space(raw))
    torch.testing.assert_close(logits, 12 * coordinates @ directions.T)
    with pytest.raises(RuntimeError):
        loaded.load({"parts.only.weight": torch.zeros(12, 4)})
