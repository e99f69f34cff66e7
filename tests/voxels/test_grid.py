"""The voxelizer against solids whose signed distance is known, against its own symmetries, and on real meshes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh, upright
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.voxels import occupancy_grids

Array = NDArray[np.float64]
Solid = tuple[Mesh, Callable[[Array], Array]]  # and its signed distance, negative inside, for points (..., 3)

HALF_DIAGONAL = np.sqrt(3) / 2


def mesh_of(vertices: ArrayLike, faces: ArrayLike) -> Mesh:
    return Mesh(np.array(vertices, np.float64), np.array(faces, np.int32))


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return mesh_of(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def box(x: float, y: float, z: float, centre: ArrayLike = (0, 0, 0), bottom: bool = True) -> Mesh:
    corners = np.array(list(product((-0.5, 0.5), repeat=3))) * (x, y, z) + centre
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (1, 5, 7, 3), (0, 2, 6, 4)]
    return mesh_of(corners, [t for a, b, c, d in sides[: 6 if bottom else 5] for t in ((a, b, c), (a, c, d))])


def revolved(radius: Array, height: Array, steps: int = 200) -> Mesh:
    """The profile turned about z; where it touches the axis its faces have no area."""
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)[:, None]
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    vertices = np.stack([x, y, np.broadcast_to(height, x.shape)], axis=-1).reshape(-1, 3)
    number = np.arange(len(vertices)).reshape(x.shape)
    a, b = number[:, :-1], number[:, 1:]
    d, c = np.roll(a, -1, axis=0), np.roll(b, -1, axis=0)
    return mesh_of(vertices, np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))]))


def sphere() -> Solid:
    t = np.linspace(-np.pi / 2, np.pi / 2, 200)
    return revolved(np.cos(t), np.sin(t)), lambda p: np.linalg.norm(p, axis=-1) - 1


def torus() -> Solid:
    t = np.linspace(0, 2 * np.pi, 200)
    return (
        revolved(2 + np.cos(t), np.sin(t)),
        lambda p: np.hypot(np.hypot(p[..., 0], p[..., 1]) - 2, p[..., 2]) - 1,
    )


def tilted_box(seed: int, *sides: float) -> Solid:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    upright_box = box(*sides)

    def distance(points: Array) -> Array:
        beyond = np.abs(points @ turn) - np.array(sides) / 2
        return np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0)

    return Mesh(upright_box.vertices @ turn.T, upright_box.faces), distance


def one(mesh: Mesh, **settings: object) -> NDArray[np.bool_]:
    """The only grid of ``mesh``."""
    (grid,) = occupancy_grids(mesh, VoxelSettings.model_validate(settings))
    return grid


def block(side: int, *counts: int) -> NDArray[np.bool_]:
    """A grid with a filled block of so many cells in its middle."""
    grid = np.zeros((side,) * 3, bool)
    grid[tuple(slice((side - n) // 2, (side + n) // 2) for n in counts)] = True
    return grid


def extents(grid: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last occupied index along each axis."""
    where = np.argwhere(grid)
    return list(zip(where.min(axis=0).tolist(), where.max(axis=0).tolist(), strict=True))


SOLIDS = {
    "sphere": sphere(),
    "torus": torus(),
    **{f"cube turned by seed {s}": tilted_box(s, 1, 1, 1) for s in range(4)},
    **{f"slab turned by seed {s}": tilted_box(s, 3, 2, 0.5) for s in range(4)},
}


@pytest.mark.parametrize("resolution", [30, 31, 64])
@pytest.mark.parametrize("name", SOLIDS)
def test_cells_deep_inside_are_filled_and_cells_far_outside_are_empty(name: str, resolution: int) -> None:
    mesh, distance = SOLIDS[name]
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    pitch = (high - low).max() / (resolution - 6)
    centres = np.stack(np.meshgrid(*[np.arange(resolution) + 0.5 - resolution / 2] * 3, indexing="ij"), axis=-1)
    outside = distance(centres * pitch + (low + high) / 2) / pitch  # in cells
    facets = 0.01  # the mesh of a curved solid is no farther from it than that
    solid, surface = one(mesh, resolution=resolution), one(mesh, resolution=resolution, fill="surface")
    assert (outside < -HALF_DIAGONAL).any()
    assert solid[outside < -facets].all()
    assert not solid[outside > HALF_DIAGONAL + facets].any()
    assert surface[np.abs(outside) < 0.5 - facets].all()
    assert not surface[np.abs(outside) > HALF_DIAGONAL + facets].any()
    assert (surface <= solid).all()


@pytest.mark.parametrize("fill", ["solid", "surface"])
@pytest.mark.parametrize(
    ("resolution", "padding"), [(30, 3), (30, 0), (31, 3), (1, 0), (2, 0), (3, 1), (4, 1), (64, 4), (97, 1), (160, 0)]
)
def test_a_cube_fills_its_cells_exactly(resolution: int, padding: int, fill: str) -> None:
    inside = resolution - 2 * padding
    expected = block(resolution, inside, inside, inside)
    if fill == "surface":
        expected &= ~block(resolution, *[max(inside - 2, 0)] * 3)
    np.testing.assert_array_equal(one(box(1, 1, 1), resolution=resolution, padding=padding, fill=fill), expected)


