"""Quick drawings of voxel grids equal those of :mod:`shapecnn.report.grids`."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn.report.grids import draw_grid
from shapecnn.report.rays import draw_grid_fast, project


@pytest.mark.parametrize("count", [1, 2, 5, 13])
@pytest.mark.parametrize("filled", [0.0, 0.05, 0.4, 1.0])
def test_the_drawing_is_the_same(count: int, filled: float) -> None:
    generator = np.random.default_rng(count)
    for side in (7, 40):
        grid = (generator.random((count, count, count)) < filled).astype(np.uint8)
        slow, fast = draw_grid(grid, side), draw_grid_fast(grid, side)
        assert np.array_equal(fast.grey, slow.grey)
        assert np.array_equal(fast.cell, slow.cell)


def test_a_point_stands_where_its_cell_is_drawn() -> None:
    N, side = 9, 300
    for cell in ((8, 0, 4), (2, 7, 8), (0, 0, 0)):
        grid = np.zeros((N, N, N), np.uint8)
        grid[cell] = 1
        rows, columns = np.nonzero(draw_grid_fast(grid, side).cell >= 0)
        ((x, y),) = project(np.array([cell]) + 0.5, N, side)
        assert abs(columns.mean() + 0.5 - x) < 1
        assert abs(rows.mean() + 0.5 - y) < 1
