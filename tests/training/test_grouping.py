"""Which shapes stay together: identical ones, near copies, and those that a CSV file names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.duplicates.signatures import input_signature
from shapecnn.errors import UsageError
from shapecnn.settings.validation import Validation
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.training.grouping import GroupedShapes, group_shapes
from shapecnn.training.plan import Plan
from shapecnn.training.splits import divide
from shapecnn.training.trainer import open_data
from tests.training.data import VIEWS, VOXELS, experiment, grid, pictures, run, stage, write_artefacts

NEAR = Validation(groups="near")


def changed(label: str, k: int, darker: int) -> NDArray[np.uint8]:
    """The pictures of a shape with one white pixel of each darker: a near copy, the nearer the less."""
    views = pictures(label, k).copy()
    views[:, 0, 0] = 255 - darker
    return views


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    """Eight bars, of which three are near copies and two more identical, and eight slabs."""
    shapes = {f"bar/{k}.off": pictures("bar", k) for k in range(8)} | {
        f"slab/{k}.off": pictures("slab", k) for k in range(8)
    }
    shapes |= {"bar/1.off": changed("bar", 0, 40), "bar/2.off": changed("bar", 0, 200), "bar/7.off": pictures("bar", 6)}
    return open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))


def together(artefacts: Artefacts, validation: Validation, folds: int = 2) -> list[list[str]]:
    found: list[list[str]] = group_shapes(artefacts, artefacts.entries, validation, folds).to_json()["together"]
    return found


def test_identical_shapes_alone(artefacts: Artefacts) -> None:
    assert together(artefacts, Validation(groups="exact")) == [["bar/6.off", "bar/7.off"]]


def test_near_copies_too(artefacts: Artefacts) -> None:
    """As near as the distance of their signatures says."""
    near = [["bar/0.off", "bar/1.off", "bar/2.off"], ["bar/6.off", "bar/7.off"]]
    assert together(artefacts, NEAR) == near
    first, second = (input_signature(changed("bar", 0, darker)) for darker in (0, 40))
    distance = float(np.linalg.norm(first - second))
    assert ["bar/0.off", "bar/1.off"] in together(artefacts, Validation(groups="near", tolerance=distance + 0.002))
    assert near[0] not in together(artefacts, Validation(groups="near", tolerance=distance + 0.002))
    assert together(artefacts, Validation(groups="near", tolerance=distance - 0.002)) == near[1:]


def test_a_group_is_no_larger_than_half_of_its_class(tmp_path: Path) -> None:
    """Of a class of 4, near copies of 3: with 2 folds, and with 5, two stay together."""
    shapes = {f"bar/{k}.off": changed("bar", 0, 20 * k) for k in range(3)} | {"bar/3.off": pictures("bar", 9)}
    shapes |= {f"slab/{k}.off": pictures("slab", k) for k in range(4)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    for folds in (2, 5):
        grouped = group_shapes(artefacts, artefacts.entries, NEAR, folds)
        assert [len(group) for group in grouped.to_json()["together"]] == [2]
        assert grouped.apart is not None
        assert len(grouped.apart) == 2


@pytest.mark.parametrize(("folds", "largest"), [(2, 6), (3, 6), (4, 6), (5, 5), (6, 6), (10, 6)])
def test_a_group_is_no_larger_than_two_folds_or_the_number_of_folds(folds: int, largest: int, tmp_path: Path) -> None:
    """Of a class of 12, near copies of 11: two folds of five have 4.8 of them."""
    shapes = {f"bar/{k}.off": changed("bar", 0, 10 * k) for k in range(11)} | {"bar/11.off": pictures("bar", 9)}
    shapes |= {f"slab/{k}.off": pictures("slab", k) for k in range(12)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    assert max(map(len, together(artefacts, NEAR, folds))) == largest


@pytest.mark.parametrize(("kind", "usual"), [("views", 0.3), ("voxels", 0.2)])
def test_the_usual_tolerance_is_that_of_the_kind(kind: str, usual: float, tmp_path: Path) -> None:
    made = {"views": (VIEWS, pictures), "voxels": (VOXELS, grid)}[kind]
    shapes = {f"{label}/{k}.off": made[1](label, k) for label in ("bar", "slab") for k in range(4)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", made[0], shapes))
    assert group_shapes(artefacts, artefacts.entries, NEAR, 2).tolerance == usual
    assert group_shapes(artefacts, artefacts.entries, Validation(groups="near", tolerance=0.7), 2).tolerance == 0.7


def test_groups_of_a_file(artefacts: Artefacts, tmp_path: Path) -> None:
    file = tmp_path / "families.csv"
    file.write_text("path;group\nbar/0.off;a\nslab/1.off;a\nslab/2.off;\nslab/3.off;\nelsewhere.off;a\n")
    assert together(artefacts, Validation(groups=str(file))) == [
        ["bar/0.off", "slab/1.off"],
        ["bar/6.off", "bar/7.off"],
    ]


def test_held_out_shapes_with_a_near_copy_in_train_are_named(tmp_path: Path) -> None:
    """Of six near copies of a class of seven, at most three are together."""
    shapes = {f"bar/{k}.off": changed("bar", 0, 20 * k) for k in range(6)} | {"bar/6.off": pictures("bar", 9)}
    shapes |= {f"slab/{k}.off": pictures("slab", k) for k in range(7)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    division = divide(artefacts, list(artefacts.entries), Validation(groups="near", folds=3))
    held_out = [entry.id for entry in division.val if entry.id in {f"bar/{k}.off" for k in range(6)}]
    assert division.near_train is not None
    assert [entry.id for entry in division.near_train] == held_out
    assert division.to_json()["groups"]["held_out_near_train"] == held_out
    heard: list[str] = []
    plan = Plan(experiment(stage(epochs=1), validation=Validation(groups="near", folds=3)), artefacts.folder, None)
    open_data(plan, fetch=False, say=heard.append)
    assert [text.startswith(f"{len(held_out)} held-out shape") for text in heard] == [True] * bool(held_out)
    assert held_out


def test_exact_folds_are_those_of_early_versions(artefacts: Artefacts) -> None:
    """Which were divided by the order of the digests."""
    digests = np.unique([artefacts.digest(entry) for entry in artefacts.entries], return_inverse=True)[1]
    grouped = group_shapes(artefacts, artefacts.entries, Validation(groups="exact"), 5)
    assert grouped.groups.tolist() == digests.tolist()


@pytest.mark.parametrize("settings", [VIEWS, VOXELS, ViewSettings(size=32, views=20)])
def test_blank_shapes_and_other_inputs(settings: ViewSettings | VoxelSettings, tmp_path: Path) -> None:
    """Blank shapes are near copies of each other; with classes or without."""
    if isinstance(settings, VoxelSettings):
        shapes: dict[str, NDArray[Any]] = {
            f"{label}/{k}.off": grid(label, k) for label in ("bar", "slab") for k in range(4)
        }
        blank: NDArray[Any] = np.zeros((1, 22, 22, 22), bool)
    else:
        shapes = {f"{label}/{k}.off": _of(settings, label, k) for label in ("bar", "slab") for k in range(4)}
        blank = np.full((settings.views, 32, 32), 255, np.uint8)
    shapes |= {"bar/8.off": blank, "bar/9.off": blank}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", settings, shapes))
    for by_class in (True, False):
        grouped = group_shapes(artefacts, artefacts.entries, NEAR, 2, by_class=by_class)
        assert ["bar/8.off", "bar/9.off"] in grouped.to_json()["together"]


def _of(settings: ViewSettings, label: str, k: int) -> NDArray[np.uint8]:
    return np.concatenate([pictures(label, k), pictures(label, k + 100)])[: settings.views]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,group\nbar/0.off,a\nbar/0.off,b\n", "line 3: 'bar/0.off' has another group in an earlier line."),
        ("id,group\nbar/0.obj,a\n", "has a group for none of the shapes. Its column id must have the ids of the"),
        ("name,family\nbar/0.off,a\n", "lacks the header id,group: no column is called group, id."),
        (None, "cannot be read: No such file or directory."),
    ],
)
def test_wrong_files(text: str | None, message: str, artefacts: Artefacts, tmp_path: Path) -> None:
    file = tmp_path / "families.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError) as caught:
        group_shapes(artefacts, artefacts.entries, Validation(groups=str(file)), 2)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)


def test_what_groups_can_be() -> None:
    with pytest.raises(UsageError, match="groups 'families' is not near, exact or the name of a CSV file"):
        Validation(groups="families")


def test_near_copies_are_held_out_together_and_the_run_says_so(artefacts: Artefacts, tmp_path: Path) -> None:
    sides = []
    for fold in range(2):
        division = divide(artefacts, list(artefacts.entries), Validation(groups="near", folds=2, fold=fold))
        sides.append({entry.id for entry in division.val})
        for group in together(artefacts, NEAR):
            assert len({name in sides[-1] for name in group}) == 1
    assert sides[0] | sides[1] == {entry.id for entry in artefacts.entries}
    result = run(
        experiment(stage(epochs=1), validation=Validation(groups="near", folds=2)), artefacts.folder, tmp_path / "run"
    )
    split = json.loads((result.run / "split.json").read_text())
    assert set(split["val"]) == sides[0]
    assert split["groups"] == {
        "by": "near",
        "tolerance": 0.3,
        "held_out_near_train": [],
        "together": together(artefacts, NEAR),
    }


def test_newest(artefacts: Artefacts) -> None:
    """By the number in the file name, not by its letters; a copy of an older shape stays with it."""
    grouped = group_shapes(artefacts, artefacts.entries, NEAR, 4)
    assert isinstance(grouped, GroupedShapes)
    division = divide(artefacts, list(artefacts.entries), Validation(groups="near", folds=4, hold_out="newest"))
    assert [entry.id for entry in division.val] == ["bar/6.off", "bar/7.off", "slab/6.off", "slab/7.off"]
    division = divide(artefacts, list(artefacts.entries), Validation(groups="near", folds=8, hold_out="newest"))
    assert [entry.id for entry in division.val] == ["slab/7.off"]  # bar/7 is a copy of bar/6


def test_newest_is_by_number(tmp_path: Path) -> None:
    names = [f"{label}/{label}_{k}.off" for label in ("bar", "slab") for k in (9, 10, 100, 1)]
    shapes = {name: pictures(name.split("/")[0], k) for k, name in enumerate(names)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    division = divide(artefacts, list(artefacts.entries), Validation(groups="near", folds=2, hold_out="newest"))
    assert [entry.id for entry in division.val] == [
        "bar/bar_10.off", "bar/bar_100.off", "slab/slab_10.off", "slab/slab_100.off"
    ]  # fmt: skip


def test_newest_needs_numbers(tmp_path: Path) -> None:
    shapes = {f"{label}/{name}.off": pictures(label, k) for label in ("bar", "slab") for k, name in enumerate("ab1")}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    with pytest.raises(UsageError, match=r"bar/a\.off has no number in its file name"):
        divide(artefacts, list(artefacts.entries), Validation(folds=2, hold_out="newest"))


def test_fewer_groups_than_folds(artefacts: Artefacts, tmp_path: Path) -> None:
    rows = [f"{entry.id},{k % 2}\n" for k, entry in enumerate(artefacts.entries) if entry.id != "bar/7.off"]
    file = tmp_path / "two.csv"
    file.write_text("".join(["id,group\n", *rows]))
    with pytest.raises(UsageError, match="there are only 2 groups of shapes that stay together"):
        divide(artefacts, list(artefacts.entries), Validation(groups=str(file)))


def test_newest_has_no_folds() -> None:
    with pytest.raises(UsageError, match="set fold to 0"):
        Validation(hold_out="newest", fold=1)


def test_nothing_new(tmp_path: Path) -> None:
    shapes = {f"{label}/{k}.off": np.full((12, 32, 32), 9, np.uint8) for label in ("bar", "slab") for k in range(4)}
    shapes["bar/0.off"], shapes["slab/0.off"] = pictures("bar", 0), pictures("slab", 0)
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    with pytest.raises(UsageError, match="Each of the newest shapes is in a group with an older one"):
        divide(artefacts, list(artefacts.entries), Validation(groups="near", folds=4, hold_out="newest"))
