"""The kernels against exact clipping in fractions, the textbook overlap test, and a naive flood."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.voxels.kernels import EMPTY, OUTSIDE, SURFACE, mark_outside, mark_surface

SIDE = 5
quarters = st.integers(-4, 4 * SIDE + 4).map(lambda n: n / 4)  # on the faces of cells, inside, beyond the grid
anywhere = st.floats(-1, SIDE + 1)
nudges = st.sampled_from([0.0, 1e-100, 1e-15, 1e-12, 1e-7, 1e-3])


def triangles_of(number: st.SearchStrategy[float]) -> st.SearchStrategy[NDArray[np.float64]]:
    point = st.tuples(number, number, number)
    return st.tuples(point, point, point).map(np.array)


@st.composite
def slivers(draw: st.DrawFn) -> NDArray[np.float64]:
    """Three points on one line but for rounding and a nudge."""
    start, end = np.array(draw(st.tuples(*[anywhere] * 3))), np.array(draw(st.tuples(*[anywhere] * 3)))
    nudge = np.array(draw(st.tuples(nudges, nudges, nudges)))
    return np.array([start, end, start + draw(st.floats(0, 1)) * (end - start) + nudge])


def marked(triangles: NDArray[np.float64], side: int = SIDE) -> NDArray[np.bool_]:
    """The cells that mark_surface sets for triangles (..., 3, 3)."""
    vertices = np.ascontiguousarray(triangles, np.float64).reshape(-1, 3)
    cells = np.zeros((side, side, side), np.uint8)
    mark_surface(vertices, np.arange(len(vertices), dtype=np.int32).reshape(-1, 3), cells)
    return cells == SURFACE


def clipped(polygon: list, axis: int, side: int, bound: Fraction) -> list:
    """The part of a convex polygon, perhaps a segment or a point, where side·(p − bound) ≤ 0 (Sutherland–Hodgman)."""
    kept = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        beyond_p, beyond_q = side * (p[axis] - bound), side * (q[axis] - bound)
        if beyond_p <= 0:
            kept.append(p)
        if beyond_p * beyond_q < 0:
            t = beyond_p / (beyond_p - beyond_q)
            kept.append([a + t * (b - a) for a, b in zip(p, q, strict=True)])
    return kept


def exactly_met(triangle: NDArray[np.float64], larger: Fraction = Fraction(0)) -> NDArray[np.bool_]:
    """The closed cells, made ``larger`` on all sides, that the triangle meets; in exact arithmetic."""
    met = np.zeros((SIDE, SIDE, SIDE), bool)

    def slab(polygon: list, axis: int, index: int) -> list:
        return clipped(clipped(polygon, axis, -1, index - larger), axis, 1, index + 1 + larger)

    corners = [[Fraction(x) for x in corner] for corner in triangle.tolist()]
    for i in range(SIDE):
        in_i = slab(corners, 0, i)
        for j in range(SIDE):
            in_ij = slab(in_i, 1, j)
            for k in range(SIDE):
                met[i, j, k] = bool(slab(in_ij, 2, k))
    return met


def met_by_separating_axes(triangle: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    """Akenine-Möller's test as it stands: both intervals along each of the 13 axes, for all cells."""
    edges = np.roll(triangle, -1, axis=0) - triangle
    axes = [*np.eye(3), np.cross(*edges[:2]), *(np.cross(unit, edge) for unit in np.eye(3) for edge in edges)]
    centres = np.stack(np.meshgrid(*[np.arange(side) + 0.5] * 3, indexing="ij"), axis=-1)
    met = np.ones((side, side, side), bool)
    for axis in axes:
        along = triangle @ axis
        middle, reach = centres @ axis, np.abs(axis).sum() / 2
        met &= (middle - reach <= along.max()) & (along.min() <= middle + reach)
    return met


