"""Zernike moments: mahotas as oracle, the properties of the polynomials, and invariances."""

from __future__ import annotations

import mahotas
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from shapecnn.descriptors.zernike import MOMENTS, ORDER, zernike_magnitudes, zernike_polynomials
from shapecnn.meshes.mesh import normalize
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from tests.views.shapes import letter_f

PAIRS = [(n, m) for n in range(1, ORDER + 1) for m in range(n % 2, n + 1, 2)]


def by_mahotas(shape: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The magnitudes by mahotas.

    mahotas takes the radius from the caller, finds the centre of mass itself, and divides the picture by its sum. It
    multiplies the moment of order n by (n + 1) / π, and also returns the constant of order 0.
    """
    y, x = np.nonzero(shape)
    radius = np.hypot(y - y.mean(), x - x.mean()).max() + 0.5
    values = mahotas.features.zernike_moments(shape.astype(np.uint8), radius, degree=ORDER)
    return values[1:] / [(n + 1) / np.pi for n, _ in PAIRS]


def test_silhouettes_have_the_moments_of_mahotas() -> None:
    shapes = render_views(normalize(letter_f()), ViewSettings(silhouettes=True, size=96)) == 0
    own = zernike_magnitudes(shapes)
    assert own.shape == (100, MOMENTS)
    for moments, shape in zip(own[::5], shapes[::5], strict=True):
        np.testing.assert_allclose(moments, by_mahotas(shape), rtol=0, atol=1e-11)
    assert own.max() > 0.3  # they are not all near 0


@given(arrays(bool, st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12))).filter(np.any))
def test_random_pixels_have_the_moments_of_mahotas(shapes: NDArray[np.bool_]) -> None:
    """Also single pixels, lines, several parts, and pictures that are not square."""
    np.testing.assert_allclose(zernike_magnitudes(shapes)[0], by_mahotas(shapes[0]), rtol=0, atol=1e-10)


def evaluate(
    polynomials: NDArray[np.complex128], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.complex128]:
    return np.stack([np.polynomial.polynomial.polyval2d(y, x, polynomial) for polynomial in polynomials])


def test_polynomials_of_low_order_are_those_of_the_books() -> None:
    random = np.random.default_rng(0)
    rho, theta = random.random(50), random.uniform(-np.pi, np.pi, 50)
    values = dict(zip(PAIRS, evaluate(zernike_polynomials(), rho * np.cos(theta), rho * np.sin(theta)), strict=True))
    radial = {
        (1, 1): rho,
        (2, 0): 2 * rho**2 - 1,
        (2, 2): rho**2,
        (3, 1): 3 * rho**3 - 2 * rho,
        (4, 2): 4 * rho**4 - 3 * rho**2,
    }
    for (n, m), expected in radial.items():
        np.testing.assert_allclose(values[n, m], expected * np.exp(-1j * m * theta), atol=1e-12)


def test_the_polynomials_are_orthogonal_on_the_disc() -> None:
    """∫ V V'* = π / (n + 1) for the same polynomial, otherwise 0; the quadrature is exact for their degrees."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    rho, weights = (nodes + 1) / 2, weights / 2 * (nodes + 1) / 2
    theta = 2 * np.pi * np.arange(32) / 32
    x, y = (rho[:, None] * function(theta) for function in (np.cos, np.sin))
    values = evaluate(zernike_polynomials(), x, y)
    products = np.einsum("art,brt,r->ab", values, values.conj(), weights) * 2 * np.pi / 32
    np.testing.assert_allclose(products, np.diag([np.pi / (n + 1) for n, _ in PAIRS]), atol=1e-12)


def disc(size: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(x, y) < size / 2


def test_a_disc_has_no_moments() -> None:
    """All polynomials but the constant have mean 0 on the unit disc."""
    assert zernike_magnitudes(disc(256)[None]).max() < 0.02


def test_a_ring_has_the_moments_of_its_radii_and_no_others() -> None:
    hole = np.pad(disc(128), 64)
    moments = dict(zip(PAIRS, zernike_magnitudes((disc(256) & ~hole)[None])[0], strict=True))
    # the mean of 2ρ² − 1 and 6ρ⁴ − 6ρ² + 1 for ρ² evenly spread from 1/4 to 1
    assert moments[2, 0] == pytest.approx(0.25, abs=0.01)
    assert moments[4, 0] == pytest.approx(abs(6 * 0.4375 - 6 * 0.625 + 1), abs=0.02)
    assert max(value for (_, m), value in moments.items() if m) < 0.01


def test_a_single_pixel_and_an_empty_silhouette() -> None:
    shapes = np.zeros((2, 20, 20), bool)
    shapes[1, 3, 17] = True
    empty, single = zernike_magnitudes(shapes)
    assert not empty.any()
    np.testing.assert_allclose(single, [m == 0 for _, m in PAIRS], atol=1e-12)  # R(0) is ±1 for m = 0, otherwise 0


def test_position_size_rotation_and_mirror_images_do_not_matter() -> None:
    shape = render_views(normalize(letter_f()), ViewSettings(silhouettes=True, size=128))[7] == 0
    around = np.pad(shape, 64)
    turned = np.asarray(Image.fromarray(around.astype(np.uint8)).rotate(37)) > 0
    exact = [np.roll(around, (31, -17), axis=(0, 1)), np.rot90(around), around[:, ::-1], around.T]
    here, *others = zernike_magnitudes(np.stack([around, *exact, turned]))
    for other in others[:-1]:
        np.testing.assert_allclose(other, here, atol=1e-11)
    assert np.abs(others[-1] - here).max() < 0.01
    larger = zernike_magnitudes(np.kron(shape, np.ones((3, 3), bool))[None])[0]
    assert np.abs(larger - here).max() < 0.01
    assert here.max() > 0.1


def test_a_tiny_shape_far_from_the_middle_is_as_exact() -> None:
    picture = np.zeros((512, 512), bool)
    picture[500:505, 3:9] = np.arange(30).reshape(5, 6) % 4 > 0
    alone = picture[500:505, 3:9]
    np.testing.assert_allclose(zernike_magnitudes(picture[None]), zernike_magnitudes(alone[None]), atol=1e-12)
