"""Artefacts read back: what was drawn and filled, what is refused, and that nothing is read before it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.meshes.mesh import load_mesh
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.reading import json_bytes
from shapecnn.views import render_views
from shapecnn.voxels import binvox, occupancy_grids
from shapecnn.workers.pool import Workers
from tests.sealing import reseal
from tests.solids import write_ball, write_box

VIEWS = ViewSettings(size=8)
VOXELS = VoxelSettings(resolution=10, rotations=3)


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    write_box(tmp_path / "meshes/box/train/b.off", 1, 2, 5)
    write_box(tmp_path / "meshes/box/train/b.ply", 1, 3, 5)  # b.off.png and b.ply.png
    write_box(tmp_path / "meshes/box/test/a.off", 1, 2, 5)
    write_ball(tmp_path / "meshes/ball/c.off")
    (tmp_path / "meshes/ball/bad.off").write_text("OFF")
    return tmp_path / "meshes"


def made(meshes: Path, out: Path, recipe: Recipe) -> Path:
    prepare_collection(meshes, out, recipe, command="", workers=Workers(1))
    return out


@pytest.mark.parametrize("layout", ["sheet", "files"])
@pytest.mark.parametrize("views", [12, 20, 80])
def test_pictures_are_those_that_were_drawn(layout: str, views: int, meshes: Path, tmp_path: Path) -> None:
    settings = ViewSettings(size=8, views=views)  # type: ignore[arg-type]
    artefacts = open_artefacts(made(meshes, tmp_path / "out", Recipe(settings, layout)))  # type: ignore[arg-type]
    assert artefacts.settings == Recipe(settings, layout).to_json()  # type: ignore[arg-type]
    for entry in artefacts.entries:
        pictures = artefacts.pictures(entry)
        assert pictures.dtype == np.uint8
        np.testing.assert_array_equal(pictures, render_views(load_mesh(meshes / entry.id), settings))


def test_grids_are_those_that_were_filled(meshes: Path, tmp_path: Path) -> None:
    artefacts = open_artefacts(made(meshes, tmp_path / "out", Recipe(VOXELS)))
    for entry in artefacts.entries:
        grids = artefacts.grids(entry)
        assert (grids.dtype, grids.shape) == (bool, (3, 10, 10, 10))
        np.testing.assert_array_equal(grids, occupancy_grids(load_mesh(meshes / entry.id), VOXELS))


def test_entries_are_the_ones_that_were_made_in_order_of_id(meshes: Path, tmp_path: Path) -> None:
    artefacts = open_artefacts(made(meshes, tmp_path / "out", Recipe(VIEWS)))
    ids = ["ball/c.off", "box/test/a.off", "box/train/b.off", "box/train/b.ply"]
    assert [entry.id for entry in artefacts.entries] == ids
    assert [entry.id for entry in artefacts.select("train")] == ids[2:]
    assert [entry.id for entry in artefacts.select("test")] == ids[1:2]
    assert [entry.id for entry in artefacts.select(None)] == ids[:1]
    assert artefacts.select("val") == []


@pytest.mark.parametrize("recipe", [Recipe(VIEWS), Recipe(VIEWS, "files"), Recipe(VOXELS)])
def test_a_digest_is_shared_by_identical_artefacts_alone(recipe: Recipe, meshes: Path, tmp_path: Path) -> None:
    artefacts = open_artefacts(made(meshes, tmp_path / "out", recipe))
    ball, box, same, other = map(artefacts.digest, artefacts.entries)
    assert box == same
    assert len({ball, box, other}) == 3


def test_nothing_is_read_before_it_is_asked_for(meshes: Path, tmp_path: Path) -> None:
    out = made(meshes, tmp_path / "out", Recipe(VIEWS))
    for sheet in out.rglob("*.png"):
        sheet.unlink()
    artefacts = open_artefacts(out)
    assert len(artefacts.entries) == 4
    with pytest.raises(StoredDataError) as caught:
        artefacts.pictures(artefacts.entries[2])
    assert str(caught.value) == (
        f"{out}/box/train/b.off.png cannot be read (No such file or directory). Run the command that made it "
        f"once more, which makes only the missing and damaged files: shapecnn render COLLECTION {out} "
        f"(with the same options)."
    )


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (VOXELS.to_json(), "shapecnn voxelize COLLECTION"),
        ({"origin": "imported"}, "shapecnn data import SRC"),
    ],
)
def test_the_command_that_makes_what_is_missing(
    settings: dict[str, object], command: str, meshes: Path, tmp_path: Path
) -> None:
    from shapecnn.settings.views_and_grids import ImportedVoxelSettings

    out = made(meshes, tmp_path / "out", Recipe(VoxelSettings(resolution=10)))
    if "origin" in settings:
        imported = {"schema_version": 1, **ImportedVoxelSettings(resolution=10).to_json()}
        (out / "settings.json").write_bytes(json_bytes(imported))
        reseal(out)
    artefacts = open_artefacts(out)
    assert artefacts.grids(artefacts.entries[0]).any()
    (out / "ball" / "c.binvox").unlink()
    for read in (artefacts.grids, artefacts.digest):
        with pytest.raises(StoredDataError, match=rf"c\.binvox cannot be read .*: {command} {out}"):
            read(artefacts.entries[0])


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def enlarge(path: Path) -> None:
    if path.suffix == ".png":
        Image.new("L", (36, 27)).save(path)
    else:
        path.write_bytes(binvox.write(np.ones((11, 11, 11), bool)))


def colour(path: Path) -> None:
    Image.new("RGB", (32, 24)).save(path)


def other_format(path: Path) -> None:
    Image.new("L", (32, 24)).save(path, "BMP")


@pytest.mark.parametrize(
    ("damage", "picture", "grid"),
    [
        (truncate, "cannot be read as PNG", "the file holds|the file is cut off"),
        (enlarge, "L with 36 × 27 pixels, not L with 32 × 24", "11 × 11 × 11 cells, not 10 × 10 × 10"),
        (colour, "the picture is RGB with 32 × 24 pixels, not L with 32 × 24", None),
        (other_format, "the file cannot be read as PNG", None),
    ],
)
def test_a_damaged_artefact_is_named(
    damage: Callable[[Path], None], picture: str, grid: str | None, meshes: Path, tmp_path: Path
) -> None:
    artefacts = open_artefacts(made(meshes, tmp_path / "views", Recipe(VIEWS)))
    damage(tmp_path / "views/ball/c.png")
    with pytest.raises(StoredDataError, match=r"c\.png has changed since it was written \(its hash differs\)\. Run"):
        artefacts.pictures(artefacts.entries[0])
    with pytest.raises(StoredDataError, match=rf"c\.png has invalid content .*({picture})"):
        open_artefacts(reseal(tmp_path / "views")).pictures(artefacts.entries[0])
    assert artefacts.pictures(artefacts.entries[1]).shape == (12, 8, 8)
    if grid:
        artefacts = open_artefacts(made(meshes, tmp_path / "grids", Recipe(VOXELS)))
        damage(tmp_path / "grids/ball/c_r01.binvox")
        with pytest.raises(StoredDataError, match=rf"c_r01\.binvox has invalid content .*({grid})"):
            open_artefacts(reseal(tmp_path / "grids")).grids(artefacts.entries[0])


def test_pictures_are_no_grids(meshes: Path, tmp_path: Path) -> None:
    pictures = open_artefacts(made(meshes, tmp_path / "views", Recipe(VIEWS)))
    with pytest.raises(
        UsageError, match=r"views holds views, not voxel grids\. To make voxel grids: shapecnn voxelize"
    ):
        pictures.grids(pictures.entries[0])
    grids = open_artefacts(made(meshes, tmp_path / "grids", Recipe(VOXELS)))
    with pytest.raises(UsageError, match=r"grids holds voxel grids, not views\. To make views: shapecnn render"):
        grids.pictures(grids.entries[0])


def test_what_is_no_folder_of_artefacts(meshes: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", meshes, meshes / "box/test/a.off"):
        with pytest.raises(
            UsageError,
            match=r"(no folder|not a folder) of artefacts.*To make artefacts of meshes: shapecnn render COLLECTION OUT",
        ):
            open_artefacts(folder)


def test_an_unfinished_folder_is_told_apart(meshes: Path, tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_collection(meshes, tmp_path / "out", Recipe(VIEWS), command="", workers=Workers(1), progress=stop)
    with pytest.raises(UsageError, match="are unfinished"):
        open_artefacts(tmp_path / "out")


@pytest.mark.parametrize(
    "change", [{"size": 9}, {"layout": "files "}, {"hash": ""}, {"schema_version": 2}, {"kind": "voxels"}, {"new": 1}]
)
def test_altered_settings_are_refused(change: dict[str, object], meshes: Path, tmp_path: Path) -> None:
    path = made(meshes, tmp_path / "out", Recipe(VIEWS)) / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoredDataError, match=r"settings\.json has changed since it was written"):
        open_artefacts(tmp_path / "out")
    with pytest.raises(StoredDataError, match=r"settings\.json has invalid content"):
        open_artefacts(reseal(tmp_path / "out"))


@pytest.mark.parametrize("damage", [b"", b"[]", b"null", b"{}", b"{"])
def test_damaged_settings_are_refused(damage: bytes, meshes: Path, tmp_path: Path) -> None:
    (made(meshes, tmp_path / "out", Recipe(VIEWS)) / "settings.json").write_bytes(damage)
    with pytest.raises(StoredDataError, match=r"settings\.json"):
        open_artefacts(tmp_path / "out")


def test_a_damaged_manifest_is_refused(meshes: Path, tmp_path: Path) -> None:
    (made(meshes, tmp_path / "out", Recipe(VIEWS)) / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoredDataError, match=r"manifest\.parquet has changed since it was written"):
        open_artefacts(tmp_path / "out")
    with pytest.raises(StoredDataError, match=r"manifest\.parquet has invalid content"):
        open_artefacts(reseal(tmp_path / "out"))


def test_torch_is_not_loaded() -> None:
    code = "import sys, shapecnn.artefacts.reading; print('torch' in sys.modules, 'trimesh' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
