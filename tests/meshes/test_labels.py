"""What folders mean: as they look, and as a person says."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.errors import CollectionError
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.labels import Labels, label_paths

Row = tuple[str, str | None, str | None]

MESS = ["parts/test/a.stl", "parts/old/b.stl", "parts/c.stl", "downloads/x/y/d.stl", "e.stl"]
TWICE = ["train/x.off", "test/y.off"]

MEANT: dict[str, tuple[list[str], Labels, list[Row]]] = {
    "in a mess a folder called test is a folder": (
        MESS,
        "auto",
        [
            ("parts/test/a.stl", "parts", None),
            ("parts/old/b.stl", "parts", None),
            ("parts/c.stl", "parts", None),
            ("downloads/x/y/d.stl", "downloads", None),
            ("e.stl", None, None),
        ],
    ),
    "a mess by its folders": (
        MESS,
        "folder",
        [
            ("parts/test/a.stl", "parts", "test"),
            ("parts/old/b.stl", "parts", None),
            ("parts/c.stl", "parts", None),
            ("downloads/x/y/d.stl", "downloads", None),
            ("e.stl", None, None),
        ],
    ),
    "a mess without labels": (MESS, "none", [(name, None, None) for name in MESS]),
    "a lone split of a class is one": (
        ["chair/test/a.off", "bed/x1/b.off"],
        "auto",
        [("chair/test/a.off", "chair", "test"), ("bed/x1/b.off", "bed", None)],
    ),
    "two splits are splits, whatever lies beside them": (
        ["chair/train/a.off", "chair/test/b.off", "chair/drafts/c.off", "bed/test/d.off"],
        "auto",
        [
            ("chair/train/a.off", "chair", "train"),
            ("chair/test/b.off", "chair", "test"),
            ("chair/drafts/c.off", "chair", None),
            ("bed/test/d.off", "bed", "test"),
        ],
    ),
    "what can be read in two ways, by its folders": (
        TWICE,
        "folder",
        [("train/x.off", "train", None), ("test/y.off", "test", None)],
    ),
    "what can be read in two ways, without labels": (
        TWICE,
        "none",
        [("train/x.off", None, None), ("test/y.off", None, None)],
    ),
    "splits above classes, by the first folder": (
        ["train/chair/x.off", "test/chair/y.off"],
        "folder",
        [("train/chair/x.off", "train", None), ("test/chair/y.off", "test", None)],
    ),
    "one folder around everything is the class": (
        ["chair/a.off", "chair/b.off"],
        "folder",
        [("a.off", "chair", None), ("b.off", "chair", None)],
    ),
    "one folder around classes is none": (
        ["set/chair/a.off", "set/b.off"],
        "folder",
        [("chair/a.off", "chair", None), ("b.off", None, None)],
    ),
}


@pytest.mark.parametrize(("names", "labels", "rows"), MEANT.values(), ids=MEANT.keys())
def test_what_folders_mean(names: list[str], labels: Labels, rows: list[Row]) -> None:
    described, _ = label_paths(names, "set", labels)
    assert [(str(each.path), each.label, each.split) for each in described] == rows


@pytest.mark.parametrize(
    "names",
    [
        MESS,
        ["chair/a.off", "bed/b.off"],
        ["set/train/chair/x.off", "set/test/chair/y.off"],
        ["a/b/chair/train/x.off", "a/b/chair/test/y.off"],
        ["train/chair/x.off"],
        ["chair/train/x.off"],
        ["chair/x.off"],
    ],
)
def test_ids_are_the_same_whatever_folders_mean(names: list[str]) -> None:
    meant: list[Labels] = ["auto", "folder", "none"]
    auto, *others = ([each.path for each in label_paths(names, "set", labels)[0]] for labels in meant)
    assert others == [auto, auto]


def test_a_folder_that_is_taken_for_no_split_is_told_with_what_to_do() -> None:
    _, told = label_paths(MESS, "set")
    assert told == [
        "set: these folders are not read as splits, because other folders are beside them: 'parts/test'. To read "
        "them as splits, add --labels folder."
    ]
    assert label_paths(MESS, "set", "none")[1] == label_paths(MESS, "set", "folder")[1] == []


def test_what_can_be_read_in_two_ways_says_what_to_do() -> None:
    with pytest.raises(CollectionError, match=r"or add --labels folder \(the first folder is the class\) or --labels"):
        label_paths(TWICE, "set")


@pytest.mark.parametrize(
    ("labels", "row"), [("auto", ("box", "val")), ("folder", ("c", "test")), ("none", (None, None))]
)
def test_what_a_csv_says_counts_unless_something_else_is_said(
    tmp_path: Path, labels: Labels, row: tuple[str | None, str | None]
) -> None:
    (tmp_path / "list.csv").write_text("path,label,split\nc/test/a.off,box,val\n")
    (shape,) = list_shapes(tmp_path / "list.csv", labels=labels)
    assert (shape.id, shape.label, shape.split) == ("c/test/a.off", *row)


def test_one_split_is_told_as_one() -> None:
    _, (told,) = label_paths(["train/chair/a.off", "train/desk/b.off", "train/desk/c.off"], "IN")
    assert told == "IN: read as split/class: the split train, inside it 2 classes such as 'chair'."
    _, (told,) = label_paths(["chair/Train/a.off", "desk/b.off"], "IN")
    assert told.startswith("IN: the folder 'Train' is not read as a split")
