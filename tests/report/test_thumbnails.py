"""Thumbnails: the right views, and grids drawn from the right sides."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from shapecnn.report.thumbnails import SIDE, projections, thumbnail


def opened(picture: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(picture, validate=True))) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


@pytest.mark.parametrize(("views", "shown"), [(1, [0]), (2, [0, 1]), (12, [0, 4, 8]), (20, [0, 6, 12])])
def test_three_views_evenly_spread(views: int, shown: list[int]) -> None:
    array = np.repeat(np.arange(views, dtype=np.uint8), 150 * 150).reshape(views, 150, 150)
    picture = opened(thumbnail(array))
    assert picture.shape == (SIDE, SIDE * len(shown))
    assert [int(part[0, 0]) for part in np.split(picture, len(shown), axis=1)] == shown


def test_a_grid_is_seen_from_front_side_and_above() -> None:
    grid = np.zeros((8, 8, 8), np.uint8)
    grid[7, 1, 2] = 1  # nearest from +x
    front, side, top = projections(grid)
    assert [np.argwhere(seen < 255).tolist() for seen in (front, side, top)] == [
        [[5, 1]],  # row 5 from above is z = 2; y to the right
        [[5, 7]],  # x to the right
        [[6, 7]],  # row 6 from above is y = 1; x to the right
    ]
    depths = [(int(grey) - 90) / 110 * 7 for grey in (front[5, 1], side[5, 7], top[6, 7])]
    assert depths == pytest.approx([0, 1, 5], abs=0.1)  # cells from +x, from −y, from above


def test_the_nearest_cell_hides_those_behind() -> None:
    one, two = np.zeros((2, 6, 6, 6), np.uint8)
    one[5, 3, 3] = two[5, 3, 3] = two[0, 3, 3] = 1
    assert np.array_equal(projections(one)[0], projections(two)[0])
    assert (projections(np.zeros((4, 4, 4), np.uint8)) == 255).all()
    assert (projections(np.ones((1, 1, 1), np.uint8)) == 90).all()


def test_the_rotation_asked_for_is_shown() -> None:
    array = np.zeros((2, 30, 30, 30), np.uint8)
    array[1, 10:20, 10:20, 10:20] = 1
    assert (opened(thumbnail(array)) == 255).all()
    picture = opened(thumbnail(array, 1))
    assert picture.shape == (SIDE, 3 * SIDE)
    assert (picture < 255).mean() == pytest.approx(1 / 9, abs=0.01)
