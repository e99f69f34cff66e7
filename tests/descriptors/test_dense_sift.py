"""Dense SIFT: known gradients, which points are left out, scales and sizes, and the side effects of OpenCV."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.descriptors.dense_sift import dense_sift

WHITE = np.full((112, 112), 255, np.uint8)


@pytest.fixture
def threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def square(top: int, left: int) -> NDArray[np.uint8]:
    picture = WHITE.copy()
    picture[top : top + 20, left : left + 20] = 100
    return picture


def noise(size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


def points_with_contrast(picture: NDArray[np.uint8]) -> int:
    """How many of the points 4 pixels apart have pixels of different grey at most 8 pixels away, by a plain loop."""
    count = 0
    for y in range(1, len(picture), 4):
        for x in range(1, len(picture), 4):
            window = picture[max(y - 8, 0) : y + 9, max(x - 8, 0) : x + 9]
            count += window.min() < window.max()
    return count


def directions(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of each of the 8 directions in all features."""
    squares = dense_sift(picture).astype(np.float64).reshape(-1, 16, 8) ** 2
    return squares.sum(axis=(0, 1)) / squares.sum()


@pytest.mark.parametrize(("turns", "direction"), [(0, 0), (1, 2), (2, 4), (3, 6)])
def test_a_ramp_has_one_direction(turns: int, direction: int) -> None:
    """It rises to the right, to the top, to the left, to the bottom."""
    ramp = np.tile(np.arange(0, 224, 2, dtype=np.uint8), (112, 1))
    assert directions(np.rot90(ramp, turns))[direction] > 0.95


def test_a_feature_has_its_cells_row_by_row() -> None:
    """The only edge is on the left of the feature whose point is right of it, and so on."""
    picture = WHITE.copy()
    picture[:, :50] = 0
    squares = dense_sift(picture)[: points_with_contrast(picture)].reshape(28, -1, 4, 4, 8)[14] ** 2
    columns = squares.sum(axis=(1, 3)).argmax(axis=1)
    assert columns.tolist() == sorted(columns, reverse=True)
    assert set(columns) == {0, 1, 2, 3}


def test_only_points_with_contrast_have_features() -> None:
    assert dense_sift(WHITE).shape == (0, 128)
    assert dense_sift(np.zeros((30, 30), np.uint8)).shape == (0, 128)
    picture = square(40, 40)
    count = points_with_contrast(picture)
    assert 0 < count < 28 * 28 / 4
    moved = dense_sift(square(44, 48))  # by whole steps of the grid
    np.testing.assert_allclose(moved[:count], dense_sift(picture)[:count], atol=0.05)  # SIFT rounds to 1/512
    assert np.abs(dense_sift(square(42, 42))[:20] - dense_sift(picture)[:20]).max() > 0.1


def test_each_scale_has_the_features_of_a_resized_picture() -> None:
    """The second half of a √2 times smaller picture's features begins where the first scale of the larger ends."""
    picture = noise(112)
    counts = [28**2, 20**2, 14**2]
    features = dense_sift(picture)
    assert len(features) == sum(counts)
    large = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(dense_sift(large)[: counts[0]], features[: counts[0]])
    small = cv2.resize(picture, (56, 56), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(dense_sift(small)[-counts[2] :], features[-counts[2] :])


@given(st.integers(1, 300), st.integers(0, 5))
def test_features_have_unit_length_for_pictures_of_all_sizes(size: int, seed: int) -> None:
    features = dense_sift(noise(size, seed))
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    assert (features >= 0).all()
    assert len(features) > 0 or size == 1


@pytest.mark.usefixtures("threads")
def test_the_bits_do_not_depend_on_the_threads_of_opencv() -> None:
    results = []
    for threads in (1, 4):
        cv2.setNumThreads(threads)
        results.append(dense_sift(noise(224)).tobytes())
    assert results[0] == results[1]


def test_memory_layout_does_not_matter() -> None:
    mirrored = noise(224)[:, ::-1]
    np.testing.assert_array_equal(dense_sift(mirrored), dense_sift(mirrored.copy()))


@pytest.mark.parametrize("path", [None, "", "/lib/a:/lib/b"])
def test_opencv_leaves_the_environment_as_it_was(path: str | None) -> None:
    """By itself, it adds an empty entry to the search path of libraries: the current folder."""
    code = (
        "import os; before = dict(os.environ); import shapecnn.descriptors.dense_sift, cv2;"
        "assert os.environ == before, os.environ; print(cv2.getNumThreads())"
    )
    environment = {**os.environ} if path is None else {**os.environ, "LD_LIBRARY_PATH": path}
    if path is None:
        environment.pop("LD_LIBRARY_PATH", None)
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_threads_that_another_program_chose_for_opencv_stay() -> None:
    code = "import cv2; cv2.setNumThreads(3); import shapecnn.descriptors.dense_sift; print(cv2.getNumThreads())"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("3\n", "")
