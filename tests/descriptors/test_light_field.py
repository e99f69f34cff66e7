"""The light field descriptor from end to end: its values, rotations of the object, its rows, and its similarity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapecnn.descriptors.alignment import dodecahedron_rotations, light_field_distances
from shapecnn.descriptors.contours import contour_coefficients
from shapecnn.descriptors.light_field import LENGTH, ROW, from_rows, light_field, light_field_similarity, to_row
from shapecnn.descriptors.zernike import zernike_magnitudes
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.shared.similarity import scale_to_unit, unit_float64
from shapecnn.views import render_views
from tests.descriptors.test_alignment import light_fields
from tests.views.shapes import letter_f

Descriptors = NDArray[np.uint8]


def silhouettes(mesh: Mesh, rotation: NDArray[np.float64] | None = None, size: int = 128) -> NDArray[np.uint8]:
    """The silhouettes of a mesh that is first turned by a rotation matrix."""
    vertices = mesh.vertices if rotation is None else mesh.vertices @ rotation.T
    return render_views(normalize(Mesh(vertices, mesh.faces)), ViewSettings(silhouettes=True, size=size))


def describe(mesh: Mesh, rotation: NDArray[np.float64] | None = None) -> Descriptors:
    return light_field(silhouettes(mesh, rotation))


def solid(mesh: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32))


SOLIDS = {
    "letter": letter_f(),
    "box": solid(trimesh.creation.box((1, 2, 3))),
    "rod": solid(trimesh.creation.cylinder(0.2, 2.0, sections=16)),
    "cone": solid(trimesh.creation.cone(1.0, 2.0, sections=24)),
    "tube": solid(trimesh.creation.annulus(0.5, 1.0, 1.0, sections=16)),
}


@pytest.fixture(scope="module")
def solids() -> dict[str, Descriptors]:
    return {name: describe(mesh) for name, mesh in SOLIDS.items()}


def test_the_values_are_those_of_each_silhouette_in_their_documented_order() -> None:
    pictures = silhouettes(SOLIDS["letter"])
    descriptor = light_field(pictures)
    assert (descriptor.shape, descriptor.dtype) == ((LENGTH,), np.uint8)
    by_silhouette = descriptor.reshape(10, 10, 45)
    for system, direction in ((0, 0), (3, 7), (9, 9)):
        shape = pictures[10 * system + direction] < 255
        zernike, fourier = (function(shape[None])[0] for function in (zernike_magnitudes, contour_coefficients))
        np.testing.assert_array_equal(by_silhouette[system, direction, :35], np.floor(256 * zernike))
        np.testing.assert_array_equal(by_silhouette[system, direction, 35:], np.floor(512 * fourier))


def test_values_beyond_eight_bits_are_255_and_empty_silhouettes_0() -> None:
    pictures = np.full((100, 32, 32), 255, np.uint8)
    pictures[5, 16, 16] = 0
    by_silhouette = light_field(pictures).reshape(100, 45)
    assert not np.delete(by_silhouette, 5, axis=0).any()
    assert (by_silhouette[5] == 255).sum() == 5  # the moments of orders 2, 4 … 10 without repetition are 1


def test_the_descriptor_is_the_same_in_every_run() -> None:
    np.testing.assert_array_equal(describe(SOLIDS["letter"]), describe(SOLIDS["letter"]))


def distance(one: Descriptors, other: Descriptors) -> int:
    return int(light_field_distances(one[None], other[None])[0, 0])


@pytest.mark.parametrize("number", [7, 23, 59])
def test_a_rotation_of_the_dodecahedron_leaves_the_distance_tiny(number: int, solids: dict[str, Descriptors]) -> None:
    """The silhouettes of the first system are the same, in another order and turned in the picture."""
    turned = describe(SOLIDS["letter"], dodecahedron_rotations()[number])
    others = [distance(turned, solids[name]) for name in solids if name != "letter"]
    assert distance(turned, solids["letter"]) < 0.05 * min(others)
    first, own = (each.reshape(10, 10, 45).astype(int) for each in (turned, solids["letter"]))
    assert np.abs(first - own).sum() > 10 * distance(turned, solids["letter"])  # not without alignment


def test_arbitrary_rotations_change_a_shape_less_than_another_shape_does(solids: dict[str, Descriptors]) -> None:
    originals = np.stack([*solids.values()])
    between = light_field_distances(originals, originals)[~np.eye(len(originals), dtype=bool)]
    turned = np.stack([describe(mesh, Rotation.random(rng=3).as_matrix()) for mesh in SOLIDS.values()])
    distances = light_field_distances(turned, originals)
    own = np.diag(distances)
    assert (distances.argmin(axis=1) == range(len(originals))).all()
    assert own.mean() < 0.35 * between.mean()
    assert own.max() < between.min()


def test_rotated_shapes_of_a_benchmark_are_nearest_to_themselves(data_dir: Path) -> None:
    shapes = [shape for shape in list_shapes(data_dir / "psb.zip") if shape.split == "train"][::118]
    meshes = [normalize(read_mesh(shape.read(), shape.id)) for shape in shapes]
    originals = np.stack([describe(mesh) for mesh in meshes])
    turned = np.stack([describe(mesh, Rotation.random(rng=5).as_matrix()) for mesh in meshes])
    distances = light_field_distances(turned, originals)
    own = np.diag(distances)
    others = distances[~np.eye(len(shapes), dtype=bool)]
    assert (distances.argmin(axis=1) == range(len(shapes))).all()
    assert own.mean() < 0.5 * others.mean()


# Rows


def rows_of(descriptors: Descriptors) -> NDArray[np.float32]:
    return np.stack([to_row(descriptor) for descriptor in descriptors])


def test_rows_keep_every_value_when_they_are_scaled() -> None:
    descriptors = np.concatenate(
        [light_fields(20), np.zeros((1, LENGTH), np.uint8), np.full((1, LENGTH), 255, np.uint8)]
    )
    rows = rows_of(descriptors)
    assert (rows.shape, rows.dtype) == ((22, ROW), np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    factors = np.random.default_rng(0).uniform(0.01, 100, (22, 1))
    for scaled in (rows, rows * factors, unit_float64(rows * factors), scale_to_unit((rows * 7).astype(np.float32))):
        np.testing.assert_array_equal(from_rows(scaled), descriptors)


def broken(**changes: float) -> NDArray[np.float64]:
    """Two rows, of which the second has other values at the given positions."""
    rows = rows_of(light_fields(2)).astype(np.float64)
    for position, value in changes.items():
        rows[1, int(position.removeprefix("at_"))] = value
    return rows


@pytest.mark.parametrize(
    "rows",
    [
        broken(at_4500=0.0),
        broken(at_4500=-1.0),
        broken(at_4500=np.inf),
        broken(at_4500=np.nan),
        broken(at_7=np.nan),
        broken(at_7=-1.0),
        broken(at_7=300.0),
        broken(at_7=10.4 / 255 * broken()[1, LENGTH]),
        np.concatenate([broken()[:1], np.random.default_rng(0).random((1, ROW))]),
    ],
)
def test_other_features_are_no_descriptor(rows: NDArray[np.float64]) -> None:
    sentence = "The features in row 1 are not a light field descriptor: compute them with the model @lfd."
    for call in (from_rows, lambda rows: light_field_similarity(broken(), rows)):
        with pytest.raises(UsageError) as caught:
            call(rows)
        assert str(caught.value) == sentence


@pytest.mark.parametrize("rows", [np.ones((2, LENGTH)), np.ones(ROW)])
def test_rows_of_another_length_are_refused(rows: NDArray[np.float64]) -> None:
    with pytest.raises(UsageError, match=r"A light field descriptor has 4,501 values, but the features have shape \("):
        from_rows(rows)


@pytest.mark.parametrize("shape", [(12, 64, 64), (100, 64), (1, 100, 64, 64)])
def test_other_views_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"A light field has 100 silhouettes, .* draw the views with --silhouettes"):
        light_field(np.zeros(shape, np.uint8))


# Similarity


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_similarity_falls_with_the_distance_in_all_blocks_of_the_gallery(dtype: type[np.floating]) -> None:
    queries, gallery = light_fields(2), np.concatenate([light_fields(300, seed=1), light_fields(2)])
    similarity = light_field_similarity(rows_of(queries).astype(dtype), rows_of(gallery).astype(dtype) * dtype(3))
    assert (similarity.shape, similarity.dtype) == ((2, 302), dtype)
    np.testing.assert_allclose(similarity, 1 / (1 + light_field_distances(queries, gallery) / 5000), rtol=1e-6)
    np.testing.assert_array_equal(similarity[:, 300:] == 1, np.eye(2, dtype=bool))


def test_close_distances_have_different_similarities_even_in_32_bits() -> None:
    totals = np.array([0, 1, 2, 5000, 5001, 50_000, 50_001, 114_749, 114_750])  # of the values of each system
    values = np.clip(totals[:, None] - 255 * np.arange(450), 0, 255).astype(np.uint8)
    gallery = np.tile(values, (1, 10))
    nothing = np.zeros((1, LENGTH), np.uint8)
    np.testing.assert_array_equal(light_field_distances(nothing, gallery)[0], totals)
    (similarity,) = light_field_similarity(rows_of(nothing), rows_of(gallery))
    assert similarity.dtype == np.float32
    assert similarity[0] == 1
    assert similarity[3] == 0.5
    assert (np.diff(similarity) < 0).all()


def test_the_similarity_is_symmetric_and_empty_for_no_shapes() -> None:
    rows = rows_of(light_fields(9))
    similarity = light_field_similarity(rows, rows)
    np.testing.assert_array_equal(similarity, similarity.T)
    assert light_field_similarity(rows[:0], rows).shape == (0, 9)
    assert light_field_similarity(rows, rows[:0]).shape == (9, 0)
