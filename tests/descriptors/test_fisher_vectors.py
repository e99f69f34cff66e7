"""Fisher vectors: scikit-image and numerical gradients as oracles, pooling of views, sizes, and the vocabulary."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import skimage.feature
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save
from sklearn.mixture import GaussianMixture

from shapecnn.descriptors import describe, descriptor_size
from shapecnn.descriptors.dense_sift import dense_sift
from shapecnn.descriptors.fisher_vectors import Vocabulary, encode, fisher_vector, length, vocabulary
from shapecnn.errors import UsageError
from shapecnn.meshes.mesh import normalize
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.sources.shapes import make_shape
from shapecnn.views import render_views

SCRIPT = Path(__file__).parents[2] / "scripts" / "vocabulary.py"


def draw(label: str, seed: int, size: int = 224) -> NDArray[np.uint8]:
    return render_views(normalize(make_shape(label, seed)), ViewSettings(size=size))


@pytest.fixture(scope="module")
def views() -> NDArray[np.uint8]:
    return draw("chair", 1000)


@pytest.fixture(scope="module")
def vector(views: NDArray[np.uint8]) -> NDArray[np.float32]:
    return fisher_vector(views)


def mixture(words: Vocabulary) -> GaussianMixture:
    """The Gaussians of a vocabulary as an object of scikit-learn."""
    fitted = GaussianMixture(len(words.weights), covariance_type="diag")
    fitted.weights_, fitted.means_ = words.weights.astype(np.float64), words.means.astype(np.float64)
    fitted.covariances_ = words.variances.astype(np.float64)
    fitted.precisions_cholesky_ = 1 / np.sqrt(fitted.covariances_)
    return fitted


def project(features: NDArray[np.float32], words: Vocabulary) -> NDArray[np.float64]:
    return (features.astype(np.float64) - words.mean) @ words.axes.astype(np.float64)


def test_the_values_are_those_of_scikit_image(views: NDArray[np.uint8]) -> None:
    """But for the gradients by the weights, which it has too, and the sign of those by the deviations."""
    words = vocabulary()
    features = dense_sift(views[2])
    expected = skimage.feature.fisher_vector(project(features, words), mixture(words))[len(words.weights) :]
    means, deviations = np.split(encode(features, words), 2)
    np.testing.assert_allclose(means, expected[: len(means)], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(deviations, -expected[len(means) :], rtol=1e-8, atol=1e-10)


def test_the_values_are_gradients_of_the_likelihood(views: NDArray[np.uint8]) -> None:
    """By differences of scikit-learn's mean log-likelihood, divided by the square root of the Fisher information."""
    words, step = vocabulary(), 1e-5
    features = dense_sift(views[0])[::20]
    points = project(features, words)
    means, deviations = (part.reshape(words.means.shape) for part in np.split(encode(features, words), 2))
    for k, p in np.random.default_rng(0).integers(0, words.means.shape, (8, 2)):
        weight, deviation = float(words.weights[k]), float(np.sqrt(words.variances[k, p]))
        by_mean, by_deviation = [], []
        for change in (-step * deviation, step * deviation):
            changed = mixture(words)
            changed.means_[k, p] += change
            by_mean.append(changed.score(points))
            changed = mixture(words)
            changed.covariances_[k, p] = (deviation + change) ** 2
            changed.precisions_cholesky_ = 1 / np.sqrt(changed.covariances_)
            by_deviation.append(changed.score(points))
        assert means[k, p] == pytest.approx(np.diff(by_mean)[0] / (2 * step * weight**0.5), rel=1e-4, abs=1e-6)
        assert deviations[k, p] == pytest.approx(
            np.diff(by_deviation)[0] / (2 * step * (2 * weight) ** 0.5), rel=1e-4, abs=1e-6
        )


