"""Fitting each view to its picture."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn.meshes.mesh import Mesh, normalize
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from shapecnn.views.cameras import FOCAL, cameras, light_field_cameras
from shapecnn.views.windows import windows
from tests.views.shapes import letter_f, sphere


def test_the_plain_camera_shows_the_whole_picture_plane() -> None:
    np.testing.assert_array_equal(windows(sphere().vertices, cameras(12), "sphere"), np.tile([0.0, 0.0, 1.0], (12, 1)))


def test_a_distant_camera_shows_the_unit_sphere_as_large_as_a_near_one() -> None:
    """A line of sight that touches the sphere, a sine of 1/10,000 away from the eye, meets the edge of the picture."""
    expected = 1 / (FOCAL * np.tan(np.arcsin(1e-4)))
    result = windows(sphere().vertices, light_field_cameras(), "sphere")
    np.testing.assert_allclose(result, np.tile([0, 0, expected], (100, 1)), rtol=1e-9)


def test_fitted_silhouettes_fill_nine_tenths_of_the_picture() -> None:
    pictures = render_views(normalize(letter_f()), ViewSettings(silhouettes=True, size=100, fit="view"))
    for picture in pictures:
        rows, columns = np.nonzero(picture == 0)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(90, abs=2)


@pytest.mark.parametrize("views", [12, 20, 80])
def test_a_fitted_view_fills_nine_tenths_of_the_picture_and_is_centred(views: int) -> None:
    size = 200
    pictures = render_views(normalize(letter_f()), ViewSettings(views=views, size=size, samples=1, fit="view"))
    for picture in pictures:
        rows, columns = np.nonzero(picture < 255)
        extents = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert max(extents) == pytest.approx(0.9 * size, abs=2)
        assert rows.min() + rows.max() == pytest.approx(size - 1, abs=2)
        assert columns.min() + columns.max() == pytest.approx(size - 1, abs=2)


def test_the_unit_sphere_just_fits_the_plain_camera() -> None:
    size = 400
    for picture in render_views(sphere(), ViewSettings(size=size, samples=1)):
        rows, columns = np.nonzero(picture < 255)
        assert np.ptp(rows) + 1 == pytest.approx(size, abs=4)
        assert np.ptp(columns) + 1 == pytest.approx(size, abs=4)


def test_a_shape_seen_exactly_from_its_end_keeps_a_finite_window() -> None:
    point_like = Mesh(np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1e-9]]), np.array([[0, 1, 2]], np.int32))
    assert np.isfinite(windows(point_like.vertices, cameras(12), "view")).all()
