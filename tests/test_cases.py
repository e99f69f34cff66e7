"""Small files that went wrong once, with the right values: cells of a 30³ grid, y up, or what the refusal names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shapecnn.config import VoxelSettings
from shapecnn.errors import MeshError
from shapecnn.mesh import load_mesh
from shapecnn.voxels import voxelize

CASES = Path(__file__).parent / "cases"
BOX = 3072  # cells of a box of 2 × 1 × 3

FILLED = {
    "00_ok.off": BOX,
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
    "20_quads_ok.ply": BOX,
}
REFUSED = {
    "04_extra_line.ply": "line 18",
    "04_short_face.ply": "line 18",
}
NOTED = {"09_ply_tail.ply", "12_stl_tail.stl"}


def cells(name: str) -> int:
    (grid,) = voxelize(load_mesh(CASES / name, "y"), VoxelSettings(up="y"))
    return int(np.count_nonzero(grid))


@pytest.mark.parametrize("name", FILLED)
def test_what_is_read_is_right(name: str) -> None:
    assert cells(name) == FILLED[name]
    assert bool(load_mesh(CASES / name, "y").notes) == (name in NOTED)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    with pytest.raises(MeshError, match=REFUSED[name]):
        load_mesh(CASES / name, "y")