def test_the_vectors_of_views_are_averaged_and_normalized(
    views: NDArray[np.uint8], vector: NDArray[np.float32]
) -> None:
    mean = np.mean([encode(dense_sift(view), vocabulary()) for view in views], axis=0)
    roots = np.sign(mean) * np.abs(mean) ** 0.5
    np.testing.assert_allclose(vector, roots / np.linalg.norm(roots), atol=1e-7)
    assert (vector.shape, vector.dtype) == ((length(),), np.float32)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_order_repetition_and_white_views_do_not_matter(views: NDArray[np.uint8], vector: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(fisher_vector(views[::-1]), vector, atol=1e-6)
    np.testing.assert_allclose(fisher_vector(np.concatenate([views, views])), vector, atol=1e-6)
    np.testing.assert_allclose(fisher_vector(np.concatenate([views, np.full_like(views, 255)])), vector, atol=1e-6)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_views_of_one_grey_give_zeros(grey: int) -> None:
    assert fisher_vector(np.full((12, 224, 224), grey, np.uint8)).tolist() == [0] * length()
    assert fisher_vector(np.empty((0, 224, 224), np.uint8)).tolist() == [0] * length()


@pytest.mark.parametrize(("size", "least"), [(448, 0.98), (112, 0.95), (64, 0.8)])
def test_views_of_other_sizes_give_similar_vectors(size: int, least: float, vector: NDArray[np.float32]) -> None:
    assert fisher_vector(draw("chair", 1000, size)) @ vector > least


def test_mirrored_views_give_another_vector(views: NDArray[np.uint8], vector: NDArray[np.float32]) -> None:
    mirrored = fisher_vector(views[:, :, ::-1])
    assert np.linalg.norm(mirrored) == pytest.approx(1, abs=1e-6)
    assert mirrored @ vector < 0.999


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 9))
def test_any_pictures_give_unit_length_or_zeros(count: int, size: int, seed: int) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)
    vector = fisher_vector(pictures)
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(float((pictures != pictures[:, :1, :1]).any()), abs=1e-5)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((12, 64, 32), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((12, 64, 64), np.float32),
        np.zeros((1, 12, 64, 64), np.uint8),
        np.zeros((12, 0, 0), np.uint8),
    ],
)
def test_other_arrays_are_refused_in_one_sentence(array: NDArray[np.generic]) -> None:
    with pytest.raises(UsageError, match=r"^Fisher vectors need square grey views, .* not \(.*\) of \w+\.$"):
        fisher_vector(array)  # type: ignore[arg-type]


def test_the_same_views_give_the_same_bits_in_any_thread(views: NDArray[np.uint8], vector: NDArray[np.float32]) -> None:
    with ThreadPoolExecutor(3) as threads:
        results = {result.tobytes() for result in threads.map(fisher_vector, [views] * 3)}
    assert results == {vector.tobytes()}


def test_similar_shapes_have_similar_vectors() -> None:
    """Of shapes that the vocabulary was not fitted to."""
    labels = ["airplane", "bottle", "bookshelf"]
    vectors = np.stack([fisher_vector(draw(label, 1000 + seed)) for label in labels for seed in range(3)])
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1)
    np.testing.assert_array_equal(similarities.argmax(axis=1) // 3, np.arange(9) // 3)


def test_the_registry_has_the_descriptor(views: NDArray[np.uint8], vector: NDArray[np.float32]) -> None:
    assert describe("fisher", views).tobytes() == vector.tobytes()
    assert descriptor_size("fisher") == len(vector)


def test_the_shipped_vocabulary_is_intact() -> None:
    words = vocabulary()
    P, K = words.axes.shape[1], len(words.weights)
    assert (words.mean.shape, words.axes.shape) == ((128,), (128, P))
    assert words.means.shape == words.variances.shape == (K, P)
    assert 16 <= K <= 64
    assert length() == 2 * K * P <= 8192
    np.testing.assert_allclose(words.axes.T @ words.axes, np.eye(P), atol=1e-5)
    assert words.weights.sum() == pytest.approx(1, abs=1e-5)
    assert words.weights.min() > 0.1 / K
    assert words.variances.min() > 0
    assert np.linalg.norm(words.mean) <= 1  # a mean of unit vectors
    assert words.mean.min() >= 0


def content(words: Vocabulary) -> bytes:
    data: bytes = save({field.name: getattr(words, field.name) for field in fields(words)})
    return data


def test_a_vocabulary_that_is_no_mixture_is_refused() -> None:
    words = vocabulary()
    assert Vocabulary.read(content(words)).means.tobytes() == words.means.tobytes()
    for damaged in (
        replace(words, variances=-words.variances),
        replace(words, weights=words.weights * 2),
        replace(words, weights=np.concatenate([[0, sum(words.weights[:2])], words.weights[2:]]).astype(np.float32)),
    ):
        with pytest.raises(ValueError, match="not those of a mixture"):
            Vocabulary.read(content(damaged))
    with pytest.raises(ValueError, match="the array means is"):
        Vocabulary.read(content(replace(words, means=words.means[1:])))
    with pytest.raises(ValueError, match="safetensors format"):
        Vocabulary.read(content(words)[:-1])


def test_the_script_makes_the_same_vocabulary_again(tmp_path: Path) -> None:
    """In this process, and in one whose libraries may use three threads."""
    files = [tmp_path / "one", tmp_path / "two"]
    options = ["--per-class", "1", "--per-view", "3", "--gaussians", "3", "--axes", "5", "--out"]
    runpy.run_path(str(SCRIPT))["main"]([*options, str(files[0])], standalone_mode=False)
    command = [sys.executable, "-P", str(SCRIPT), *options, str(files[1])]
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "3 Gaussians of 5 axes, fitted to 576 features" in done.stdout
    assert files[0].read_bytes() == files[1].read_bytes()
    words = Vocabulary.read(files[0].read_bytes())
    assert words.length == 2 * 3 * 5
    assert np.linalg.norm(fisher_vector(draw("mug", 5)[:2], words)) == pytest.approx(1, abs=1e-6)
