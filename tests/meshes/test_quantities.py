"""Area and volume: known solids, trimesh as an oracle, and surfaces that enclose nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.meshes import quantities
from shapecnn.meshes.mesh import Mesh, normalize, upright
from shapecnn.meshes.quantities import enclosed_volume, measure, surface_area


def mesh_of(*parts: trimesh.Trimesh) -> Mesh:
    """The parts in one mesh, without joining anything."""
    whole = trimesh.util.concatenate(parts) if len(parts) > 1 else parts[0]
    return Mesh(np.array(whole.vertices), np.array(whole.faces, np.int32))


def flipped(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)


def shifted(mesh: trimesh.Trimesh, x: float) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices + np.array([x, 0, 0]), mesh.faces, process=False)


BOX = trimesh.creation.box((1, 2, 3))
BALL = trimesh.creation.icosphere(3)


def test_known_solids() -> None:
    box = measure(mesh_of(BOX))
    assert (box.area, box.volume) == (pytest.approx(22), pytest.approx(6))
    ball = measure(mesh_of(trimesh.creation.icosphere(5)))
    assert (ball.area, ball.volume) == (pytest.approx(4 * math.pi, rel=1e-2), pytest.approx(4 / 3 * math.pi, rel=1e-2))


@pytest.mark.parametrize(
    "solid",
    [BOX, BALL, trimesh.creation.cylinder(1, 3), trimesh.creation.annulus(0.5, 1, 1), trimesh.creation.capsule(),
     trimesh.creation.torus(2, 0.5)],
)  # fmt: skip
def test_trimesh_measures_the_same_also_of_triangles_that_share_no_vertex(solid: trimesh.Trimesh) -> None:
    loose = Mesh(np.array(solid.vertices)[solid.faces].reshape(-1, 3), np.arange(3 * len(solid.faces)).reshape(-1, 3))
    for mesh in (mesh_of(solid), loose):
        assert surface_area(mesh) == pytest.approx(solid.area)
        assert enclosed_volume(mesh) == pytest.approx(solid.volume)


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.floats(0, 2 * math.pi), st.floats(-100, 100))
def test_turning_and_moving_changes_nothing_and_scaling_the_expected(
    extents: list[float], angle: float, offset: float
) -> None:
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    box = mesh_of(trimesh.creation.box(extents))
    x, y, z = extents
    expected = 2 * (x * y + y * z + z * x), x * y * z

    def measured(vertices: NDArray[np.float64]) -> tuple[float, float | None]:
        found = measure(Mesh(vertices, box.faces))
        return found.area, found.volume

    assert measured(box.vertices @ turn.T + offset) == pytest.approx(expected, rel=1e-6)
    assert measured(2 * box.vertices) == pytest.approx((4 * expected[0], 8 * expected[1]))
    assert measured(-box.vertices) == pytest.approx(expected)  # mirrored: all faces point inwards


def test_what_the_normalized_mesh_has_does_not_depend_on_size_place_and_axis() -> None:
    solid = trimesh.creation.cone(1, 2)
    first = measure(normalize(mesh_of(solid)))
    moved = mesh_of(trimesh.Trimesh(7 * solid.vertices + 3, solid.faces))
    second = measure(normalize(upright(moved, "y")))
    assert (second.area, second.volume) == pytest.approx((first.area, first.volume))


@pytest.mark.parametrize(
    "mesh",
    [
        Mesh(np.array(BOX.vertices), np.array(BOX.faces[1:], np.int32)),  # a face is missing
        Mesh(np.array(BOX.vertices), np.array([BOX.faces[0][::-1], *BOX.faces[1:]], np.int32)),  # one is turned
        Mesh(np.array(BOX.vertices), np.array([*BOX.faces, *BOX.faces], np.int32)),  # all are there twice
        Mesh(np.array(BOX.vertices), np.array([*BOX.faces, *BOX.faces[:, ::-1]], np.int32)),  # both sides of a sheet
        mesh_of(BOX, flipped(shifted(BOX, 5))),  # the parts face different ways
        Mesh(np.array(BOX.vertices), np.array(BOX.faces[:1], np.int32)),
    ],
)
def test_what_encloses_no_volume_has_none_but_an_area(mesh: Mesh) -> None:
    assert enclosed_volume(mesh) is None
    assert surface_area(mesh) == pytest.approx(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).area)


def test_parts_add_up_and_may_all_face_inwards() -> None:
    assert enclosed_volume(mesh_of(BOX, shifted(BOX, 5))) == pytest.approx(12)
    assert enclosed_volume(mesh_of(flipped(BOX), flipped(shifted(BOX, 5)))) == pytest.approx(12)
    assert enclosed_volume(mesh_of(BOX, shifted(BOX, 1))) == pytest.approx(12)  # they touch in a face
    cube = trimesh.creation.box((1, 1, 1))
    beside = trimesh.Trimesh(cube.vertices + np.array([1, 1, 0]), cube.faces, process=False)
    assert enclosed_volume(mesh_of(cube, beside)) == pytest.approx(2)  # four faces meet in an edge


def test_faces_with_a_vertex_twice_do_not_count() -> None:
    faces = np.array([*BOX.faces, (0, 0, 1), (2, 2, 2)], np.int32)
    assert enclosed_volume(Mesh(np.array(BOX.vertices), faces)) == pytest.approx(6)


def test_blocks_and_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = measure(mesh_of(BALL))
    monkeypatch.setattr(quantities, "_BLOCK", 7)
    blocks = measure(mesh_of(BALL))
    assert (blocks.area, blocks.volume) == (pytest.approx(expected.area), pytest.approx(expected.volume))
    monkeypatch.setattr(quantities, "_MOST_FACES", len(BALL.faces) - 1)
    assert enclosed_volume(mesh_of(BALL)) is None
