"""``shapecnn voxelize`` from end to end; test_render.py tests what both share."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import trimesh
from numpy.typing import NDArray

from shapecnn.meshes.mesh import load_mesh
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage.checksums import SUMS
from shapecnn.voxels import binvox, occupancy_grids
from tests.cli.conftest import Command
from tests.solids import contents, write_ball, write_box


def grid(path: Path) -> NDArray[np.bool_]:
    return binvox.read(path.read_bytes())


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    write_box(tmp_path / "meshes" / "box" / "a.off", 2, 1, 4)
    write_box(tmp_path / "meshes" / "box" / "b.stl", 1, 1, 1)
    write_ball(tmp_path / "meshes" / "ball" / "c.obj")
    return tmp_path / "meshes"


def test_a_grid_for_each_mesh_and_the_answer(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    done = command("voxelize", meshes, out, "--workers", "2", "--json")
    assert done.status == 0
    answer = done.json("voxelize")
    assert (answer["written"], answer["skipped"], answer["failed"], answer["failures"]) == (3, 0, 0, [])
    assert sorted(contents(out)) == [
        SUMS, "ball/c.binvox", "box/a.binvox", "box/b.binvox", "manifest.parquet", "settings.json",
    ]  # fmt: skip
    for name, mesh in {"ball/c": "ball/c.obj", "box/a": "box/a.off", "box/b": "box/b.stl"}.items():
        expected = occupancy_grids(load_mesh(meshes / mesh), VoxelSettings())[0]
        assert np.array_equal(grid(out / f"{name}.binvox"), expected)


def test_cells_are_x_y_z_with_z_up_and_the_longest_extent_fits_exactly(
    meshes: Path, tmp_path: Path, command: Command
) -> None:
    command("voxelize", meshes, tmp_path / "out", "--workers", "1", "--resolution", "20", "--padding", "2")
    cells = np.argwhere(grid(tmp_path / "out" / "box" / "a.binvox"))
    assert (np.ptp(cells, axis=0) + 1).tolist() == [8, 4, 16]  # of 2 × 1 × 4, in 20 − 2·2 cells
    assert (cells.min(axis=0) + cells.max(axis=0)).tolist() == [19, 19, 19]  # centred
    assert len(cells) == 8 * 4 * 16


def test_another_reader_of_binvox_agrees(meshes: Path, tmp_path: Path, command: Command) -> None:
    command("voxelize", meshes, tmp_path / "out", "--workers", "1")
    path = tmp_path / "out" / "box" / "a.binvox"
    theirs = trimesh.load(io.BytesIO(path.read_bytes()), file_type="binvox")
    assert np.array_equal(theirs.matrix, grid(path))


def test_up_turns_the_mesh_first(meshes: Path, tmp_path: Path, command: Command) -> None:
    for up, extents in {"y": [12, 24, 6], "x": [24, 6, 12]}.items():
        command("voxelize", meshes, tmp_path / up, "--workers", "1", "--up", up)
        cells = np.argwhere(grid(tmp_path / up / "box" / "a.binvox"))
        assert (np.ptp(cells, axis=0) + 1).tolist() == extents


def test_surface_cells_are_the_shell_of_the_solid(meshes: Path, tmp_path: Path, command: Command) -> None:
    command("voxelize", meshes, tmp_path / "solid", "--workers", "1")
    command("voxelize", meshes, tmp_path / "surface", "--workers", "1", "--fill", "surface")
    solid, surface = (grid(tmp_path / fill / "box" / "b.binvox") for fill in ("solid", "surface"))
    assert (solid.sum(), surface.sum()) == (24**3, 24**3 - 22**3)
    assert not (surface & ~solid).any()


def test_rotations_are_numbered_from_zero_and_each_refitted(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    answer = command("voxelize", meshes, out, "--workers", "1", "--rotations", "12", "--json").json("voxelize")
    assert answer["written"] == 3  # meshes, not files
    names = [f"box/a_r{k:02d}.binvox" for k in range(12)]
    assert sorted(name for name in contents(out) if name.startswith("box/a")) == names
    grids = [grid(out / name) for name in names]
    expected = occupancy_grids(load_mesh(meshes / "box" / "a.off"), VoxelSettings(rotations=12))
    assert np.array_equal(grids, expected)
    for turned in grids:
        assert np.ptp(np.argwhere(turned), axis=0).max() + 1 == 24
    quarter = np.rot90(grids[0], axes=(0, 1))  # x to y: counter-clockwise seen from +z
    assert np.array_equal(grids[3], quarter)


def test_manifest_and_settings(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    command("voxelize", meshes, out, "--workers", "1", "--rotations", "2", "--up", "y")
    table = parquet.read_table(out / "manifest.parquet")
    assert table.column_names == ["id", "label", "split", "sha256", "status", "error", "note", "area", "volume"]
    assert table["id"].to_pylist() == ["ball/c.obj", "box/a.off", "box/b.stl"]
    settings = json.loads((out / "settings.json").read_text())
    made_with = {key: value for key, value in settings.items() if key not in ("hash", "schema_version")}
    assert made_with == {
        "kind": "voxels", "filling": 2, "resolution": 30, "padding": 3, "fill": "solid", "rotations": 2,
        "orientation": "upright", "up": "y",
    }  # fmt: skip
    canonical = json.dumps(made_with, sort_keys=True, separators=(",", ":"))
    assert settings["hash"] == hashlib.sha256(canonical.encode()).hexdigest()


def test_a_second_run_fills_only_missing_grids(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    arguments = ["voxelize", meshes, out, "--workers", "1", "--rotations", "3", "--json"]
    command(*arguments)
    first = contents(out)
    assert command(*arguments).json("voxelize")["skipped"] == 3
    (out / "box" / "a_r01.binvox").unlink()
    again = command(*arguments).json("voxelize")
    assert (again["written"], again["skipped"]) == (1, 2)
    assert contents(out) == first


def test_other_settings_are_refused_with_both_values(meshes: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    command("voxelize", meshes, out, "--workers", "1")
    before = contents(out)
    done = command("voxelize", meshes, out, "--resolution", "32", "--fill", "surface")
    assert done.status == 2
    assert "resolution is 30 there and 32 here" in done.stderr
    assert "fill is 'solid' there and 'surface' here" in done.stderr
    assert (
        f"To replace them: shapecnn voxelize {meshes} {out} --resolution 32 --fill surface --overwrite" in done.stderr
    )
    assert contents(out) == before


def test_views_are_not_written_over_grids(meshes: Path, tmp_path: Path, command: Command) -> None:
    command("voxelize", meshes, tmp_path / "out", "--workers", "1")
    done = command("render", meshes, tmp_path / "out", "--workers", "1")
    assert done.status == 2
    assert "kind is 'voxels' there and 'views' here" in done.stderr


def test_a_bad_mesh_is_recorded_and_the_rest_is_filled(meshes: Path, tmp_path: Path, command: Command) -> None:
    (meshes / "box" / "bad.off").write_text("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n")
    done = command("voxelize", meshes, tmp_path / "out", "--workers", "2", "--json")
    assert done.status == 1
    answer = done.json("voxelize")
    assert (answer["written"], answer["failed"]) == (3, 1)
    (failure,) = answer["failures"]
    assert failure == {"path": str(meshes / "box" / "bad.off"), "error": "every face of the mesh has zero area"}
    assert "1 of the meshes could not be used." in done.stderr
    assert command("voxelize", meshes, tmp_path / "out", "--workers", "2", "--skip-errors").status == 0


def test_the_number_of_workers_changes_no_byte(meshes: Path, tmp_path: Path, command: Command) -> None:
    outputs = []
    for workers in (1, 2, 4):
        command("voxelize", meshes, tmp_path / str(workers), "--workers", workers, "--rotations", "2")
        outputs.append(contents(tmp_path / str(workers)))
    assert outputs[0] == outputs[1] == outputs[2]
