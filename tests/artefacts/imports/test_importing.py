"""Imports of every layout, from what was rendered and voxelized here, and from real data."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapecnn.artefacts.imports import conflicts, import_artefacts
from shapecnn.artefacts.manifest import Entry, artefact_files, read_manifest
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.artefacts.writing import Summary
from shapecnn.errors import MismatchError, UsageError
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.workers.pool import Workers
from tests.solids import contents, write_ball, write_box


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    for split in ("train", "test"):
        for i in range(2):
            write_box(folder / "box" / split / f"box_{i}.off", 1, 2 + i, 5)
            write_ball(folder / "ball" / split / f"ball_{i}.off", 1 + i)
    return folder


def run(source: Path, out: Path, layout: str) -> Summary:
    return import_artefacts(source, out, layout, command="shapecnn again", workers=Workers(1))


def artefacts(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name.endswith((".png", ".binvox"))}


@pytest.mark.parametrize("views", [12, 20])
def test_files_of_views_come_back_as_the_sheets_that_render_makes(views: int, meshes: Path, tmp_path: Path) -> None:
    settings = ViewSettings(size=16, views=views)  # type: ignore[arg-type]
    prepare_collection(meshes, tmp_path / "sheets", Recipe(settings), command="", workers=Workers(1))
    prepare_collection(meshes, tmp_path / "files", Recipe(settings, "files"), command="", workers=Workers(1))
    done = run(tmp_path / "files", tmp_path / "out", "views-by-name")
    assert (done.written, done.failed) == (8, 0)
    assert artefacts(tmp_path / "out") == artefacts(tmp_path / "sheets")
    rows = [(entry.id, entry.label, entry.split) for entry in read_manifest(tmp_path / "out")]
    assert rows[:2] == [("ball/test/ball_0.png", "ball", "test"), ("ball/test/ball_1.png", "ball", "test")]


def test_grids_come_back_as_they_were_voxelized(meshes: Path, tmp_path: Path) -> None:
    prepare_collection(meshes, tmp_path / "grids", Recipe(VoxelSettings(resolution=16)), command="", workers=Workers(1))
    done = run(tmp_path / "grids", tmp_path / "out", "binvox")
    assert (done.written, done.failed) == (8, 0)
    assert artefacts(tmp_path / "out") == artefacts(tmp_path / "grids")
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings.items() >= {"kind": "voxels", "origin": "imported", "resolution": 16}.items()
    assert artefact_files(settings, "a") == ["a.binvox"]


def test_what_has_not_changed_is_left_alone_and_what_is_gone_is_removed(meshes: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "grids", tmp_path / "out"
    prepare_collection(meshes, source, Recipe(VoxelSettings(resolution=16)), command="", workers=Workers(1))
    run(source, out, "binvox")
    assert run(source, out, "binvox").skipped == 8
    (source / "box/train/box_1.binvox").unlink()
    (source / "box/train/box_0.binvox").write_bytes((source / "ball/test/ball_0.binvox").read_bytes())
    done = run(source, out, "binvox")
    assert (done.written, done.skipped, done.failed) == (1, 6, 0)
    assert artefacts(out) == artefacts(source)


def test_other_settings_and_other_origins_are_refused(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_collection(meshes, tmp_path / "small", Recipe(VoxelSettings(resolution=16)), command="", workers=Workers(1))
    prepare_collection(meshes, tmp_path / "large", Recipe(VoxelSettings(resolution=18)), command="", workers=Workers(1))
    run(tmp_path / "small", out, "binvox")
    with pytest.raises(
        MismatchError, match=r"\(resolution is 16 there and 18 here\)\. To keep the artefacts in .*, choose another"
    ):
        run(tmp_path / "large", out, "binvox")
    with pytest.raises(MismatchError, match="origin is 'own' there and 'imported' here"):
        run(tmp_path / "small", tmp_path / "large", "binvox")


def test_nothing_is_imported_into_itself(meshes: Path, tmp_path: Path) -> None:
    prepare_collection(meshes, tmp_path / "grids", Recipe(VoxelSettings(resolution=16)), command="", workers=Workers(1))
    before = contents(tmp_path / "grids")
    for out in (tmp_path / "grids", tmp_path / "grids" / "out"):
        with pytest.raises(UsageError, match="choose a folder outside"):
            run(tmp_path / "grids", out, "binvox")
    assert contents(tmp_path / "grids") == before


def test_conflicts_are_what_is_the_same_with_different_labels() -> None:
    def entry(name: str, label: str | None, sha256: str) -> Entry:
        return Entry(name, label, None, sha256, "ok", None)

    entries = [entry("a", "bed", "1"), entry("b", "desk", "1"), entry("c", "bed", "2"), entry("d", "bed", "2")]
    assert conflicts(entries) == [["a", "b"]]
    assert conflicts([*entries, entry("e", "bed", "1")]) == [["a", "b", "e"]]
    assert conflicts([replace(entries[0], status="failed"), *entries[1:]]) == []
    assert conflicts([]) == []


def test_real_views(data_dir: Path, tmp_path: Path) -> None:
    shapes = ("train/bathtub/1/", "train/bathtub/10/", "train/night_stand/1/")
    pictures: dict[str, list[np.ndarray]] = {shape: [] for shape in shapes}
    with (
        zipfile.ZipFile(data_dir / "modelnet10-views-train.zip") as whole,
        zipfile.ZipFile(tmp_path / "some.zip", "w") as some,
    ):
        for name in sorted(whole.namelist()):
            for shape in shapes:
                if shape in name:
                    data = whole.read(name)
                    some.writestr(name, data)
                    with Image.open(io.BytesIO(data)) as image:
                        pictures[shape].append(np.asarray(image.convert("L")))
    assert run(tmp_path / "some.zip", tmp_path / "out", "views-by-shape").written == len(shapes)
    made = open_artefacts(tmp_path / "out")
    assert [entry.id for entry in made.entries] == [
        "bathtub/train/1.png", "bathtub/train/10.png", "night_stand/train/1.png",
    ]  # fmt: skip
    for entry, expected in zip(made.entries, pictures.values(), strict=True):
        np.testing.assert_array_equal(made.pictures(entry), expected)


def test_real_grids_with_their_known_defects(data_dir: Path, tmp_path: Path) -> None:
    with np.load(data_dir / "modelnet10-voxels-train.npz", allow_pickle=False) as file:
        arrays = dict(file)
    rows = [0, 1, 6, 15, 1520, 3288, 2000]  # 6 and 15 are empty; 1520 and 3288 the same, a desk and a table
    some = {"voxels": arrays["voxels"][rows], "labels": arrays["labels"][rows], "classes": arrays["classes"]}
    np.savez(tmp_path / "some-train.npz", **some)
    done = run(tmp_path / "some-train.npz", tmp_path / "out", "voxels-npz")
    assert (done.written, [error for _, error in done.failures]) == (5, ["the grid is empty"] * 2)
    made = open_artefacts(tmp_path / "out")
    expected = np.unpackbits(some["voxels"], axis=1)[:, :27000].reshape(-1, 30, 30, 30)  # as the data's README says
    for entry in made.entries:
        np.testing.assert_array_equal(made.grids(entry)[0], expected[int(entry.id[-9:-4])])
        assert (entry.label, entry.split) == (entry.id.split("/")[0], "train")
    assert conflicts(made.entries) == [["desk/train/00004.npz", "table/train/00005.npz"]]
