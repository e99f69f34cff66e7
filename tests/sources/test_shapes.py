"""The generated collection: repeatable, valid, varied, with the defects it promises, and laid out as others read it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecnn.errors import UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import Mesh, normalize, read_mesh
from shapecnn.sources.shapes import CLASSES, make_shape, write_collection, write_off

each_class = pytest.mark.parametrize("label", CLASSES)


@pytest.fixture(scope="module")
def many() -> dict[str, list[Mesh]]:
    return {label: [make_shape(label, seed) for seed in range(24)] for label in CLASSES}


def test_there_are_enough_classes_with_a_mug_among_them() -> None:
    assert len(CLASSES) >= 12
    assert list(CLASSES) == sorted(set(CLASSES))
    assert "mug" in CLASSES


@each_class
def test_the_same_label_and_seed_give_the_same_bytes(label: str) -> None:
    first = write_off(make_shape(label, 3))
    make_shape(label, 4)
    assert write_off(make_shape(label, 3)) == first


def test_labels_and_seeds_give_different_shapes(many: dict[str, list[Mesh]]) -> None:
    files = [write_off(mesh) for meshes in many.values() for mesh in meshes]
    assert len(set(files)) == len(files)


@given(st.sampled_from(CLASSES), st.integers(0, 2**40))
@settings(max_examples=150)
def test_any_shape_is_a_valid_mesh_that_survives_its_file(label: str, seed: int) -> None:
    mesh = make_shape(label, seed)
    assert mesh.faces.dtype == np.int32
    assert 100 <= len(mesh.faces) <= 10_000
    assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)))
    read = read_mesh(write_off(mesh), "a.off")
    assert np.array_equal(read.faces, mesh.faces)
    np.testing.assert_allclose(read.vertices, mesh.vertices, rtol=6e-6, atol=0)


@each_class
def test_proportions_and_topology_vary(many: dict[str, list[Mesh]], label: str) -> None:
    extents = np.array([np.ptp(normalize(mesh).vertices, axis=0) for mesh in many[label]])
    slimness = np.log(extents[:, 2] / extents[:, :2].max(axis=1))
    assert slimness.std() > 0.1
    assert len({len(mesh.faces) for mesh in many[label]}) >= 12


def test_units_and_places_vary(many: dict[str, list[Mesh]]) -> None:
    meshes = [mesh for group in many.values() for mesh in group]
    sizes = np.array([np.ptp(mesh.vertices, axis=0).max() for mesh in meshes])
    assert sizes.max() / sizes.min() > 1e4
    centres = np.array([(mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2 for mesh in meshes])
    assert (np.median(np.abs(centres) / sizes[:, None], axis=0) > 0.3).all()


def test_z_is_up(many: dict[str, list[Mesh]]) -> None:
    extents = {label: np.array([np.ptp(mesh.vertices, axis=0) for mesh in group]) for label, group in many.items()}
    for flat in ("airplane", "car", "bowl"):
        assert np.mean(extents[flat].argmin(axis=1) == 2) > 0.8
    for tall in ("bottle", "guitar", "ladder"):
        assert np.mean(extents[tall].argmax(axis=1) == 2) > 0.75


def test_a_mug_has_its_handle_in_any_direction() -> None:
    """The handle moves the middle of the bounding box away from the axis of the cup, which is the median vertex."""
    angles = []
    for seed in range(40):
        mesh = normalize(make_shape("mug", seed))
        x, y, _ = -np.median(mesh.vertices, axis=0)
        angles.append(np.arctan2(y, x))
    assert all(count >= 3 for count in np.histogram(angles, 4, (-np.pi, np.pi))[0])


def test_defects_are_as_frequent_as_promised(many: dict[str, list[Mesh]]) -> None:
    meshes = [mesh for group in many.values() for mesh in group]
    doubled = [len(np.unique(np.sort(mesh.faces, axis=1), axis=0)) < len(mesh.faces) for mesh in meshes]
    assert 1 / 6 - 0.06 < np.mean(doubled) < 1 / 6 + 0.06
    flipped = [has_flipped_faces(mesh) for mesh, twice in zip(meshes, doubled, strict=True) if not twice]
    assert 1 / 6 - 0.06 < np.mean(flipped) < 1 / 6 + 0.06
    flat_below = many["bookshelf"] + many["bottle"] + many["vase"]
    assert 1 / 4 - 0.12 < np.mean([not has_bottom(mesh) for mesh in flat_below]) < 1 / 4 + 0.12


def has_flipped_faces(mesh: Mesh) -> bool:
    """Whether two faces pass an edge in the same direction, which no two do where all look outwards."""
    starts, ends = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    return len(np.unique(starts * np.int64(len(mesh.vertices)) + ends)) < mesh.faces.size


def has_bottom(mesh: Mesh) -> bool:
    height = mesh.vertices[:, 2] - mesh.vertices[:, 2].min()
    return bool((height[mesh.faces] < 0.005 * height.max()).all(axis=1).any())


def test_an_unknown_class_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'spoon'.*airplane.*vase"):
        make_shape("spoon", 0)


def test_off_text_is_exact() -> None:
    mesh = Mesh(np.array([[0, 0.1, -2], [1e-9, 123456.789, 3], [1 / 3, 5, 6]]), np.array([[2, 0, 1]], np.int32))
    assert write_off(mesh) == b"OFF\n3 1 0\n0 0.1 -2\n1e-09 123457 3\n0.333333 5 6\n3 2 0 1\n"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(("per_class", "train", "test"), [(1, 0, 1), (3, 2, 1), (4, 2, 2), (8, 6, 2), (9, 6, 3)])
def test_four_shapes_of_a_class_give_two_test_shapes(tmp_path: Path, per_class: int, train: int, test: int) -> None:
    write_collection(tmp_path, per_class=per_class)
    counts = Counter((shape.label, shape.split) for shape in list_shapes(tmp_path))
    assert all((counts[label, "train"], counts[label, "test"]) == (train, test) for label in CLASSES)


def test_the_collection_is_stratified_and_read_by_the_rest_of_the_package(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    count = write_collection(tmp_path / "demo", per_class=5, progress=lambda done, total: told.append((done, total)))
    assert count == 5 * len(CLASSES)
    assert told == [(i + 1, count) for i in range(count)]
    shapes = list_shapes(tmp_path / "demo")
    assert Counter((shape.label, shape.split) for shape in shapes) == {
        (label, split): n for label in CLASSES for split, n in (("train", 3), ("test", 2))
    }
    assert [shape.id for shape in shapes if shape.label == "mug"] == [
        "mug/test/mug_004.off", "mug/test/mug_005.off",
        "mug/train/mug_001.off", "mug/train/mug_002.off", "mug/train/mug_003.off",
    ]  # fmt: skip
    assert shapes[0].read() == write_off(make_shape("airplane", 3))


def test_writing_again_changes_nothing_and_another_seed_changes_everything(tmp_path: Path) -> None:
    write_collection(tmp_path / "a", per_class=2)
    before = snapshot(tmp_path / "a")
    write_collection(tmp_path / "a", per_class=2)
    assert snapshot(tmp_path / "a") == before
    write_collection(tmp_path / "b", per_class=2, seed=1)
    other = snapshot(tmp_path / "b")
    assert other.keys() == before.keys()
    assert not set(other.values()) & set(before.values())


def test_a_larger_collection_begins_with_a_smaller_one(tmp_path: Path) -> None:
    write_collection(tmp_path / "small", per_class=2, test_fraction=0)
    write_collection(tmp_path / "large", per_class=3, test_fraction=0)
    large = snapshot(tmp_path / "large")
    assert snapshot(tmp_path / "small").items() <= large.items()


def test_a_folder_with_another_collection_is_refused_untouched(tmp_path: Path) -> None:
    write_collection(tmp_path, per_class=2)
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="Choose an empty folder"):
        write_collection(tmp_path, per_class=2, test_fraction=1)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("options", [{"per_class": 0}, {"seed": -1}, {"test_fraction": 1.5}, {"test_fraction": -0.1}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        write_collection(tmp_path / "demo", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "demo").exists()
