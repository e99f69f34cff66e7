"""The parts of generated shapes against the volumes and areas of the solids they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes import parts
from shapecnn.sources.shapes.parts import SQUARE, ball, box, circle, cylinder, hull, prism, revolve, tube
from shapecnn.sources.shapes.stands import hoop

FINE = circle(400)
MUG = [(0, 0), (1, 0), (1, 2), (0.8, 2), (0.8, 0.2), (0, 0.2)]
L_PATH = [(0, 0, 0), (0, 0, 1), (1, 0, 1)]

# name, part, volume of the solid, relative tolerance for what its facets cut off
SOLIDS = [
    ("box", box((2, 3, 4), (7, 8, 9)), 24, 1e-12),
    ("frustum of a pyramid", box((2, 2, 3), top=0.5), 3 / 3 * (4 + 1 + 2), 1e-12),
    ("cylinder", cylinder(2, 3, (1, 1, 1), section=FINE), 12 * np.pi, 1e-3),
    ("hexagonal prism", cylinder(1, 2, section=circle(6)), 3 * np.sqrt(3), 1e-12),
    ("frustum of a cone", cylinder(2, 3, top=0.5, section=FINE), np.pi * (4 + 1 + 2), 1e-3),
    ("bevelled slab", prism(SQUARE, 1, bevel=0.25), 4 * 0.5 + 2 * 0.25 / 3 * (4 + 2.25 + 3), 1e-12),
    ("ball", ball((1, 2, 3), (5, 5, 5), points=200), 8 * np.pi, 1e-3),
    ("mug without handle", revolve(MUG, FINE), np.pi * (2 - 0.64 * 1.8), 1e-3),
    ("bar", tube([(0, 0, 0), (3, 0, 0)], (0.5, 0.25), SQUARE), 1.5, 1e-12),
    ("slanting rod", tube([(1, 2, 3), (3, 5, 9)], 0.1, FINE), np.pi * 0.01 * 7, 1e-3),
    ("tapered rod", tube([(0, 0, 0), (0, 0, 3)], [(2,), (1,)], FINE), np.pi * 7, 1e-3),
    ("bent rod", tube(parts.spline(L_PATH, 30), 0.05), None, 0),
    ("torus", hoop(2, 0.5), 2 * np.pi**2 * 2 * 0.25, 0.12),
    ("hull", hull([0, 2, 3], [1, 1, 0.5], [0, 0, 0.5], [2, 2, 1.5], SQUARE), 8 + 1 / 3 * (4 + 1 + 2), 1e-12),
    ("mirrored box", parts.mirror(box((1, 2, 3), (4, 5, 6)), "y"), 6, 1e-12),
    ("turned box", parts.rotate(box((1, 2, 3), (4, 5, 6)), 33, "x"), 6, 1e-12),
    ("scaled box", parts.scale(box((1, 1, 1)), (1, 2, 3)), 6, 1e-12),
    ("two boxes", parts.pair(box((1, 2, 3), (4, 5, 6)), "x"), 12, 1e-12),
    ("five boxes", parts.around(box((1, 2, 3), (4, 5, 6)), 5, start=10), 30, 1e-12),
    ("refined ball", parts.subdivide(ball((1, 1, 1), points=100)), 4 / 3 * np.pi, 3e-3),
]
closed = pytest.mark.parametrize(
    ("part", "volume", "tolerance"), [case[1:] for case in SOLIDS], ids=[case[0] for case in SOLIDS]
)


def signed_volume(mesh: Mesh) -> float:
    """By the divergence theorem, about a point outside, so that a hole or a wrong face would show."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces] - np.array([10.0, -20.0, 30.0]), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def area(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def directed_edges(mesh: Mesh) -> list[tuple[int, int]]:
    a, b, c = mesh.faces.T.tolist()
    return [*zip(a, b, strict=True), *zip(b, c, strict=True), *zip(c, a, strict=True)]


@closed
def test_volume_is_that_of_the_solid(part: Mesh, volume: float | None, tolerance: float) -> None:
    measured = signed_volume(part)
    assert measured > 0
    if volume is not None:
        assert measured == pytest.approx(volume, rel=tolerance)