@given(triangles_of(quarters))
def test_a_triangle_on_a_lattice_marks_exactly_the_closed_cells_it_meets(triangle: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(marked(triangle), exactly_met(triangle))


@given(triangles_of(anywhere) | slivers())
def test_any_triangle_marks_every_cell_it_meets_and_none_that_it_misses_by_1e_5(triangle: NDArray[np.float64]) -> None:
    cells = marked(triangle)
    assert not (exactly_met(triangle) & ~cells).any()
    assert not (cells & ~exactly_met(triangle, larger=Fraction(1, 10**5))).any()


def test_large_triangles_agree_with_the_textbook_test() -> None:
    rng = np.random.default_rng(0)
    for triangle in rng.uniform(-3, 33, (40, 3, 3)):
        np.testing.assert_array_equal(marked(triangle, 30), met_by_separating_axes(triangle, 30))


@given(triangles_of(anywhere))
def test_neither_the_order_of_the_corners_nor_that_of_the_axes_matters(triangle: NDArray[np.float64]) -> None:
    cells = marked(triangle)
    for order in permutations(range(3)):
        np.testing.assert_array_equal(marked(triangle[list(order)]), cells)
        np.testing.assert_array_equal(marked(triangle[:, list(order)]), cells.transpose(order))


def test_a_face_on_the_boundary_of_cells_marks_both_sides() -> None:
    cells = marked(np.array([[0.5, 0.5, 2], [3.5, 0.5, 2], [0.5, 3.5, 2]]))
    assert cells[:, :, 1].any()
    np.testing.assert_array_equal(cells[:, :, 1], cells[:, :, 2])
    assert not cells[:, :, [0, 3, 4]].any()


@pytest.mark.parametrize("distance", [6.0, 1e9, 1e30, 1e200])
@pytest.mark.parametrize("sign", [-1, 1])
def test_what_lies_beyond_the_grid_marks_nothing(distance: float, sign: int) -> None:
    triangle = np.array([[0.5, 0.5, 0.5], [3.5, 1.5, 0.5], [1.5, 3.5, 2.5]])
    for axis in range(3):
        beyond = triangle.copy()
        beyond[:, axis] += sign * distance
        assert not marked(beyond).any()


def test_triangles_add_up() -> None:
    triangles = np.random.default_rng(1).uniform(0, SIDE, (20, 3, 3))
    np.testing.assert_array_equal(marked(triangles), np.any([marked(t) for t in triangles], axis=0))


def reached(cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The inner cells reached from (1, 1, 1), by growing until nothing changes; walls all round."""
    free = np.zeros(cells.shape, bool)
    free[1:-1, 1:-1, 1:-1] = cells[1:-1, 1:-1, 1:-1] == EMPTY
    grown = np.zeros_like(free)
    grown[1, 1, 1] = True
    while True:
        before = grown.sum()
        for axis in range(3):
            grown |= (np.roll(grown, 1, axis) | np.roll(grown, -1, axis)) & free
        if grown.sum() == before:
            return grown


@pytest.mark.parametrize("density", [0.0, 0.2, 0.5, 0.65, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 7, 3), (12, 13, 14)])
def test_the_flood_reaches_what_naive_growing_reaches(density: float, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        before = np.where(rng.random(shape) < density, SURFACE, EMPTY).astype(np.uint8)
        cells = before.copy()
        mark_outside(cells)
        inner, started = cells[1:-1, 1:-1, 1:-1], before[1:-1, 1:-1, 1:-1]
        outside = reached(before)[1:-1, 1:-1, 1:-1]
        np.testing.assert_array_equal(inner, np.where(outside, OUTSIDE, started))


def test_the_flood_follows_a_long_corridor_and_no_diagonal() -> None:
    cells = np.full((5, 41, 41), SURFACE, np.uint8)
    cells[1, 1::2, 1:-1] = EMPTY  # parallel corridors, joined at alternating ends
    cells[1, 2:-2:4, -2] = EMPTY
    cells[1, 4:-2:4, 1] = EMPTY
    cells[2, 2, 2] = EMPTY  # touches the corridors by edges and corners alone
    mark_outside(cells)
    corridor = cells[1, 1:-1, 1:-1]
    assert (corridor != EMPTY).all()
    assert corridor[-1, 0] == corridor[-1, -1] == OUTSIDE
    assert cells[2, 2, 2] == EMPTY
