"""Polygons become triangles that cover what the polygon covers, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.meshes.readers.triangles import triangulate

U = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]  # of area 7; no corner sees all of it
ARROW = [(0, 0), (2, 1), (0, 2), (1, 1)]  # of area 1; its first corner does not see all of it
TILT = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])  # a rotation


def cut(points: list[tuple[float, ...]] | NDArray[np.float64]) -> NDArray[np.int64]:
    """The triangles of one polygon, its corners numbered from 0."""
    corners = np.asarray(points, np.float64)
    corners = np.pad(corners, ((0, 0), (0, 3 - corners.shape[1])))
    return triangulate(corners, np.arange(len(corners)), np.array([len(corners)]))


def areas(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """The area vector of each triangle (m, 3)."""
    a, b, c = points[faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


@pytest.mark.parametrize(("polygon", "area"), [(U, 7.0), (ARROW, 1.0)], ids=["U", "arrow"])
@pytest.mark.parametrize("turned", [1, -1])
def test_concave_polygons_keep_their_area_and_orientation(
    polygon: list[tuple[float, float]], area: float, turned: int
) -> None:
    """From whatever corner the file begins with, wherever the polygon lies, however large it is."""
    for first in range(len(polygon)):
        flat = np.pad(np.roll(np.array(polygon, float), first, axis=0)[::turned], ((0, 0), (0, 1)))
        for scale in (1e-30, 1.0, 1e30):
            points = (flat @ TILT + [5.0, -3.0, 2.0]) * scale
            found = areas(points, cut(points)) @ (TILT[2] * turned) / scale**2
            assert found.sum() == pytest.approx(area)
            assert (found > 0).all()


@pytest.mark.parametrize("corners", [3, 4, 5, 100, 1000])
def test_convex_polygons_are_fans_from_their_first_corner(corners: int) -> None:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1) @ TILT
    assert cut(points).tolist() == [[0, k, k + 1] for k in range(1, corners - 1)]


def test_corners_in_a_line_and_corners_named_twice_do_not_matter() -> None:
    square = [(0, 0), (1, 0), (2, 0), (2, 0), (2, 2), (0, 2), (0, 1)]
    assert cut(square).tolist() == [[0, k, k + 1] for k in range(1, 6)]


def test_coordinates_with_six_digits_leave_a_convex_polygon_convex() -> None:
    points = (np.pad(np.array([(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (0, 1)], float), ((0, 0), (0, 1))) @ TILT).round(
        6
    )
    assert cut(points).tolist() == [[0, k, k + 1] for k in range(1, 5)]


def test_a_quad_that_is_not_flat_is_cut_along_its_first_diagonal() -> None:
    assert cut([(0, 0, 0), (1, 0, 1), (1, 1, 0), (0, 1, 1)]).tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_polygon_that_is_not_flat_is_cut_as_it_looks_along_its_normal() -> None:
    random = np.random.default_rng(0)
    points = np.pad(np.array(U, float), ((0, 0), (0, 1))) + [0, 0, 1] * random.uniform(-0.05, 0.05, (8, 1))
    found = areas(points, cut(points))[:, 2]
    assert found.sum() == pytest.approx(7)
    assert (found > 0).all()


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0), (1, 1), (1, 0), (0, 1)],  # a bow tie of two equal halves has no normal
        [(1, 2), (1, 2), (1, 2), (1, 2)],
        [(0, 0), (1, 0), (2, 0), (3, 0), (1, 0)],
        [(0, 0), (1, 0), (np.nan, 1), (0, 1)],
        [(0, 0), (1, 0), (np.inf, 1), (0, 1)],
        [(0, 0), (1e308, 0), (-1e308, 1e308), (0, 1), (1, 1)],
    ],
)
def test_polygons_without_a_normal_are_fans(points: list[tuple[float, float]]) -> None:
    assert cut(points).tolist() == [[0, k, k + 1] for k in range(1, len(points) - 1)]


@pytest.mark.parametrize(
    "points",
    [
        [(12.88, 236.30, 43.74), (12.82, 236.28, 43.79), (12.94, 236.36, 42.97), (12.88, 236.20, 42.91)],  # beast.obj
        [(0, 0), (3, 3), (3, 0), (0, 1)],  # a bow tie of unequal halves
    ],
    ids=["bent", "flat"],
)
def test_no_corner_of_a_quad_is_lost_where_its_outline_crosses_itself(points: list[tuple[float, ...]]) -> None:
    """A quad bent along its diagonal crosses itself as seen along its normal, and has two triangles all the same."""
    for first in range(4):
        assert cut(np.roll(points, first, axis=0)).tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_polygon_that_names_a_vertex_that_does_not_exist_is_a_fan() -> None:
    for beyond in (4, -1, 1 << 40):
        corners = np.array([0, 1, beyond, 3])
        assert triangulate(np.eye(4, 3), corners, np.array([4])).tolist() == [[0, 1, beyond], [0, beyond, 3]]


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(-2, 2)), min_size=3, max_size=40))
def test_any_polygon_gives_triangles_of_its_own_corners(points: list[tuple[int, int, int]]) -> None:
    """However often it crosses itself."""
    faces = cut(points)
    assert 1 <= len(faces) <= len(points) - 2
    assert set(faces.ravel()) <= set(range(len(points)))


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=60))
def test_what_its_middle_sees_is_covered_once(radii: list[float]) -> None:
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1) * np.array(radii)[:, None]
    area = sum(points[k - 1, 0] * points[k, 1] - points[k - 1, 1] * points[k, 0] for k in range(len(points))) / 2
    found = areas(points, cut(points))[:, 2]
    assert found.sum() == pytest.approx(area)
    assert np.abs(found).sum() == pytest.approx(area)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint32])
def test_polygons_of_all_sizes_in_their_order(kind: type) -> None:
    points = np.pad(np.array([*U, *ARROW], float), ((0, 0), (0, 1)))
    sizes = np.array([0, 3, 8, 1, 4, 2, 3], np.uint8)
    corners = np.array([2, 1, 0, *range(8), 5, 8, 9, 10, 11, 1, 2, 9, 10, 8], kind)
    faces = triangulate(points, corners, sizes)
    assert faces.dtype == kind
    assert faces[0].tolist() == [2, 1, 0]
    assert set(faces[1:7].ravel()) == set(range(8))
    assert faces[7:].tolist() == [[9, 10, 11], [9, 11, 8], [9, 10, 8]]


def test_triangles_alone_are_not_copied() -> None:
    corners = np.arange(9)
    assert np.shares_memory(triangulate(np.zeros((9, 3)), corners, np.full(3, 3)), corners)


def test_nothing_gives_nothing() -> None:
    assert triangulate(np.zeros((0, 3)), np.zeros(0, np.int32), np.zeros(0, np.int32)).shape == (0, 3)
    assert triangulate(np.zeros((2, 3)), np.zeros(3, np.int32), np.array([1, 2])).shape == (0, 3)
