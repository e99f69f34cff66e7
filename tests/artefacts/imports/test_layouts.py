"""How what others made is laid out is found by looking, and asked for only where two readings fit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from shapecnn.artefacts.imports.layouts import find_layout
from shapecnn.errors import CollectionError, UsageError
from tests.training.data import VIEWS, pictures, write_artefacts


def make(folder: Path, names: list[str]) -> Path:
    """Files of these names: only the names are looked at."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder))
    return target


LAYOUTS = {
    "views-by-shape": ["train/chair/chair_1/chair_1_001.png", "test/desk/7/1.jpg"],
    "views-by-name": ["chair/train/chair_1_001.jpeg", "night_stand/test/a.obj.shaded_v001.png"],
    "binvox": ["chair/train/a.binvox", "b.binvox"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("root", ["", "modelnet40v1/", "a/b/"])
def test_folders_and_zips(layout: str, root: str, tmp_path: Path) -> None:
    source = make(tmp_path / "in", [root + name for name in LAYOUTS[layout]])
    assert find_layout(source) == layout
    assert find_layout(zipped(source, tmp_path / "in.zip")) == layout


def test_a_csv_lists_binvox_files_and_an_npz_holds_grids(tmp_path: Path) -> None:
    make(tmp_path, ["a.csv", "voxels-train.NPZ"])
    assert find_layout(tmp_path / "a.csv") == "binvox"
    assert find_layout(tmp_path / "voxels-train.NPZ") == "voxels-npz"


@pytest.mark.parametrize("layout", ["views-by-shape", "views-by-name"])
def test_a_stray_picture_does_not_hide_what_the_others_are(layout: str, tmp_path: Path) -> None:
    """The reader of that layout is to name it."""
    assert find_layout(make(tmp_path, [*LAYOUTS[layout], "preview.png"])) == layout


def test_pictures_beside_grids_that_are_no_views(tmp_path: Path) -> None:
    assert find_layout(make(tmp_path, [*LAYOUTS["binvox"], "preview.png"])) == "binvox"


def test_a_shape_that_is_called_like_a_split(tmp_path: Path) -> None:
    assert find_layout(make(tmp_path, ["train/chair/7/1.png", "train/chair/test/1.png"])) == "views-by-shape"


def test_two_readings_are_told_with_an_example_each(tmp_path: Path) -> None:
    source = make(tmp_path / "a", ["train/chair/test/chair_001.png"])
    with pytest.raises(UsageError) as caught:
        find_layout(source)
    assert str(caught.value) == (
        f"{source} can be read in two ways: "
        "as views-by-shape (split/class/id/*.png: train/chair/test/chair_001.png) and "
        "as views-by-name (class/split/name_001.png: train/chair/test/chair_001.png). Choose one with --layout."
    )
    source = make(tmp_path / "b", ["chair/train/a_001.png", "chair/train/a.binvox"])
    with pytest.raises(UsageError) as caught:
        find_layout(source)
    assert "as views-by-name (class/split/name_001.png: chair/train/a_001.png) and as binvox (*.binvox: " in str(
        caught.value
    )


def test_three_readings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can be read in three ways"):
        find_layout(make(tmp_path, ["train/chair/test/chair_001.png", "a.binvox"]))


def test_neither_reading_is_told_with_both(tmp_path: Path) -> None:
    source = make(tmp_path, ["chair/a_001.png"])
    told = r"chair/a_001\.png, fit neither the layout split/class/id/\*\.png nor class/split/name_001\.png\. Move"
    with pytest.raises(CollectionError, match=told):
        find_layout(source)


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match=r"holds neither views \(\.jpeg, \.jpg, \.png\) nor grids \(\.binvox\)"):
        find_layout(make(tmp_path, ["voxels-train.npz", "a.txt"]))
    with pytest.raises(CollectionError, match="There is no collection at"):
        find_layout(tmp_path / "none")


def test_meshes_are_told_as_such(tmp_path: Path) -> None:
    source = make(tmp_path / "meshes", ["chair/a.off"])
    with pytest.raises(
        CollectionError, match=f"holds meshes, neither .* To make views or grids: shapecnn render .* {source} OUT"
    ):
        find_layout(source)


@pytest.mark.parametrize(
    ("layout", "inside", "levels"),
    [
        ("views-by-shape", "train/chair", 2),
        ("views-by-shape", "train", 1),
        ("views-by-name", "chair", 1),
        ("views-by-name", "chair/train", 2),
    ],
)
def test_a_folder_inside_the_one_that_is_meant(layout: str, inside: str, levels: int, tmp_path: Path) -> None:
    source = make(tmp_path / "in", LAYOUTS[layout])
    with pytest.raises(CollectionError) as caught:
        find_layout(source / inside)
    assert str(caught.value).endswith(
        f"to fit one of them. {source / inside} may be a part of a larger data set: try {source}."
    )


def test_what_only_lies_below_a_file_called_like_one_of_ours_is_imported(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    layout = next(iter(LAYOUTS))
    assert find_layout(make(tmp_path / "in", LAYOUTS[layout])) == layout


@pytest.mark.parametrize("inside", ["", "chair"])
def test_what_shapecnn_made_needs_no_import(inside: str, tmp_path: Path) -> None:
    shapes = {f"chair/train/{k}.off": pictures("bar", k) for k in range(2)}
    ours = write_artefacts(tmp_path / "ours", VIEWS, shapes)
    told = (
        "is a part of .*ours, a folder of artefacts, which needs no import"
        if inside
        else "ours is a folder of artefacts"
    )
    with pytest.raises(CollectionError, match=told):
        find_layout(ours / inside)
