"""Small files that went wrong once, with the right values: cells of a 30³ grid, y up, or what the refusal names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from shapecnn.config import VoxelSettings
from shapecnn.errors import MeshError
from shapecnn.mesh import load_mesh
from shapecnn.voxels import voxelize

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
    "03_required_unknown.gltf": "it requires the extension XYZ_geometry",
    "04_extra_line.ply": "line 18",
    "04_short_face.ply": "line 18",
    "06_meshopt.gltf": "meshopt",  # which its data is not
    "17_v1.gltf": r"it is glTF 1\.0",
}
NOTED = {"09_ply_tail.ply", "12_stl_tail.stl"}


def cells(name: str) -> int:
    (grid,) = voxelize(load_mesh(CASES / name, "y"), VoxelSettings(up="y"))
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
    (grid,) = voxelize(load_mesh(CASES / "03_instancing.gltf", "y"), VoxelSettings(up="y"))
    assert ndimage.label(grid)[1] == 3


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    with pytest.raises(MeshError, match=REFUSED[name]):
        load_mesh(CASES / name, "y")
