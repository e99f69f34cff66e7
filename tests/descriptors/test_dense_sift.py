"""Dense SIFT: known gradients, which points are left out, scales and sizes, and the side effects of OpenCV."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.descriptors.dense_sift import dense_sift

COUNTS = [28**2, 20**2, 14**2]  # grid points at each scale
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


def points_near_edges(picture: NDArray[np.uint8]) -> int:
    """Count the points 4 pixels apart that have pixels of different grey at most 2 pixels away, by a plain loop."""
    count = 0
    for y in range(1, len(picture), 4):
        for x in range(1, len(picture), 4):
            window = picture[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].astype(int)
            count += window.max() - window.min() >= 8
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


@pytest.mark.parametrize("axis", ["columns", "rows"])
def test_a_feature_has_its_cells_row_by_row(axis: str) -> None:
    """An edge lies to the right or to the left of points; faint noise keeps all points."""
    picture = noise(112) // 10
    picture[:, :47] += 200
    near = [9, 11, 12, 14]  # points in columns 37, 45, 49 and 57 of pixels
    features = dense_sift(picture if axis == "columns" else picture.T)
    assert points_near_edges(picture) == COUNTS[0]
    cells = (features[: COUNTS[0]] ** 2).reshape(28, 28, 4, 4, 8).sum(axis=4)
    if axis == "columns":
        assert cells[14, near].sum(axis=1).argmax(axis=1).tolist() == [3, 2, 1, 0]
    else:
        assert cells[near, 14].sum(axis=2).argmax(axis=1).tolist() == [3, 2, 1, 0]


def test_only_points_near_edges_have_features() -> None:
    assert dense_sift(WHITE).shape == (0, 128)
    assert dense_sift(np.zeros((30, 30), np.uint8)).shape == (0, 128)
    picture = square(40, 40)
    count = points_near_edges(picture)
    assert 10 < count < 40
    features, moved = dense_sift(picture), dense_sift(square(44, 48))  # by whole steps of the grid
    np.testing.assert_allclose(moved[:count], features[:count], atol=0.05)  # OpenCV rounds to integers below 256
    assert np.abs(dense_sift(square(41, 41))[:count] - features[:count]).max() > 0.1


@pytest.mark.parametrize(("contrast", "kept"), [(7, False), (8, True)])
def test_edges_have_a_difference_of_eight(contrast: int, kept: bool) -> None:
    picture = WHITE.copy()
    picture[:, :56] -= contrast
    assert (len(dense_sift(picture)) > 0) == kept


def test_each_scale_has_the_features_of_a_resized_picture() -> None:
    picture = noise(112)
    features = dense_sift(picture)
    assert len(features) == sum(COUNTS)
    large = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(dense_sift(large)[: COUNTS[0]], features[: COUNTS[0]])
    small = cv2.resize(picture, (56, 56), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(dense_sift(small)[-COUNTS[2] :], features[-COUNTS[2] :])


@settings(max_examples=40)
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
