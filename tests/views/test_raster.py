"""The rasterizer against a naive ray caster, analytic silhouettes and its own promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from shapecnn.meshes.mesh import Mesh, normalize
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import contact_sheet, render_views, split_sheet
from shapecnn.views.cameras import FOCAL, cameras
from shapecnn.views.raster import draw, shade_faces
from tests.views.shapes import letter_f, soup, sphere

SIZE = 48


def cast_rays(mesh: Mesh, view: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The picture by intersecting every ray with every triangle (Möller, Trumbore 1997), and its clear-cut pixels:
    no edge within a hair of the ray, no second face at the same depth."""
    eye, (right, up, backward) = cameras(12).eyes[view], cameras(12).axes[view]
    steps = (2 * np.arange(size) + 1) / size - 1
    rays = steps[None, :, None] * right - steps[:, None, None] * up - FOCAL * backward
    a, b, c = mesh.vertices[mesh.faces].swapaxes(0, 1)
    u, v = b - a, c - a
    p = np.cross(rays[:, :, None], v)
    with np.errstate(all="ignore"):
        inverse = 1 / (p * u).sum(-1)
        s = ((eye - a) * p).sum(-1) * inverse
        q = np.cross(eye - a, u)
        t = (rays[:, :, None] * q).sum(-1) * inverse
        depth = (v * q).sum(-1) * inverse
    margin = np.minimum(np.minimum(s, t), 1 - s - t)
    near = np.where(margin >= 0, depth, np.inf)
    near = np.where(np.isfinite(near), near, np.inf)
    first = near.argmin(axis=2)
    ordered = np.sort(near, axis=2)
    greys = shade_faces(mesh.vertices, mesh.faces, cameras(12))[view]
    picture = np.where(np.isinf(ordered[..., 0]), 255, greys[first])
    doubtful = (np.abs(margin) < 1e-4).any(axis=2)
    if near.shape[2] > 1:
        with np.errstate(invalid="ignore"):
            doubtful |= ordered[..., 1] - ordered[..., 0] < 1e-5
    return picture.astype(np.uint8), ~doubtful


@pytest.mark.parametrize(
    "mesh",
    [normalize(letter_f()), soup(1, 40), soup(2, 200), soup(3, 1)],
    ids=lambda m: f"{len(m.faces)} faces",
)
@pytest.mark.parametrize("view", [0, 5])
def test_every_clear_cut_pixel_is_what_a_naive_ray_caster_finds(mesh: Mesh, view: int) -> None:
    picture = render_views(mesh, ViewSettings(size=SIZE, samples=1))[view]
    expected, clear = cast_rays(mesh, view, SIZE)
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(picture[clear], expected[clear])


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_random_triangles_agree_with_the_ray_caster(seed: int, faces: int) -> None:
    mesh = soup(seed, faces)
    picture = render_views(mesh, ViewSettings(size=24, samples=1))[3]
    expected, clear = cast_rays(mesh, 3, 24)
    np.testing.assert_array_equal(picture[clear], expected[clear])


def test_a_sphere_is_a_disc_shaded_by_the_angle_to_the_eye() -> None:
    size = 401  # odd: a pixel in the very centre
    picture = render_views(sphere(), ViewSettings(size=size, samples=1))[0]
    assert picture[size // 2, size // 2] == pytest.approx(255 * 0.7, abs=1)  # seen head on
    y, x = np.indices(picture.shape) - size // 2
    radius = np.hypot(x, y) / (size / 2)  # the silhouette of the unit sphere has radius 1
    assert (picture[radius < 0.985] < 255).all()
    assert (picture[radius > 1.005] == 255).all()
    rim = picture[(radius > 0.97) & (radius < 0.985)]
    assert rim.max() < 255 * 0.3  # nearly edge on: little but ambient light


def test_the_grey_of_a_face_is_the_contracts_formula() -> None:
    mesh = normalize(letter_f())
    eye = cameras(12).eyes[4]
    a, b, c = mesh.vertices[mesh.faces].swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    to_eye = eye - (a + b + c) / 3
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    expected = 255 * (0.1 + 0.6 * np.abs((normal * to_eye).sum(axis=1)))
    np.testing.assert_allclose(shade_faces(mesh.vertices, mesh.faces, cameras(12))[4], expected, atol=0.5 + 1e-9)


def test_flipped_and_duplicated_faces_change_no_pixel() -> None:
    mesh = normalize(letter_f())
    plain = render_views(mesh, ViewSettings(size=96))
    flipped = Mesh(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1]))
    doubled = Mesh(mesh.vertices, np.concatenate([mesh.faces, mesh.faces[:, ::-1]]))
    np.testing.assert_array_equal(render_views(flipped, ViewSettings(size=96)), plain)
    np.testing.assert_array_equal(render_views(doubled, ViewSettings(size=96)), plain)


