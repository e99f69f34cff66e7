"""What signatures do not see, on shapes without any symmetry, and what they do."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.duplicates.signatures import INPUT_TOLERANCE, MESH_TOLERANCE, input_signature, mesh_signature
from shapecnn.meshes.mesh import Mesh, normalize
from shapecnn.settings.artefacts import ViewSettings, VoxelSettings
from shapecnn.views import render_views
from shapecnn.voxels import occupancy_grids


def steps(extra: float = 0.0) -> Mesh:
    """Three boxes of different sizes around a corner: no symmetry."""
    parts = []
    for extents, at in (((2, 1, 1), (0, 0, 0)), ((0.5, 1.5 + extra, 1), (1, 1, 0.5)), ((0.4, 0.4, 2), (-0.7, 0.2, 1))):
        box = trimesh.creation.box(extents).subdivide()
        parts.append(box.apply_translation(at))
    whole = trimesh.util.concatenate(parts)
    return Mesh(np.array(whole.vertices, np.float64), np.array(whole.faces, np.int32))


def turned(mesh: Mesh, degrees: float) -> Mesh:
    a = np.deg2rad(degrees)
    around = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return Mesh(mesh.vertices @ around.T, mesh.faces)


def mirrored(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices * [1, -1, 1], mesh.faces)


def renumbered(mesh: Mesh) -> Mesh:
    random = np.random.default_rng(0)
    order = random.permutation(len(mesh.vertices))
    faces = np.argsort(order)[mesh.faces][random.permutation(len(mesh.faces))]
    return Mesh(mesh.vertices[order], faces.astype(np.int32))


def apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    assert np.linalg.norm(a) == pytest.approx(1)
    return float(np.linalg.norm(a - b))


@given(
    degrees=st.floats(0, 360), size=st.floats(1e-3, 1e3), x=st.floats(-5, 5), mirror=st.booleans(), double=st.booleans()
)
def test_a_mesh_moved_scaled_turned_mirrored_renumbered_or_doubled(
    degrees: float, size: float, x: float, mirror: bool, double: bool
) -> None:
    mesh = steps()
    copy = turned(renumbered(mirrored(mesh) if mirror else mesh), degrees)
    faces = np.concatenate([copy.faces, copy.faces[:, ::-1]]) if double else copy.faces
    copy = Mesh(copy.vertices * size + [x, -x, 2 * x], faces)
    assert apart(mesh_signature(copy), mesh_signature(mesh)) < 1e-5


def test_a_mesh_split_into_vertices_and_faces_of_its_own() -> None:
    mesh = steps()
    finer = trimesh.Trimesh(mesh.vertices, mesh.faces).subdivide()
    alone = Mesh(
        finer.vertices[finer.faces].reshape(-1, 3), np.arange(3 * len(finer.faces), dtype=np.int32).reshape(-1, 3)
    )
    assert apart(mesh_signature(alone), mesh_signature(mesh)) < 1e-5


def test_another_mesh_is_another() -> None:
    mesh = steps()
    lying = Mesh(mesh.vertices[:, [0, 2, 1]], mesh.faces)
    for other in (steps(0.1), lying, Mesh(mesh.vertices * [1, 1, 1.05], mesh.faces)):
        assert apart(mesh_signature(other), mesh_signature(mesh)) > MESH_TOLERANCE


def test_moments_are_those_of_the_surface() -> None:
    """A sample of points tells the same."""
    from shapecnn.duplicates import signatures

    mesh = normalize(steps())
    points, _ = trimesh.sample.sample_surface(trimesh.Trimesh(mesh.vertices, mesh.faces), 200_000, seed=0)
    x, y, z = np.asarray(points).T
    corners = mesh.vertices[mesh.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    found = signatures._moments(corners, areas / areas.sum())
    for m in range(5):
        for place, (k, n) in enumerate(signatures._POWERS):
            if m + k + 2 * n <= 4:
                sampled = ((x + 1j * y) ** m * z**k * (x**2 + y**2) ** n).mean()
                assert abs(found[m, place] - sampled) < 1e-2


COPIES = {
    "renumbered": renumbered(steps()),
    "quarter turn": turned(steps(), 90),
    "mirrored": mirrored(steps()),
    "mirrored at the other plane, turned, scaled and moved": Mesh(
        turned(Mesh(steps().vertices * [-1, 1, 1], steps().faces), 270).vertices * 3 + 1, steps().faces
    ),
}


def views(mesh: Mesh, **settings: int) -> NDArray[np.uint8]:
    return render_views(normalize(mesh), ViewSettings(size=64, **settings))


def grids(mesh: Mesh, rotations: int = 1) -> NDArray[np.bool_]:
    return np.stack(list(occupancy_grids(normalize(mesh), VoxelSettings(rotations=rotations))))


@pytest.mark.parametrize("name", COPIES)
def test_copies_look_the_same(name: str) -> None:
    for drawn in (views, grids, lambda mesh: grids(mesh, 4)):
        assert apart(input_signature(drawn(COPIES[name])), input_signature(drawn(steps()))) < INPUT_TOLERANCE


def test_other_shapes_look_otherwise() -> None:
    for drawn in (views, grids, lambda mesh: grids(mesh, 4), lambda mesh: views(mesh, views=20)):
        assert apart(input_signature(drawn(steps(0.2))), input_signature(drawn(steps()))) > 2 * INPUT_TOLERANCE


def test_views_are_a_ring_whose_order_counts() -> None:
    pictures = views(steps())
    assert apart(input_signature(np.roll(pictures, 5, axis=0)), input_signature(pictures)) < 1e-3
    swapped = pictures[[0, 4, 2, 3, 1, *range(5, 12)]]
    assert apart(input_signature(swapped), input_signature(pictures)) > 2 * INPUT_TOLERANCE


def test_twenty_views_are_compared_one_by_one() -> None:
    assert (
        apart(input_signature(views(renumbered(steps()), views=20)), input_signature(views(steps(), views=20))) < 1e-3
    )
    assert apart(input_signature(views(turned(steps(), 90), views=20)), input_signature(views(steps(), views=20))) > 0.1


def test_nothing_is_zeros_whatever_its_size() -> None:
    assert not input_signature(np.full((12, 9, 9), 255, np.uint8)).any()
    assert not input_signature(np.zeros((1, 7, 7, 7), bool)).any()
