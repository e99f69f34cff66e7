"""Drawings of voxel grids, compared with rays computed by hand."""

from __future__ import annotations

import numpy as np

from shapecnn.report.grids import draw_grid
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
