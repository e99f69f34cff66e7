"""Small files that went wrong once, with the right values: cells of a 30³ grid, y up, or what the refusal names."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import MeshError
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.mesh import load_mesh
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.voxels import occupancy_grids

CASES = Path(__file__).parent / "cases"
BOX = 3072  # cells of a box of 2 × 1 × 3

FILLED = {
    "00_ok.off": BOX,
    "01_skin.gltf": BOX,
    "01_skin_right.gltf": BOX,
    "02_morph.gltf": 768,
    "02_morph_right.gltf": 768,
    "03_instancing.gltf": 512,
    "04_vertex_2lines.ply": BOX,
    "05_concave.obj": 3888,
    "05_concave_right.obj": 3888,
    "07_tristrips.ply": BOX,
    "08_mixed.ply": BOX,
    "08_zero_face.ply": BOX,
    "09_ply_tail.ply": BOX,
    "10_ply_cr.ply": BOX,
    "12_stl_tail.stl": BOX,
    "13_name_vertex.stl": BOX,
    "14_end_solid.stl": BOX,
    "15_over_lines.off": BOX,
    "18_fan.gltf": BOX,
    "19_sparse.gltf": BOX,
    "20_quads_ok.ply": BOX,
}
REFUSED = {
    "03_required_unknown.gltf": "the file requires the glTF extension XYZ_geometry",
    "04_extra_line.ply": "line 18",
    "04_short_face.ply": "line 18",
    "06_meshopt.gltf": "meshopt",  # which its data is not
    "17_v1.gltf": r"the file is glTF 1\.0",
}
NOTED = {"09_ply_tail.ply", "12_stl_tail.stl"}


def cells(name: str) -> int:
    (grid,) = occupancy_grids(load_mesh(CASES / name, "y"), VoxelSettings(up="y"))
    return int(np.count_nonzero(grid))


@pytest.mark.parametrize("name", FILLED)
def test_what_is_read_is_right(name: str) -> None:
    assert cells(name) == FILLED[name]
    assert bool(load_mesh(CASES / name, "y").notes) == (name in NOTED)


@pytest.mark.parametrize(("name", "right"), [("01_skin", "01_skin_right"), ("02_morph", "02_morph_right")])
def test_what_a_pose_gives_is_the_same_shape(name: str, right: str) -> None:
    bent, plain = (load_mesh(CASES / f"{each}.gltf", "y") for each in (name, right))
    np.testing.assert_allclose(
        bent.vertices[bent.faces].mean(axis=1), plain.vertices[plain.faces].mean(axis=1), atol=1e-6
    )


def test_instances_stand_apart() -> None:
    (grid,) = occupancy_grids(load_mesh(CASES / "03_instancing.gltf", "y"), VoxelSettings(up="y"))
    assert ndimage.label(grid)[1] == 3


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    with pytest.raises(MeshError, match=REFUSED[name]):
        load_mesh(CASES / name, "y")


def cells_of(shape: Shape) -> int:
    settings = VoxelSettings(up="y")
    (grid,) = occupancy_grids(load_shape(shape, shape.read(), settings), settings)
    return int(np.count_nonzero(grid))


def test_a_zip_packed_on_a_mac_is_read_with_what_its_meshes_refer_to() -> None:
    (shape,) = list_shapes(CASES / "16_mac.zip")
    assert (shape.id, shape.member) == ("uri_umlaut.gltf", "Möbel/uri_umlaut.gltf")
    assert shape.sibling("Stühle.bin")
    assert cells_of(shape) == BOX


def test_a_backslash_in_a_csv_separates_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    shutil.copy(CASES / "20_backslash.csv", tmp_path)
    shutil.copy(CASES / "00_ok.off", tmp_path / "sub" / "b é.off")  # what the case lists and did not come with
    (shape,) = list_shapes(tmp_path / "20_backslash.csv")
    assert (shape.id, shape.label, shape.split) == ("sub/b é.off", "chair", "train")
    assert cells_of(shape) == BOX


def test_a_file_that_a_csv_lists_and_that_is_gone_is_named(tmp_path: Path) -> None:
    shutil.copy(CASES / "20_backslash.csv", tmp_path)
    (shape,) = list_shapes(tmp_path / "20_backslash.csv")
    with pytest.raises(MeshError, match="there is no such file"):
        shape.read()
    assert shape.path == f"{tmp_path}/sub/b é.off"