def test_a_box_fills_its_extents() -> None:
    np.testing.assert_array_equal(one(box(24, 12, 8)), block(30, 24, 12, 8))
    np.testing.assert_array_equal(one(box(25, 13, 7), resolution=31), block(31, 25, 13, 7))
    # Seven cells in the middle of an even number begin and end within a cell.
    np.testing.assert_array_equal(one(box(24, 12, 7)), block(30, 24, 12, 8))


@pytest.mark.parametrize("cells", range(2, 25, 2))
def test_single_precision_is_enough(cells: int) -> None:
    for size in np.linspace(0.1, 1, 20):
        mesh = box(size, size * cells / 24, size)
        rounded = mesh_of(mesh.vertices.astype(np.float32), mesh.faces)
        np.testing.assert_array_equal(one(rounded), block(30, 24, cells, 24))


@given(
    st.floats(-6, 6).map(lambda exponent: 10**exponent),
    st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    st.sampled_from(["solid", "surface"]),
)
def test_place_and_size_do_not_matter(size: float, offset: tuple[float, float, float], fill: str) -> None:
    cube = box(size, size, size, centre=np.array(offset) * size)
    np.testing.assert_array_equal(one(cube, fill=fill), one(box(1, 1, 1), fill=fill))


@given(
    st.lists(st.tuples(*[st.floats(-1, 1)] * 9), min_size=1, max_size=8),
    st.integers(1, 20),
    st.integers(0, 4),
    st.sampled_from(["solid", "surface"]),
)
def test_the_longest_extent_is_met_and_the_padding_is_empty(soup: list, inside: int, padding: int, fill: str) -> None:
    vertices = np.array(soup).reshape(-1, 3)
    vertices[0] = -1.5  # so that no soup is a point
    mesh = mesh_of(vertices, np.arange(len(vertices)).reshape(-1, 3))
    settings = VoxelSettings(resolution=inside + 2 * padding, padding=padding, fill=fill, rotations=3)
    for grid in occupancy_grids(mesh, settings):
        ranges = extents(grid)
        assert all(padding <= first and last < padding + inside for first, last in ranges)
        assert (padding, padding + inside - 1) in ranges