@closed
def test_closed_parts_are_watertight_and_oriented(part: Mesh, volume: float, tolerance: float) -> None:
    edges = directed_edges(part)
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)


@closed
def test_every_vertex_is_used_and_every_index_exists(part: Mesh, volume: float, tolerance: float) -> None:
    assert part.vertices.dtype == np.float64
    assert part.faces.dtype == np.int32
    assert np.isfinite(part.vertices).all()
    assert np.array_equal(np.unique(part.faces), np.arange(len(part.vertices)))


@given(
    st.tuples(*[st.floats(0.1, 10)] * 3),
    st.tuples(*[st.floats(-10, 10)] * 3),
    st.floats(-360, 360),
    st.sampled_from("xyz"),
)
def test_a_box_stands_on_its_point_and_keeps_its_volume_when_turned(size, at, degrees, axis) -> None:
    mesh = box(size, at)
    w, d, h = size
    np.testing.assert_allclose(mesh.vertices.min(axis=0), np.array(at) - (w / 2, d / 2, 0), atol=1e-9)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), size, atol=1e-9)
    assert area(mesh) == pytest.approx(2 * (w * d + d * h + h * w))
    turned = parts.rotate(mesh, degrees, axis)
    assert signed_volume(turned) == pytest.approx(w * d * h, rel=1e-6)


@pytest.mark.parametrize(("axis", "image"), [("x", (1, -3, 2)), ("y", (3, 2, -1)), ("z", (-2, 1, 3))])
def test_turning_is_counter_clockwise(axis, image) -> None:
    point = Mesh(np.array([[1.0, 2.0, 3.0]]), np.zeros((1, 3), np.int32))
    np.testing.assert_allclose(parts.rotate(point, 90, axis).vertices[0], image, atol=1e-12)


def test_open_surfaces_have_the_area_and_the_rims_they_should() -> None:
    pipe = revolve([(1, 0), (1, 5)], FINE)
    assert area(pipe) == pytest.approx(10 * np.pi, rel=1e-3)
    edges = directed_edges(pipe)
    rim = [edge for edge in edges if edge[::-1] not in set(edges)]
    assert len(rim) == 2 * 400
    centroids = pipe.vertices[pipe.faces].mean(axis=1)
    a, b, c = np.moveaxis(pipe.vertices[pipe.faces], 1, 0)
    outward = (np.cross(b - a, c - a)[:, :2] * centroids[:, :2]).sum(axis=1)
    assert (outward > 0).all()


def test_a_tube_with_two_widths_is_wide_along_across() -> None:
    strap = tube([(0, 0, 0), (0, 0, 1)], (0.3, 0.1), SQUARE, across=(0, 1, 0))
    np.testing.assert_allclose(np.ptp(strap.vertices, axis=0), (0.2, 0.6, 1), atol=1e-12)


@given(st.floats(1, 50), st.integers(3, 60))
def test_superellipses_satisfy_their_equation_counter_clockwise(power, points) -> None:
    x, y = parts.superellipse(power, points).T
    np.testing.assert_allclose(np.abs(x) ** power + np.abs(y) ** power, 1, atol=1e-9)
    assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=8))
def test_splines_pass_through_their_points(points) -> None:
    curve = parts.spline(points, 4 * (len(points) - 1) + 1)
    np.testing.assert_allclose(curve[::4], points, atol=1e-9)


def test_splines_keep_straight_lines() -> None:
    np.testing.assert_allclose(parts.spline([(0, 0), (1, 2), (2, 4)], 9), np.linspace((0, 0), (2, 4), 9), atol=1e-12)


def test_refining_cuts_each_face_in_four_and_keeps_the_surface() -> None:
    mesh = ball((1, 2, 3))
    fine = parts.subdivide(mesh)
    edges = len(directed_edges(mesh)) // 2
    assert len(fine.faces) == 4 * len(mesh.faces)
    assert len(fine.vertices) == len(mesh.vertices) + edges
    assert area(fine) == pytest.approx(area(mesh))
    assert signed_volume(fine) == pytest.approx(signed_volume(mesh))
