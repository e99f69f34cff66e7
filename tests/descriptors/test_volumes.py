"""Distance transform and interpolation agree with scipy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, map_coordinates

from shapecnn.descriptors.volumes import distances, sample


@given(st.integers(1, 12), st.floats(0.001, 1), st.integers(0, 1 << 30))
def test_distances_are_those_of_scipy(size: int, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    grid = random.random((size, size, size)) < share
    grid[tuple(random.integers(0, size, 3))] = True
    np.testing.assert_allclose(distances(grid), distance_transform_edt(~grid), rtol=1e-6)


def test_distances_have_known_values() -> None:
    grid = np.zeros((5, 5, 5), bool)
    grid[0, 0, 0] = True
    values = distances(grid)
    assert (values[0, 0, 0], values[3, 4, 0], values[2, 2, 1]) == (0, 5, 3)


def test_samples_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    field = random.random((9, 9, 9)).astype(np.float32)
    points = random.uniform(0, 8, (500, 3))
    expected = map_coordinates(field.astype(np.float64), points.T, order=1)
    np.testing.assert_allclose(sample(field, points), expected, rtol=1e-5)


def test_samples_at_the_corners_are_values_and_outside_they_are_0() -> None:
    field = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    points = np.array([(0, 0, 0), (2, 2, 2), (1, 2, 0), (2.001, 1, 1), (1, -0.001, 1)], float)
    assert sample(field, points).tolist() == [0, 26, 15, 0, 0]