def test_neighbouring_triangles_leave_no_crack() -> None:
    """No background shows between the triangles of a finely cut, bent sheet."""
    n = 60
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    vertices = np.stack([0.2 * np.sin(3 * x + y), x + 0.01 * y, y], axis=-1).reshape(-1, 3)
    i = np.arange(n * n).reshape(n, n)
    faces = np.concatenate([
        np.stack([i[:-1, :-1], i[1:, :-1], i[1:, 1:]], -1).reshape(-1, 3),
        np.stack([i[:-1, :-1], i[1:, 1:], i[:-1, 1:]], -1).reshape(-1, 3),
    ]).astype(np.int32)  # fmt: skip
    for picture in render_views(normalize(Mesh(vertices, faces)), ViewSettings(size=300, samples=1))[[0, 1, 11]]:
        drawn = picture < 255
        np.testing.assert_array_equal(binary_fill_holes(drawn), drawn)


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_anti_aliasing_is_the_mean_of_a_finer_picture(samples: int) -> None:
    mesh = normalize(letter_f())
    fine = render_views(mesh, ViewSettings(size=40 * samples, samples=1)).astype(int)
    blocks = fine.reshape(12, 40, samples, 40, samples).sum(axis=(2, 4))
    expected = (blocks + samples**2 // 2) // samples**2
    np.testing.assert_array_equal(render_views(mesh, ViewSettings(size=40, samples=samples)), expected)


def test_the_same_mesh_gives_the_same_bits() -> None:
    mesh = soup(7, 300)
    first = render_views(mesh, ViewSettings(views=80, size=64))
    np.testing.assert_array_equal(render_views(mesh, ViewSettings(views=80, size=64)), first)


def test_rolled_views_are_the_picture_turned() -> None:
    pictures = render_views(normalize(letter_f()), ViewSettings(views=80, size=64, samples=1))
    for upright, rolled in zip(pictures[::4], pictures[1::4], strict=True):
        differing = np.rot90(upright, -1) != rolled  # a camera turned counter-clockwise sees the shape turned clockwise
        assert differing.mean() < 0.01  # samples on an edge may fall to either side


def test_a_mesh_that_reaches_behind_the_eye_is_drawn_without_harm() -> None:
    vertices = np.array([[5.0, 5, 5], [-5, 5, 0], [0, -9, 1], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    pictures = draw(vertices, faces, cameras(20), np.tile([0.0, 0.0, 1.0], (20, 1)), 32, 2)
    assert pictures.shape == (20, 32, 32)
    assert (pictures < 255).any()


@pytest.mark.parametrize(("views", "columns", "rows"), [(12, 4, 3), (20, 5, 4), (80, 10, 8)])
def test_a_contact_sheet_is_row_major_without_gaps(views: int, columns: int, rows: int) -> None:
    pictures = np.arange(views, dtype=np.uint8)[:, None, None] * np.ones((1, 5, 5), np.uint8)
    sheet = contact_sheet(pictures)
    assert sheet.shape == (5 * rows, 5 * columns)
    for view in range(views):
        row, column = divmod(view, columns)
        assert (sheet[5 * row : 5 * row + 5, 5 * column : 5 * column + 5] == view).all()
    np.testing.assert_array_equal(split_sheet(sheet, views), pictures)
