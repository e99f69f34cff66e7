"""Cameras against the formulas of the contract."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn.settings.views_and_grids import MOST_VIEWS
from shapecnn.views.cameras import DISTANCE, cameras, columns, cube_rotations, dodecahedron


@pytest.mark.parametrize("views", [12, 1, 2, 6, 7, 36, 360])
def test_eyes_stand_around_the_up_axis_where_the_contract_says(views: int) -> None:
    assert pytest.approx(2.6131, abs=5e-5) == DISTANCE
    assert len(cameras(views).eyes) == views
    for i, eye in enumerate(cameras(views).eyes):
        a, e = np.deg2rad(360 / views * i), np.deg2rad(30)
        expected = DISTANCE * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        np.testing.assert_allclose(eye, expected, atol=1e-12)


@pytest.mark.parametrize("views", [1, 5, 12, 20, 24, 80, MOST_VIEWS])
def test_every_camera_is_a_right_handed_frame_that_looks_at_the_origin(views: int) -> None:
    seen_from = cameras(views)
    assert len(seen_from.eyes) == views
    for eye, axes in zip(seen_from.eyes, seen_from.axes, strict=True):
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1)
        np.testing.assert_allclose(axes @ eye, [0, 0, DISTANCE], atol=1e-12)  # straight behind the picture's centre


@pytest.mark.parametrize("views", [12, 20])
def test_up_in_the_picture_is_up_in_the_world(views: int) -> None:
    right, up = cameras(views).axes[:, 0], cameras(views).axes[:, 1]
    np.testing.assert_allclose(right[:, 2], 0, atol=1e-12)
    assert (up[:, 2] > 0).all()


def test_the_dodecahedron_is_regular_and_in_its_documented_order() -> None:
    vertices = dodecahedron()
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    distances = np.sort(np.linalg.norm(vertices[:, None] - vertices[None], axis=2), axis=1)
    edge = distances[0, 1]
    np.testing.assert_allclose(distances[:, 1:4], edge)  # three neighbours each
    assert (distances[:, 4] > edge + 0.1).all()
    keys = [(-round(v[2], 9), round(float(np.arctan2(v[1], v[0]) % (2 * np.pi)), 9)) for v in vertices]
    assert keys == sorted(keys)
    np.testing.assert_allclose(cameras(20).eyes, DISTANCE * vertices)


def test_eighty_views_are_four_rolls_of_each_vertex() -> None:
    twenty, eighty = cameras(20), cameras(80)
    np.testing.assert_allclose(eighty.eyes, np.repeat(twenty.eyes, 4, axis=0))
    np.testing.assert_allclose(eighty.axes[::4], twenty.axes)
    np.testing.assert_allclose(eighty.axes[1::4, 0], twenty.axes[:, 1])  # right has become up: counter-clockwise
    np.testing.assert_allclose(eighty.axes[2::4, :2], -twenty.axes[:, :2])


def test_24_views_are_one_camera_under_all_rotations_of_the_cube() -> None:
    rotations = cube_rotations()
    assert len({tuple(each.ravel()) for each in rotations}) == 24
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    one, all_sides = cameras(12), cameras(24)
    np.testing.assert_array_equal(all_sides.eyes[0], one.eyes[0])
    for rotation in rotations:  # turned cameras are the same ones, rolls included
        turned = np.concatenate([(all_sides.eyes @ rotation.T)[:, None], all_sides.axes @ rotation.T], axis=1)
        seen = np.concatenate([all_sides.eyes[:, None], all_sides.axes], axis=1)
        apart = np.abs(turned[:, None] - seen[None]).max(axis=(2, 3))
        assert apart.min(axis=1).max() < 1e-12


def test_a_sheet_is_as_square_as_its_views_can_be_divided() -> None:
    expected = {1: 1, 2: 2, 4: 2, 6: 3, 7: 7, 9: 3, 12: 4, 18: 6, 20: 5, 24: 6, 36: 6, 80: 10, 359: 359, 360: 20}
    assert {views: columns(views) for views in expected} == expected
