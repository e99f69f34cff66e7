"""Pictures of filters: which colour a weight has, and what is cut out of views and grids."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn.report.filter_pictures import (
    SIDE,
    grid_crop,
    saliency_picture,
    small_view,
    view_crop,
    weights_picture,
    whole_grid,
)
from shapecnn.report.grids import draw_grid

WHITE, RED, BLUE = (255, 255, 255), (200, 30, 20), (30, 80, 190)
OUTSIDE = 215


def test_weights_are_red_above_zero_and_blue_below() -> None:
    picture = weights_picture(np.array([[[2, 0], [-2, 1]]], np.float32))
    assert [tuple(pixel) for pixel in picture.reshape(-1, 3)[:3].tolist()] == [RED, WHITE, BLUE]
    red, green, _ = picture[1, 1].tolist()
    assert 200 < red < 255
    assert 130 < green < 150


def test_weights_of_three_channels_are_a_colour_picture() -> None:
    weights = np.zeros((3, 1, 3), np.float32)
    weights[0, 0, 0], weights[1, 0, 1] = 0.5, -0.5
    assert weights_picture(weights).tolist() == [[[255, 128, 128], [128, 1, 128], [128, 128, 128]]]


def test_weights_of_cells_are_slices_from_bottom_to_top_seen_from_above() -> None:
    weights = np.zeros((1, 2, 2, 2), np.float32)
    weights[0, 1, 0, 0] = 1  # bottom slice: right, and y down
    weights[0, 0, 1, 1] = -1  # top slice: left, and y up
    picture = weights_picture(weights)
    assert picture.shape == (2, 5, 3)
    assert picture[1, 1].tolist() == list(RED)
    assert picture[0, 3].tolist() == list(BLUE)
    assert (picture[:, 2] == OUTSIDE).all()
    assert (picture.reshape(-1, 3) == 255).all(axis=1).sum() == 6


def test_a_thick_filter_is_seen_from_three_sides_too() -> None:
    weights = np.full((1, 10, 10, 10), 0.1, np.float32)
    weights[0, 7, 2, 9] = -1
    picture = weights_picture(weights)
    assert picture.shape == (32, 32, 3)  # 3 × 3 pictures of 10 × 10
    marks = np.argwhere((picture == BLUE).all(axis=2)).tolist()
    assert marks == [[0, 2], [0, 11 + 7], [7, 22 + 7], [22 + 7, 22 + 7]]  # from +x, −y and above, and the top slice


@pytest.mark.parametrize("shape", [(1, 3, 3), (3, 3, 3), (1, 3, 3, 3), (1, 12, 12, 12)])
def test_a_filter_of_zeros_has_a_picture(shape: tuple[int, ...]) -> None:
    picture = weights_picture(np.zeros(shape, np.float32))
    assert picture.dtype == np.uint8
    assert set(np.unique(picture)) <= {128, 255, OUTSIDE}


def test_a_crop_is_what_the_box_says_and_grey_beyond_the_border() -> None:
    view = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(view_crop(view, ((2, 5), (4, 7)), 3), view[2:5, 4:7])
    for box, inside in (
        (((0, 2), (4, 7)), np.s_[1:, :]),
        (((8, 10), (4, 7)), np.s_[:2, :]),
        (((5, 8), (0, 1)), np.s_[:, 2:]),
        (((5, 8), (9, 10)), np.s_[:, :1]),
    ):
        crop = view_crop(view, box, 3)
        assert np.array_equal(crop[inside], view[slice(*box[0]), slice(*box[1])])
        assert np.count_nonzero(crop == OUTSIDE) == 9 - crop[inside].size


def test_large_views_become_small() -> None:
    view = np.repeat(np.repeat(np.array([[0, 100], [200, 255]], np.uint8), 150, axis=0), 150, axis=1)
    for picture in (small_view(view), view_crop(view, ((0, 300), (0, 300)), 300)):
        assert picture.shape == (SIDE, SIDE)
        assert [picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]] == [0, 100, 200, 255]
    assert small_view(view[:50, :50]).shape == (50, 50)


def test_a_crop_of_a_grid_is_drawn_as_a_grid() -> None:
    generator = np.random.default_rng(0)
    grid = (generator.random((12, 12, 12)) < 0.3).astype(np.uint8)
    inner = grid_crop(grid, ((2, 7), (3, 8), (4, 9)), 5)
    assert np.array_equal(inner, draw_grid(grid[2:7, 3:8, 4:9], SIDE).grey)
    padded = np.zeros((5, 5, 5), np.uint8)
    padded[2:, :, :2] = grid[0:3, 3:8, 10:12]
    cut = grid_crop(grid, ((0, 3), (3, 8), (10, 12)), 5)
    assert np.array_equal(cut, draw_grid(padded, SIDE).grey)


def test_the_place_in_a_grid_is_red_and_framed() -> None:
    grid = np.zeros((12, 12, 12), np.uint8)
    grid[1:11, 1:11, 1:11] = 1
    picture = whole_grid(grid, ((7, 12), (4, 9), (7, 12))).astype(int)
    cell = draw_grid(grid, SIDE).cell
    x, y, z = np.unravel_index(np.maximum(cell, 0), grid.shape)
    inside = (cell >= 0) & (x >= 7) & (y >= 4) & (y < 9) & (z >= 7)
    colourful = picture.max(axis=2) - picture.min(axis=2) > 20
    assert colourful[inside].all()
    frame = colourful & ~inside
    assert (picture[frame] == RED).all()
    assert 50 < frame.sum() < 600
    whole = whole_grid(grid, ((0, 12),) * 3)
    assert np.array_equal(whole, np.repeat(draw_grid(grid, SIDE).grey[..., None], 3, axis=2))


def test_saliency_is_red_where_it_raises_and_blue_where_it_lowers() -> None:
    view = np.full((8, 8), 100, np.uint8)
    heat = np.zeros((2, 3), np.float32)
    heat[0, 0], heat[1, 2] = 5, -5
    picture = saliency_picture(view, heat, ((6, 8), (2, 5)), 3).astype(int)
    assert picture.shape == (3, 3, 3)
    red, _, blue = picture.transpose(2, 0, 1)
    assert np.argwhere(red > blue + 100).tolist() == [[0, 0]]
    assert np.argwhere(blue > red + 100).tolist() == [[1, 2]]
    grid = np.zeros((6, 6, 6), np.uint8)
    grid[1:4, 1:4, 1:4] = 1
    warm = np.ones((3, 3, 3), np.float32)
    picture = saliency_picture(grid, warm, ((1, 4),) * 3, 3).astype(int)
    drawing = draw_grid(grid[1:4, 1:4, 1:4], SIDE)
    red, _, blue = picture.transpose(2, 0, 1)
    assert np.array_equal(red > blue + 50, drawing.cell >= 0)