@pytest.mark.parametrize("fill", ["solid", "surface"])
@pytest.mark.parametrize("sides", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_flat_mesh_is_one_layer_or_the_two_that_it_lies_between(sides: tuple[int, int, int], fill: str) -> None:
    plate = box(*sides)
    np.testing.assert_array_equal(one(plate, fill=fill), block(30, *(24 if side else 2 for side in sides)))
    thin = one(plate, fill=fill, resolution=31)
    np.testing.assert_array_equal(thin, block(31, *(25 if side else 1 for side in sides)))


def test_a_face_without_area_is_a_wire() -> None:
    lamp = joined(box(1, 1, 1), mesh_of([(0, 0, 0.5), (0, 0, 1.5)], [(0, 1, 1)]))
    for height in range(20, 27):  # between four columns of cells, it meets them all
        np.testing.assert_array_equal(np.argwhere(one(lamp)[:, :, height]), [(14, 14), (14, 15), (15, 14), (15, 15)])


def test_the_outside_reaches_in_through_an_open_side() -> None:
    bowl = box(1, 1, 1, bottom=False)
    np.testing.assert_array_equal(one(bowl), one(bowl, fill="surface"))
    assert not one(bowl)[15, 15, 3:26].any()
    assert one(bowl)[15, 15, 26]


@pytest.mark.parametrize(("cells", "filled"), [(0.9, True), (2.1, False)])
def test_a_hole_narrower_than_a_cell_is_closed(cells: float, filled: bool) -> None:
    rim = cells / 48
    frame = [(x * r, y * r, -0.5) for r in (0.5, rim) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    sides = [(a, (a + 1) % 4) for a in range(4)]
    faces = [t for a, b in sides for t in ((a, b, b + 4), (a, b + 4, a + 4))]
    inside = one(joined(box(1, 1, 1, bottom=False), mesh_of(frame, faces)))[4:26, 4:26, 4:26]
    assert inside.all() if filled else not inside.any()


def test_a_hidden_cavity_is_filled() -> None:
    shell = joined(box(1, 1, 1), box(0.5, 0.5, 0.5))
    np.testing.assert_array_equal(one(shell), block(30, 24, 24, 24))
    surface = one(shell, fill="surface")
    assert not surface[15, 15, 15]
    assert not surface[5, 15, 15]


def test_parts_apart_stay_apart() -> None:
    grid = one(joined(box(1, 1, 1), box(1, 1, 1, centre=(3.1, 0, 0))))
    np.testing.assert_array_equal(np.flatnonzero(grid.any(axis=(1, 2))), [*range(3, 9), *range(21, 27)])


@pytest.mark.parametrize("octant", list(product((-1, 1), repeat=3)))
def test_nothing_is_mirrored_or_swapped(octant: tuple[int, int, int]) -> None:
    frame = box(24, 24, 24)
    beams = mesh_of(frame.vertices, [(0, 7, 7)])  # keeps the extents, without a volume
    marker = box(2, 2, 2, centre=np.array(octant) * (10, 6, 2))
    grid = one(joined(beams, marker))
    x, y, z = np.array([15, 15, 15]) + np.array(octant) * (10, 6, 2)
    expected = one(beams)
    expected[x - 1 : x + 1, y - 1 : y + 1, z - 1 : z + 1] = True
    assert (expected <= grid).all()
    assert not (grid & ~one(joined(beams, box(3, 3, 3, centre=np.array(octant) * (10, 6, 2))))).any()


def shoe() -> Mesh:
    """Nothing about it is symmetric."""
    return joined(box(10, 4, 2), box(3, 3, 5, centre=(3, 0.4, 3)), box(1.2, 6, 1, centre=(-3, 2, 0.7)))


def test_rotations_are_counter_clockwise_seen_from_above() -> None:
    for fill in ("solid", "surface"):
        grids = occupancy_grids(shoe(), VoxelSettings(rotations=4, fill=fill))
        assert grids.shape == (4, 30, 30, 30)
        for k in range(4):
            np.testing.assert_array_equal(grids[k], np.rot90(grids[0], k, axes=(0, 1)))
        assert (grids[1] != grids[0]).any()


def test_far_from_the_origin_turning_costs_no_digits() -> None:
    here = mesh_of(np.round(shoe().vertices * 20), shoe().faces)
    there = mesh_of(here.vertices + 2**50, here.faces)  # exact
    settings = VoxelSettings(rotations=12)
    np.testing.assert_array_equal(occupancy_grids(there, settings), occupancy_grids(here, settings))


def test_the_first_rotation_is_the_mesh_as_it_is() -> None:
    np.testing.assert_array_equal(occupancy_grids(shoe(), VoxelSettings(rotations=12))[0], one(shoe()))


def test_each_rotation_is_fitted_anew() -> None:
    mesh = box(24, 24, 2)
    grids = occupancy_grids(mesh, VoxelSettings(rotations=12))
    assert all(extents(grid)[0] == extents(grid)[1] == (3, 26) for grid in grids)
    # Turned by 30° it would span 32.8 cells; fitted, its two cells of height become 1.46 in the middle.
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    np.testing.assert_array_equal(grids[1], one(Mesh(mesh.vertices @ turn.T, mesh.faces)))
    assert grids[1].sum() < grids[0].sum()


@pytest.mark.parametrize(("side", "cells"), [(2 / 3, 2), (2, 6), (4, 12)])
def test_kept_sizes_are_in_proportion(side: float, cells: int) -> None:
    """8 units of the file, which are 24 cells, hold the largest shape."""
    settings = VoxelSettings(keep_scale=8.0, rotations=4)
    for mesh in (box(side, side, side), normalize(box(side, side, side))):
        for grid in occupancy_grids(mesh, settings):
            assert grid.sum() == cells**3


def test_a_shape_that_is_larger_than_the_kept_size_just_fits() -> None:
    one, other = (occupancy_grids(box(side, side, side), VoxelSettings(keep_scale=8.0)) for side in (8 / 3**0.5, 99))
    assert one.sum() == 14**3  # 24 / √3 = 13.9 cells, of which the outer ones are met
    np.testing.assert_array_equal(one, other)


def test_order_winding_and_repetition_of_faces_do_not_matter() -> None:
    mesh, _ = SOLIDS["cube turned by seed 0"]
    mesh = joined(mesh, shoe())
    rng = np.random.default_rng(0)
    order = rng.permutation(len(mesh.faces))
    shuffled = np.concatenate([mesh.faces[order], mesh.faces[:5]])
    flipped = np.where(rng.random((len(shuffled), 1)) < 0.5, shuffled, shuffled[:, ::-1])
    for fill in ("solid", "surface"):
        grid = one(mesh, fill=fill)
        np.testing.assert_array_equal(one(mesh, fill=fill), grid)
        np.testing.assert_array_equal(one(mesh_of(mesh.vertices, flipped), fill=fill), grid)


def test_the_mesh_is_left_as_it_was() -> None:
    mesh = shoe()
    before = mesh.vertices.copy(), mesh.faces.copy()
    occupancy_grids(mesh, VoxelSettings(rotations=2))
    np.testing.assert_array_equal(mesh.vertices, before[0])
    np.testing.assert_array_equal(mesh.faces, before[1])


def test_real_meshes(data_dir: Path) -> None:
    shapes = list_shapes(data_dir / "psb.zip")[::30]
    assert len(shapes) > 30
    for shape in shapes:
        mesh = upright(read_mesh(shape.read(), shape.id), "y")
        solid = occupancy_grids(mesh, VoxelSettings(rotations=2))
        surface = occupancy_grids(mesh, VoxelSettings(rotations=2, fill="surface"))
        assert (surface <= solid).all()
        for grid in [*solid, *surface]:
            ranges = extents(grid)
            assert all(first >= 3 and last <= 26 for first, last in ranges), shape.id
            assert (3, 26) in ranges, shape.id
