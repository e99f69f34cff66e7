"""Which shapes are held out: stratified, seeded, copies on one side, and nothing of the test split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.settings.validation import Validation
from shapecnn.training.splits import Division, divide, folds_of
from tests.training.data import VIEWS, pictures, write_artefacts

ALL = Validation(folds=0, select="last")


def ids(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]


def drawn(tmp_path: Path, *names: str) -> Artefacts:
    """Shapes by their ids, no two alike."""
    shapes = {name: pictures(name.split("/")[0] if "/" in name else "bar", k) for k, name in enumerate(names)}
    return open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))


def divided(artefacts: Artefacts, validation: Validation | None = None) -> Division:
    return divide(artefacts, list(artefacts.entries), validation or Validation())


def refused(artefacts: Artefacts, validation: Validation | None = None) -> str:
    """The one sentence, which names the data."""
    with pytest.raises(UsageError) as caught:
        divided(artefacts, validation)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(artefacts.folder), "DATA")


def test_shapes_are_in_the_folds_that_hold_them_out(views: Path) -> None:
    artefacts = open_artefacts(views)
    train = artefacts.select("train")
    folds = folds_of(artefacts, train, 3, Validation(seed=1))
    assert folds is not None
    for fold in range(3):
        held_out = divided(artefacts, Validation(folds=3, fold=fold, seed=1)).val
        assert ids(held_out) == [entry.id for entry, number in zip(train, folds, strict=True) if number == fold]


def test_classes_that_cannot_be_left_out_in_part_have_no_folds(tmp_path: Path) -> None:
    artefacts = drawn(tmp_path, "bar/train/0.off", "block/train/1.off", "block/train/2.off", "block/train/3.off")
    train = artefacts.select("train")
    assert folds_of(artefacts, train, 2, Validation()) is None  # bar is in one fold
    assert folds_of(artefacts, train, 4, Validation()) is None  # no class has four
    assert folds_of(artefacts, train[1:], 3, Validation()) is not None


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_partition_the_train_split_class_by_class(folds: int, views: Path) -> None:
    artefacts = open_artefacts(views)
    held_out = []
    for fold in range(folds):
        division = divided(artefacts, Validation(folds=folds, fold=fold))
        assert division.classes == ("bar", "block", "slab")
        assert not {*ids(division.train)} & {*ids(division.val)}
        assert ids(division.train) == sorted(ids(division.train))
        assert ids(division.val) == sorted(ids(division.val))
        counts = Counter(entry.label for entry in division.val)
        assert len(counts) == 3
        assert max(counts.values()) - min(counts.values()) <= 1
        held_out += ids(division.val)
        assert len(division.train) + len(division.val) == 15
    assert sorted(held_out) == ids(artefacts.select("train"))


def test_the_seed_decides_and_nothing_else(views: Path) -> None:
    artefacts = open_artefacts(views)
    held_out = [ids(divided(artefacts, Validation(seed=seed)).val) for seed in (0, 0, 1, 2)]
    assert held_out[0] == held_out[1]
    assert len({*map(tuple, held_out)}) == 3


def test_nothing_is_held_out_unless_asked(views: Path) -> None:
    artefacts = open_artefacts(views)
    division = divided(artefacts, ALL)
    assert (ids(division.train), division.val) == (ids(artefacts.select("train")), [])


@settings(max_examples=25)
@given(data=st.data())
def test_copies_are_never_on_both_sides(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever their names, and even their classes."""
    originals = data.draw(st.lists(st.integers(0, 5), min_size=12, max_size=24))
    shapes = {f"{'ab'[i % 2]}/{i:02d}.off": _flat(original) for i, original in enumerate([0, 1, 2, 3, *originals])}
    artefacts = open_artefacts(write_artefacts(tmp_path_factory.mktemp("copies"), VIEWS, shapes))
    try:
        division = divided(artefacts, Validation(folds=2, seed=data.draw(st.integers(0, 3))))
    except UsageError:  # too few originals, or all of a class in one fold: tested below
        return
    sides = [{artefacts.digest(entry) for entry in side} for side in (division.train, division.val)]
    assert all(sides)
    assert not sides[0] & sides[1]


def _flat(grey: int) -> NDArray[np.uint8]:
    return np.full((12, 32, 32), grey, np.uint8)


