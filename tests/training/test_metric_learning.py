"""The learned projection: what it finds and what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import TrainingError
from shapecnn.evaluation.retrieval import protocols
from shapecnn.models.metric import Projection, raised
from shapecnn.training.metric_learning import learn_projection


def noisy(seed: int, *, shapes: int = 60, noise: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 40) and labels (N,) of three classes, told apart by the first two numbers alone."""
    random = np.random.default_rng(seed)
    labels = np.arange(shapes) % 3
    angles = 2 * np.pi / 3 * labels
    features = noise * random.normal(size=(shapes, 40))
    features[:, :2] = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + 0.3 * random.normal(size=(shapes, 2))
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def learned() -> Projection:
    return learn_projection(*noisy(0))


def test_two_informative_numbers_among_noise_are_found(learned: Projection) -> None:
    features, labels = noisy(1)
    before = protocols.mvcnn(features, labels.astype(str)).mAP
    after = protocols.mvcnn(np.array([learned(f) for f in features]), labels.astype(str)).mAP
    assert before is not None
    assert after is not None
    assert before < 0.6 < 0.95 < after
    nearest = np.array([learned.anchors @ learned.project(f) for f in features]).argmax(axis=1)
    assert nearest.tolist() == labels.tolist()


def test_it_is_a_projection_of_low_rank() -> None:
    features, labels = noisy(0)
    narrow = learn_projection(features, labels, size=5)
    assert (narrow.matrix.shape, narrow.centre.shape, narrow.anchors.shape) == ((5, 40), (40,), (3, 5))
    assert np.linalg.matrix_rank(narrow.matrix) == 5
    assert learn_projection(features[:9], labels[:9]).matrix.shape == (8, 40)  # nine points span no more


@given(st.integers(0, 2**32 - 1))
def test_what_is_compared_is_as_it_is_said(learned: Projection, seed: int) -> None:
    feature = np.random.default_rng(seed).normal(size=40).astype(np.float32)
    z = learned.matrix.astype(np.float64) @ (raised(feature, 0.5) - learned.centre)
    z /= np.linalg.norm(z)
    soft = np.exp(8 * learned.anchors @ z)
    soft /= np.linalg.norm(soft)
    expected = np.concatenate([soft, z / 2]) / np.sqrt(1.25)
    np.testing.assert_allclose(learned(feature), expected, atol=1e-5)
    np.testing.assert_allclose(learned(7 * feature), expected, atol=1e-5)  # the length of a feature says nothing


def test_zeros_are_compared_too(learned: Projection) -> None:
    assert np.linalg.norm(learned(np.zeros(40, np.float32))) == pytest.approx(1)


def test_the_same_seed_learns_the_same(learned: Projection) -> None:
    assert learn_projection(*noisy(0)).digest == learned.digest
    assert learn_projection(*noisy(0), seed=1).digest != learned.digest


def test_classes_of_one_point_each_can_be_learned() -> None:
    features = np.repeat(np.eye(3, 6, dtype=np.float32), 2, axis=0)
    points = np.array([learn_projection(features, np.repeat(["a", "b", "c"], 2))(f) for f in features])
    assert (points @ points.T > 0.99).tolist() == np.kron(np.eye(3), np.ones((2, 2))).astype(bool).tolist()


def test_features_that_tell_nothing_apart_are_an_error() -> None:
    with pytest.raises(TrainingError, match="The features of all shapes are the same"):
        learn_projection(np.ones((4, 8), np.float32), np.array(["a", "a", "b", "b"]))


def test_coordinates_of_a_discriminant_space_keep_their_scale() -> None:
    """Where axes are worth the same already, how the shapes scatter along them is not evened out."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    means = np.array([[1, 0], [-0.5, 0.9], [-0.5, -0.9]])
    features = (means[labels] + random.normal(size=(60, 2)) * (0.01, 0.3)).astype(np.float32)
    even, scattered = (learn_projection(features, labels, spread=spread) for spread in (True, False))
    assert (even.power, scattered.power) == (1.0, 0.5)
    ratios = [np.divide(*np.linalg.svd(one.matrix, compute_uv=False)) for one in (even, scattered)]
    assert ratios[0] < 1.2 < 1.5 < ratios[1]


@pytest.mark.parametrize("spread", [True, False])
def test_two_classes_on_one_axis(spread: bool) -> None:
    features = np.array([[1], [2], [-1], [-3]], np.float32)
    learned = learn_projection(features, np.array(["a", "a", "b", "b"]), spread=spread)
    assert learned.matrix.shape == (1, 1)
    points = np.array([learned(f) for f in features])
    assert (points @ points.T > 0.9).tolist() == np.kron(np.eye(2), np.ones((2, 2))).astype(bool).tolist()
