"""Which shapes stay together: identical ones, near copies, and those that a CSV file names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.duplicates.signatures import input_signature
from shapecnn.errors import UsageError
from shapecnn.settings.experiment import Validation
from shapecnn.training.grouping import GroupedShapes, group_shapes
from shapecnn.training.splits import divide
from tests.training.data import VIEWS, experiment, pictures, run, stage, write_artefacts


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
    assert together(artefacts, Validation()) == near
    first, second = (input_signature(changed("bar", 0, darker)) for darker in (0, 40))
    distance = float(np.linalg.norm(first - second))
    assert ["bar/0.off", "bar/1.off"] in together(artefacts, Validation(tolerance=distance + 0.002))
    assert near[0] not in together(artefacts, Validation(tolerance=distance + 0.002))
    assert together(artefacts, Validation(tolerance=distance - 0.002)) == near[1:]


def test_a_group_is_no_larger_than_a_fold_of_its_class(artefacts: Artefacts) -> None:
    grouped = group_shapes(artefacts, artefacts.entries, Validation(), folds=4)
    assert grouped.to_json()["together"] == [["bar/0.off", "bar/1.off"], ["bar/6.off", "bar/7.off"]]
    assert grouped.apart == 2


def test_groups_of_a_file(artefacts: Artefacts, tmp_path: Path) -> None:
    file = tmp_path / "families.csv"
    file.write_text("path;group\nbar/0.off;a\nslab/1.off;a\nslab/2.off;\nslab/3.off;\nelsewhere.off;a\n")
    assert together(artefacts, Validation(groups=str(file))) == [
        ["bar/0.off", "slab/1.off"],
        ["bar/6.off", "bar/7.off"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,group\nbar/0.off,a\nbar/0.off,b\n", "line 3: bar/0.off is in two groups."),
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
        division = divide(artefacts, list(artefacts.entries), Validation(folds=2, fold=fold))
        sides.append({entry.id for entry in division.val})
        for group in together(artefacts, Validation()):
            assert len({name in sides[-1] for name in group}) == 1
    assert sides[0] | sides[1] == {entry.id for entry in artefacts.entries}
    result = run(experiment(stage(epochs=1), validation=Validation(folds=2)), artefacts.folder, tmp_path / "run")
    split = json.loads((result.run / "split.json").read_text())
    assert set(split["val"]) == sides[0]
    assert split["groups"] == {
        "by": "near",
        "tolerance": 0.2,
        "pairs_apart": 0,
        "together": together(artefacts, Validation()),
    }


def test_newest(artefacts: Artefacts) -> None:
    """By the number in the file name, not by its letters; a copy of an older shape stays with it."""
    grouped = group_shapes(artefacts, artefacts.entries, Validation(), 4)
    assert isinstance(grouped, GroupedShapes)
    division = divide(artefacts, list(artefacts.entries), Validation(folds=4, hold_out="newest"))
    assert [entry.id for entry in division.val] == ["bar/6.off", "bar/7.off", "slab/6.off", "slab/7.off"]
    division = divide(artefacts, list(artefacts.entries), Validation(folds=8, hold_out="newest"))
    assert [entry.id for entry in division.val] == ["slab/7.off"]  # bar/7 is a copy of bar/6


def test_newest_is_by_number(tmp_path: Path) -> None:
    names = [f"{label}/{label}_{k}.off" for label in ("bar", "slab") for k in (9, 10, 100, 1)]
    shapes = {name: pictures(name.split("/")[0], k) for k, name in enumerate(names)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    division = divide(artefacts, list(artefacts.entries), Validation(folds=2, hold_out="newest"))
    assert [entry.id for entry in division.val] == [
        "bar/bar_10.off", "bar/bar_100.off", "slab/slab_10.off", "slab/slab_100.off"
    ]  # fmt: skip


def test_newest_has_no_folds() -> None:
    with pytest.raises(UsageError, match="set fold to 0"):
        Validation(hold_out="newest", fold=1)


def test_nothing_new(tmp_path: Path) -> None:
    shapes = {f"{label}/{k}.off": np.full((12, 32, 32), 9, np.uint8) for label in ("bar", "slab") for k in range(4)}
    shapes["bar/0.off"], shapes["slab/0.off"] = pictures("bar", 0), pictures("slab", 0)
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    with pytest.raises(UsageError, match="Each of the newest shapes is a near copy of an older one"):
        divide(artefacts, list(artefacts.entries), Validation(folds=4, hold_out="newest"))