def test_the_test_split_is_neither_used_nor_read(views: Path, tmp_path: Path) -> None:
    artefacts = drawn(
        tmp_path, *(f"{c}/{s}/{k}.off" for c in ("bar", "slab") for s in ("train", "test") for k in "123")
    )
    for path in artefacts.folder.rglob("test/*.png"):
        path.unlink()
    for validation in (Validation(folds=3), ALL):
        division = divided(artefacts, validation)
        assert {entry.split for entry in [*division.train, *division.val]} == {"train"}
    next(artefacts.folder.rglob("train/*.png")).unlink()
    with pytest.raises(StoredDataError, match="cannot be read"):
        divided(artefacts, Validation(folds=3))


def test_a_val_split_of_the_data_is_the_one_that_is_used(tmp_path: Path) -> None:
    names = [f"{c}/{s}/{k}.off" for c in ("bar", "slab") for s in ("train", "val", "test") for k in "12"]
    artefacts = drawn(tmp_path, *names)
    for validation in (Validation(), Validation(fold=3, seed=4), ALL):
        division = divided(artefacts, validation)
        assert ids(division.train) == sorted(name for name in names if "/train/" in name)
        assert ids(division.val) == sorted(name for name in names if "/val/" in name)


def test_data_without_splits_is_for_training_all_of_it(tmp_path: Path) -> None:
    names = [f"{c}/{k}.off" for c in ("bar", "slab") for k in "12345"]
    division = divided(drawn(tmp_path, *names))
    assert sorted(ids(division.train) + ids(division.val)) == sorted(names)
    assert len(division.val) == 2


def test_fewer_than_two_classes(tmp_path: Path) -> None:
    assert refused(drawn(tmp_path, "bar/train/1.off", "bar/train/2.off", "slab/test/1.off")) == (
        "All shapes of split train in DATA are of class 'bar'. Add shapes of another class."
    )


def test_an_empty_split(tmp_path: Path) -> None:
    message = refused(drawn(tmp_path, "bar/test/1.off", "slab/test/1.off", "slab/2.off"))
    assert message == "DATA has no shapes of split train (test: 2, no split: 1). Use another --data."
    assert "no shapes at all" in refused(open_artefacts(write_artefacts(tmp_path / "none", VIEWS, {})))


def test_no_labels(tmp_path: Path) -> None:
    message = refused(drawn(tmp_path, "1.off", "2.off", "bar/3.off"))
    assert message.startswith("DATA has 2 shapes without a label, such as 1.off. Put the meshes of each class in a")


def test_a_class_with_one_shape(tmp_path: Path) -> None:
    artefacts = drawn(tmp_path, "bar/1.off", "bar/2.off", "slab/3.off")
    message = refused(artefacts)
    assert message.startswith("Class 'slab' in DATA has one shape (or copies of one)")
    assert "--set validation.folds=0 --set validation.select=last" in message
    assert len(divided(artefacts, ALL).train) == 3  # as it says


def test_a_class_of_copies_of_one_shape(tmp_path: Path) -> None:
    shapes = {f"bar/{k}.off": _flat(k) for k in range(5)} | {f"slab/{k}.off": _flat(9) for k in range(5)}
    assert "Class 'slab'" in refused(open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes)))


def test_a_class_of_val_that_train_lacks(tmp_path: Path) -> None:
    artefacts = drawn(tmp_path, "bar/train/1.off", "slab/train/2.off", "block/val/3.off")
    assert refused(artefacts) == (
        "DATA has shapes of class 'block' in split val but none in split train. Add shapes of this class to split "
        "train, or leave them out of split val."
    )


def test_more_folds_than_shapes(tmp_path: Path) -> None:
    artefacts = drawn(tmp_path, *(f"{c}/{k}.off" for c in ("bar", "slab") for k in "123"))
    assert refused(artefacts, Validation(folds=20)) == (
        "validation.folds is 20, but no class has more than 3 shapes. Use fewer folds."
    )


def test_a_class_whose_shapes_are_all_held_out(tmp_path: Path) -> None:
    """Both bars, which are copies of a block and of a slab, as the other two classes are then spread evenly."""
    groups = [("bar", 0, 1), ("block", 0, 10), ("bar", 1, 1), ("slab", 1, 10), ("block", 2, 10), ("slab", 2, 10)]
    shapes = {f"{label}/{grey}-{k}.off": _flat(grey) for label, grey, count in groups for k in range(count)}
    artefacts = open_artefacts(write_artefacts(tmp_path / "data", VIEWS, shapes))
    told = []
    for fold in range(2):
        try:
            assert len(divided(artefacts, Validation(folds=2, fold=fold)).val) == 20
        except UsageError as error:
            told.append((fold, str(error)))
    ((fold, message),) = told
    assert message.startswith(f"All shapes of class 'bar' in {artefacts.folder} are in the held-out fold {fold}")
    assert message.endswith("--set validation.seed=1")
