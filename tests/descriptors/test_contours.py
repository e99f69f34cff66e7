"""Fourier coefficients of contours: the contours of contourpy as oracle, polygons by formula, holes and parts."""

from __future__ import annotations

import contourpy
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shapecnn.descriptors.contours import COEFFICIENTS, POINTS, contour_coefficients
from shapecnn.meshes.mesh import normalize
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from tests.views.shapes import letter_f, soup


def of_polygon(corners: NDArray[np.float64], points: int = 1 << 14, reach: int = 0) -> NDArray[np.float64]:
    """The coefficients of a closed polygon (n, 2), from many points along it.

    The length of a side is that of the chord from ``reach`` sides before to ``reach`` sides after.
    """
    chords = np.roll(corners, -1 - reach, axis=0) - np.roll(corners, reach, axis=0)
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(chords, axis=1))])
    at = np.arange(points) * lengths[-1] / points
    places = np.stack([np.interp(at, lengths, axis) for axis in np.concatenate([corners, corners[:1]]).T], axis=1)
    signature = np.linalg.norm(places - places.mean(axis=0), axis=1)
    magnitudes = np.abs(np.fft.rfft(signature))
    return magnitudes[1 : COEFFICIENTS + 1] / magnitudes[0]


def enclosed(corners: NDArray[np.float64]) -> float:
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


@pytest.mark.parametrize("mesh", [letter_f(), soup(3, 5)], ids=["letter", "triangles"])
def test_silhouettes_have_the_contours_of_contourpy(mesh: object) -> None:
    shapes = render_views(normalize(mesh), ViewSettings(silhouettes=True, size=96)) == 0
    for own, shape in zip(contour_coefficients(shapes)[::4], shapes[::4], strict=True):
        solid = np.pad(shape, 1).astype(float)
        # a level below 1/2 joins pixels that touch at a corner, and moves the contour by 1/100 of a pixel
        lines = contourpy.contour_generator(z=solid).lines(0.49)
        largest = max(lines, key=enclosed)[:-1]
        np.testing.assert_allclose(own, of_polygon(largest, POINTS, reach=4), atol=5e-3)


STAR = np.stack([np.cos(np.arange(10) * np.pi / 5), np.sin(np.arange(10) * np.pi / 5)], axis=1) * np.array(
    [[1.0], [0.4]] * 5
)


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.1])
@pytest.mark.parametrize(
    "corners",
    [
        np.array([(-1.0, -1), (1, -1), (1, 1), (-1, 1)]) * 0.6,
        np.array([(-0.9, -0.2), (0.9, -0.2), (0.9, 0.2), (-0.9, 0.2)]),
        np.array([(-0.8, -0.5), (0.8, -0.5), (0.0, 0.9)]),
        STAR * 0.9,
    ],
    ids=["square", "bar", "triangle", "star"],
)
def test_a_drawn_polygon_has_the_coefficients_of_the_polygon(corners: NDArray[np.float64], turn: float) -> None:
    c, s = np.cos(turn), np.sin(turn)
    corners = corners @ [[c, s], [-s, c]]
    picture = Image.new("1", (256, 256))
    ImageDraw.Draw(picture).polygon([tuple(128 + 127 * corner) for corner in corners], fill=1)
    own = contour_coefficients(np.asarray(picture)[None])[0]
    np.testing.assert_allclose(own, of_polygon(corners), atol=0.006)
    assert own.max() > 0.03


def bars() -> NDArray[np.bool_]:
    shape = np.zeros((60, 60), bool)
    shape[10:50, 10:20] = shape[40:50, 10:45] = True
    return shape


def test_only_the_outer_contour_around_the_largest_area_counts() -> None:
    plain = bars()
    hole, part, ring = plain.copy(), plain.copy(), plain.copy()
    hole[42:48, 14:40] = False
    hole[44:46, 20:30] = True  # an island in the hole
    part[5:20, 40:55] = True  # before the larger part in the order of rows
    ring[41:49, 11:44] = ring[11:49, 11:19] = False  # little is left of it, yet it encloses most
    ring[5:20, 40:55] = True
    comb = np.pad(plain, 60)
    comb[20:45, 5:50] = np.arange(45) % 2 == 0
    comb[20, 5:50] = True  # of less area but a much longer contour
    results = contour_coefficients(np.pad(np.stack([plain, hole, part, ring]), ((0, 0), (60, 60), (60, 60))))
    np.testing.assert_allclose(contour_coefficients(comb[None])[0], results[0], atol=1e-12)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_pixels_that_touch_at_a_corner_are_one_part() -> None:
    shape = np.zeros((1, 30, 30), bool)
    shape[0, range(5, 25), range(5, 25)] = True  # a diagonal line, out and back
    expected = of_polygon(np.array([(0.0, 0), (1, 1)]))
    np.testing.assert_allclose(contour_coefficients(shape)[0], expected, atol=0.02)


def test_position_does_not_matter_and_the_border_is_no_obstacle() -> None:
    here = bars()
    moved = np.stack([here, np.roll(here, (-10, -10), axis=(0, 1)), np.roll(here, (10, 15), axis=(0, 1))])
    assert moved[1, 0, 0]
    assert moved[2, 59, 59]
    for other in contour_coefficients(moved)[1:]:
        np.testing.assert_allclose(other, contour_coefficients(here[None])[0], atol=1e-12)


def test_rotations_mirror_images_and_size_hardly_matter() -> None:
    here = bars()
    reference = contour_coefficients(np.kron(here, np.ones((4, 4), bool))[None])[0]
    for other in (here, np.rot90(here), here[::-1], np.rot90(here, 2)):
        larger = np.kron(other, np.ones((4, 4), bool))
        assert np.abs(contour_coefficients(larger[None])[0] - reference).max() < 0.002
        assert np.abs(contour_coefficients(other[None])[0] - reference).max() < 0.02


def test_full_empty_and_single() -> None:
    shapes = np.zeros((3, 8, 8), bool)
    shapes[1] = True
    shapes[2, 4, 4] = True
    empty, full, single = contour_coefficients(shapes)
    assert not empty.any()
    square = of_polygon(np.array([(0.0, 0), (0, 1), (1, 1), (1, 0)]))
    np.testing.assert_allclose(full, square, atol=0.02)  # but for its cut corners
    np.testing.assert_allclose(single, square, atol=0.01)  # the midpoints of its sides
    assert contour_coefficients(np.zeros((0, 8, 8), bool)).shape == (0, COEFFICIENTS)
