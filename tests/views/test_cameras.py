"""Cameras against the formulas of the contract."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapecnn.meshes.mesh import normalize
from shapecnn.settings.views_and_grids import MOST_VIEWS, ViewSettings
from shapecnn.views import render_views
from shapecnn.views.cameras import (
    DISTANCE,
    FAR_DISTANCE,
    SYSTEMS,
    Cameras,
    cameras,
    cameras_of,
    columns,
    cube_rotations,
    dodecahedron,
    light_field_cameras,
)
from shapecnn.views.raster import draw
from shapecnn.views.windows import windows
from tests.views.shapes import letter_f, sphere


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
    expected = {
        1: 1,
        2: 2,
        4: 2,
        6: 3,
        7: 7,
        9: 3,
        12: 4,
        18: 6,
        20: 5,
        24: 6,
        36: 6,
        80: 10,
        100: 10,
        359: 359,
        360: 20,
    }
    assert {views: columns(views) for views in expected} == expected


# Light field


def axes_of_systems() -> NDArray[np.float64]:
    """The directions (10, 10, 3) of the light field cameras."""
    return light_field_cameras().eyes.reshape(10, 10, 3) / FAR_DISTANCE


def energy(axes: NDArray[np.float64]) -> float:
    """The sum of 1/distance² over all pairs of the points in which axes (N, 3) meet the unit sphere."""
    above = np.triu_indices(len(axes), 1)
    cosines = (axes @ axes.T)[above]
    return float((1 / (2 - 2 * cosines) + 1 / (2 + 2 * cosines)).sum())


def test_light_field_cameras_are_right_handed_frames_that_look_at_the_origin_from_afar() -> None:
    seen_from = light_field_cameras()
    assert seen_from.eyes.shape == (100, 3)
    for eye, axes in zip(seen_from.eyes, seen_from.axes, strict=True):
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1)
        np.testing.assert_allclose(axes @ eye, [0, 0, FAR_DISTANCE], atol=1e-8)


def test_each_system_is_one_of_each_pair_of_opposite_vertices_of_a_rotated_dodecahedron() -> None:
    rotations = Rotation.from_quat(SYSTEMS, scalar_first=True)
    assert rotations[0].magnitude() == 0
    for rotation, system in zip(rotations, axes_of_systems(), strict=True):
        both = np.concatenate([system, -system])
        assert len(np.unique(both.round(6), axis=0)) == 20
        turned_back = rotation.apply(both, inverse=True)
        apart = np.linalg.norm(turned_back[:, None] - dodecahedron(), axis=2)
        np.testing.assert_allclose(np.sort(apart, axis=1)[:, 0], 0, atol=1e-12)
        assert sorted(apart.argmin(axis=1)) == [*range(20)]


def test_the_axes_of_a_light_field_are_spread_evenly() -> None:
    axes = axes_of_systems().reshape(100, 3)
    cosines = np.abs(axes @ axes.T) - 2 * np.eye(100)
    nearest = np.rad2deg(np.arccos(cosines.max(axis=1)))
    assert nearest.min() > 7.9
    assert nearest.mean() > 11.1
    everywhere = np.random.default_rng(0).normal(size=(20_000, 3))
    everywhere /= np.linalg.norm(everywhere, axis=1, keepdims=True)
    assert np.rad2deg(np.arccos(np.abs(everywhere @ axes.T).max(axis=1))).max() < 14.2
    assert energy(axes) == pytest.approx(12907.3525, abs=1e-3)
    for seed in range(20):
        random = Rotation.random(10, rng=seed).as_matrix()
        assert energy((random @ dodecahedron()[:10].T).swapaxes(1, 2).reshape(100, 3)) > 1.02 * energy(axes)


def test_no_small_turn_of_a_system_spreads_the_axes_better() -> None:
    systems = axes_of_systems()
    best = energy(systems.reshape(100, 3))
    for number in range(1, 10):  # the first is the identity
        for turn in np.deg2rad(0.2) * np.concatenate([np.eye(3), -np.eye(3)]):
            turned = systems.copy()
            turned[number] = Rotation.from_rotvec(turn).apply(systems[number])
            assert energy(turned.reshape(100, 3)) > best


def test_the_opposite_silhouette_is_the_mirror_image() -> None:
    mesh, here = normalize(letter_f()), light_field_cameras()
    right, up, backward = here.axes.swapaxes(0, 1)
    opposite = Cameras(-here.eyes, np.stack([-right, up, -backward], axis=1))
    crops = windows(mesh.vertices, here, "sphere")
    front, back = (draw(mesh.vertices, mesh.faces, each, crops, 64, 1) < 255 for each in (here, opposite))
    assert (front != back[:, :, ::-1]).mean() < 1e-4
    assert (front != back).mean() > 0.05


def test_silhouettes_are_black_on_white_and_the_unit_sphere_just_fits() -> None:
    pictures = render_views(sphere(), ViewSettings(silhouettes=True, size=64))
    assert pictures.shape == (100, 64, 64)
    y, x = np.mgrid[:64, :64] - 31.5
    inside = np.hypot(x, y) < 32
    assert set(np.unique(pictures)) == {0, 255}
    assert ((pictures == 0) != inside).mean() < 0.01  # of a ball of 5120 faces
    np.testing.assert_array_equal(pictures[:, 31, [0, 63]], 0)


def test_the_settings_choose_the_cameras() -> None:
    assert cameras_of(ViewSettings(silhouettes=True)) is light_field_cameras()
    assert cameras_of(ViewSettings(views=100)) is cameras(100)
