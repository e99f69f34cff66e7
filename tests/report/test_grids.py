"""Drawings of voxel grids, compared with rays computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.report.grids import GridDrawing, draw_grid, project
from shapecnn.views.cameras import cameras


def test_a_cell_is_drawn_where_it_is_as_large_as_it_is() -> None:
    N, side = 8, 800
    grid = np.zeros((N, N, N), np.uint8)
    grid[6, 1, 5] = 1
    drawing = draw_grid(grid, side)
    right, up, backward = cameras(12).axes[1]
    centre = np.array([6.5, 1.5, 5.5]) - N / 2
    scale = side / (N * np.sqrt(3))
    rows, columns = np.nonzero(drawing.cell >= 0)
    assert set(drawing.cell[rows, columns]) == {np.ravel_multi_index((6, 1, 5), grid.shape)}
    assert abs(columns.mean() + 0.5 - (side / 2 + scale * right @ centre)) < 1
    assert abs(rows.mean() + 0.5 - (side / 2 - scale * up @ centre)) < 1
    area = scale**2 * np.abs(backward).sum()  # three faces of one square cell each, foreshortened
    assert abs(len(rows) / area - 1) < 0.02
    greys = np.unique(drawing.grey[rows, columns])
    assert len(greys) == 3
    counts = [np.count_nonzero(drawing.grey == grey) for grey in greys]
    np.testing.assert_allclose(counts / np.sum(counts), np.sort(backward) / backward.sum(), atol=0.01)
    assert (drawing.grey[drawing.cell < 0] == 255).all()


def test_what_is_in_front_hides_what_is_behind() -> None:
    """Of a full grid only the cells of three faces are visible."""
    N = 10
    drawing = draw_grid(np.ones((N, N, N), np.uint8), 300)
    cells = np.stack(np.unravel_index(drawing.cell[drawing.cell >= 0], (N, N, N)))
    assert (cells.max(axis=0) == N - 1).all()
    assert len(np.unique(drawing.cell)) - 1 == 3 * N**2 - 3 * N + 1


def test_an_empty_grid_gives_a_blank_drawing() -> None:
    drawing = draw_grid(np.zeros((5, 5, 5), np.uint8), 20)
    assert (drawing.cell == -1).all()
    assert (drawing.grey == 255).all()


def draw_by_steps(grid: NDArray[np.uint8], side: int) -> GridDrawing:
    """All rays of a picture, a step at a time."""
    right, up, backward = cameras(12).axes[1]
    N = len(grid)
    half = N * np.sqrt(3) / 2  # the sphere around the grid fills the picture
    across = half * ((np.arange(side) + 0.5) * 2 / side - 1)
    starts = (N / 2 + up * -across[:, None, None] + right * across[:, None] + half * backward).reshape(-1, 3)
    cells = np.floor(starts).astype(np.int64)
    hits, entry_axis = np.full(len(starts), -1, np.int64), np.zeros(len(starts), np.int64)
    active = np.arange(len(starts))  # rays that are still inside the grid and have not hit a filled cell
    while len(active):
        places = cells[active]
        flat = np.ravel_multi_index(tuple(places.T), grid.shape, mode="clip")
        hit = (places < N).all(axis=1) & (places >= 0).all(axis=1) & (grid.reshape(-1)[flat] > 0)
        hits[active[hit]] = flat[hit]
        active = active[~hit & (places >= 0).all(axis=1)]  # rays move towards lower indices
        entry_axis[active] = ((starts[active] - cells[active]) / backward).argmin(axis=1)  # the first face reached
        cells[active, entry_axis[active]] -= 1
    grey = np.where(hits < 0, 255, 80 + 150 * backward[entry_axis]).astype(np.uint8)
    return GridDrawing(grey.reshape(side, side), hits.reshape(side, side))


@pytest.mark.parametrize("count", [1, 2, 5, 13])
@pytest.mark.parametrize("filled", [0.0, 0.05, 0.4, 1.0])
def test_a_drawing_equals_the_one_that_follows_all_rays_at_once(count: int, filled: float) -> None:
    generator = np.random.default_rng(count)
    for side in (7, 40):
        grid = (generator.random((count, count, count)) < filled).astype(np.uint8)
        expected, drawing = draw_by_steps(grid, side), draw_grid(grid, side)
        assert np.array_equal(drawing.grey, expected.grey)
        assert np.array_equal(drawing.cell, expected.cell)


def test_a_point_stands_where_its_cell_is_drawn() -> None:
    N, side = 9, 300
    for cell in ((8, 0, 4), (2, 7, 8), (0, 0, 0)):
        grid = np.zeros((N, N, N), np.uint8)
        grid[cell] = 1
        rows, columns = np.nonzero(draw_grid(grid, side).cell >= 0)
        ((x, y),) = project(np.array([cell]) + 0.5, N, side)
        assert abs(columns.mean() + 0.5 - x) < 1
        assert abs(rows.mean() + 0.5 - y) < 1
