"""The pose of a mesh depends on its shape alone: turning it first changes nothing but what its own symmetry allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh, upright
from shapecnn.meshes.orientation import canonical_axes, posed
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.sources.shapes import CLASSES, make_shape
from shapecnn.views import render_views
from shapecnn.voxels import occupancy_grids

SEEDS = st.integers(0, 2**32 - 1)


def rotation(seed: int) -> NDArray[np.float64]:
    """Uniform over all rotations."""
    return trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).random(3))[:3, :3]


def turned(mesh: Mesh, R: NDArray[np.float64]) -> Mesh:
    return Mesh(mesh.vertices @ R.T, mesh.faces)


def solid(made: trimesh.Trimesh) -> Mesh:
    return normalize(Mesh(np.array(made.vertices, float), np.array(made.faces, np.int32)))


def corner() -> Mesh:
    """A tetrahedron with edges of three lengths along the axes, and no symmetry."""
    vertices = np.array([[0, 0, 0], [1.0, 0, 0], [0, 0.7, 0], [0, 0, 0.5]])
    return normalize(Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)))


def bracket() -> Mesh:
    """Three boxes joined without symmetry."""
    boxes = []
    for extents, centre in (((3, 1, 0.5), (0, 0, 0)), ((0.5, 1, 2), (1.2, 0, 1)), ((0.4, 0.6, 0.4), (-1, 0.7, 0.2))):
        box = trimesh.creation.box(extents)
        box.apply_translation(centre)
        boxes.append(box)
    return solid(trimesh.util.concatenate(boxes))


@given(seed=SEEDS)
def test_a_turned_box_lies_along_the_axes_longest_first(seed: int) -> None:
    box = solid(trimesh.creation.box((3.0, 2.0, 1.0)))
    extents = np.ptp(posed(turned(box, rotation(seed)), "auto").vertices, axis=0)
    np.testing.assert_allclose(extents / extents[2], (3, 2, 1), atol=1e-9)


@pytest.mark.parametrize("mesh", [corner(), bracket()], ids=["corner", "bracket"])
@given(seed=SEEDS)
def test_without_symmetry_the_pose_is_the_same_however_it_was_turned(mesh: Mesh, seed: int) -> None:
    again = posed(turned(mesh, rotation(seed)), "auto")
    np.testing.assert_allclose(again.vertices, posed(mesh, "auto").vertices, atol=1e-6)


@pytest.mark.parametrize("extents", [(1, 1, 1), (1, 1, 2)], ids=["cube", "prism"])
@given(seed=SEEDS)
def test_what_a_symmetry_leaves_open_does_not_show(extents: tuple[float, ...], seed: int) -> None:
    box = solid(trimesh.creation.box(extents))
    settings = VoxelSettings(resolution=12, padding=1, orientation="auto")
    grid = occupancy_grids(turned(box, rotation(seed)), settings)[0]
    np.testing.assert_array_equal(grid, occupancy_grids(box, settings)[0])


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("seed", range(3))
def test_the_24_views_of_a_turned_shape_are_the_same_pictures(label: str, seed: int) -> None:
    """In another order where axes or signs are near a tie, and but for rounding at edges."""
    mesh = normalize(make_shape(label, seed))
    settings = ViewSettings(size=32, orientation="auto")
    pictures = [render_views(each, settings).astype(float) for each in (mesh, turned(mesh, rotation(seed)))]
    apart = np.abs(pictures[0][:, None] - pictures[1][None]).mean(axis=(2, 3))
    assert apart.min(axis=1).max() < 2


@pytest.mark.parametrize(
    "made",
    [
        solid(trimesh.creation.icosphere(2)),
        Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]], np.int32)),
        Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [2, 1e-9, 0]]), np.array([[0, 1, 2]], np.int32)),
        Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 0, 1]], np.int32)),
    ],
    ids=["ball", "flat", "needle", "zero-area face"],
)
def test_degenerate_shapes_have_some_pose(made: Mesh) -> None:
    axes = canonical_axes(normalize(made))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)


@given(seed=SEEDS)
def test_how_finely_a_face_is_cut_and_who_repeats_it_is_no_matter(seed: int) -> None:
    fine = trimesh.creation.box((3.0, 2.0, 1.0))
    fine.apply_transform(trimesh.transformations.rotation_matrix(0.4, (1, 2, 3)))
    picked = np.random.default_rng(seed).choice(12, 6, replace=False)
    axes = [canonical_axes(solid(mesh)) for mesh in (fine, fine.subdivide(picked))]
    np.testing.assert_allclose(np.abs(axes[0] @ axes[1].T), np.eye(3), atol=1e-6)


def test_upright_leaves_a_mesh_as_it_is() -> None:
    mesh = corner()
    assert posed(mesh, "upright") is mesh


def test_the_up_of_real_shapes_is_mostly_along_an_axis(data_dir: Path) -> None:
    """Measured over the whole train split: 89 %. Principal axes alone: 74 %."""
    shapes = [shape for shape in list_shapes(data_dir / "psb.zip") if shape.split == "train"][::10]
    near = []
    for number, shape in enumerate(shapes):
        R = rotation(number)
        mesh = turned(normalize(upright(read_mesh(shape.read(), shape.id, shape.sibling), "y")), R)
        near.append(np.abs(canonical_axes(mesh) @ R[:, 2]).max() > np.cos(np.deg2rad(10)))
    assert np.mean(near) > 0.82
