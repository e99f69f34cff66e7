"""Division of shapes into a train and a validation set, stratified by class. Copies of a shape stay together."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError, counted
from shapecnn.settings.validation import Validation
from shapecnn.training.grouping import GroupedShapes, group_shapes


class Division(NamedTuple):
    """Division of a data set into training shapes and held-out shapes.

    Attributes:
        train: Manifest entries of the shapes to train on, sorted by id.
        val: Manifest entries of the held-out shapes, sorted by id.
        classes: Distinct labels of the shapes to train on, sorted; empty if the network learns a quantity.
        grouped: The divided shapes in groups that were kept together; None if the data has its own validation shapes,
            or if none are held out.
        near_train: Held-out shapes that have a near copy among the shapes to train on, because a group of all near
            copies would be too large; None if unknown.
    """

    train: list[Entry]
    val: list[Entry]
    classes: tuple[str, ...]
    grouped: GroupedShapes | None = None
    near_train: list[Entry] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``split.json``: ids of the shapes, and which were kept together."""
        ids = {"train": [entry.id for entry in self.train], "val": [entry.id for entry in self.val]}
        if self.grouped is None:
            return ids
        near = None if self.near_train is None else [entry.id for entry in self.near_train]
        return {**ids, "groups": {**self.grouped.to_json(), "held_out_near_train": near}}


def divide(artefacts: Artefacts, entries: list[Entry], validation: Validation, *, by_class: bool = True) -> Division:
    """Divide the shapes of a collection into shapes to train on and held-out shapes.

    If the data has a split val, its shapes are held out. Otherwise the split train is divided into folds, and one fold
    is held out. If no shape has a split, all shapes are divided into folds. Shapes with identical views or grids
    are always in the same fold, and near copies too, or the shapes of a group in a CSV file (``validation.groups``).
    With ``validation.hold_out: newest``, the shapes with the highest file numbers of each class are held out instead.

    Args:
        artefacts: The views or grids of the shapes.
        entries: Manifest entries of the shapes to divide, sorted by id.
        validation: Number of folds, number of the held-out fold, random seed, and kind of groups.
        by_class: Whether the network learns classes, and folds are stratified by class. Otherwise labels are not used.

    Returns:
        The shapes to train on, the held-out shapes, and the classes.

    Raises:
        UsageError: Shapes have no labels, or a class has too few shapes to train on and to validate with.
    """
    folder = artefacts.folder
    counts = Counter(entry.split for entry in entries)
    pool = [entry for entry in entries if entry.split == "train" or set(counts) == {None}]
    if not pool:
        splits = ", ".join(f"{split or 'no split'}: {count}" for split, count in counts.items())
        raise UsageError(f"{folder} has no shapes of split train ({splits or 'no shapes at all'}). Use another --data.")
    own_val = [entry for entry in entries if entry.split == "val"]
    if not by_class:
        return _divide_unlabelled(artefacts, pool, own_val, validation)
    unlabelled = [entry.id for entry in [*pool, *own_val] if entry.label is None]
    if unlabelled:
        raise UsageError(
            f"{folder} has {counted(len(unlabelled), 'shape')} without a label, such as {unlabelled[0]}. Put the "
            f"meshes of each class in a folder of its name, or list them in a CSV file with the columns "
            f"path, label and split. Then render, voxelize or import them again."
        )
    labels = np.array([entry.label for entry in pool])
    classes = tuple(np.unique(labels).tolist())
    if len(classes) < 2:
        raise UsageError(
            f"All shapes of split train in {folder} are of class {classes[0]!r}. Add shapes of another class."
        )
    if own_val:
        if unknown := sorted({str(entry.label) for entry in own_val} - set(classes)):
            raise UsageError(
                f"{folder} has shapes of class {unknown[0]!r} in split val but none in split train. Add shapes of this "
                f"class to split train, or leave them out of split val."
            )
        return Division(pool, own_val, classes)
    if validation.folds == 0:
        return Division(pool, [], classes)

    grouped = group_shapes(artefacts, pool, validation, validation.folds)
    for name in classes:
        if len(np.unique(grouped.groups[labels == name])) < 2:
            one = "one shape (or copies of one)" if grouped.by in ("near", "exact") else f"one group of {grouped.by}"
            raise UsageError(
                f"Class {name!r} in {folder} has {one}, but training and validation need two. Add shapes, leave the "
                f"class out, or train without validation: --set validation.folds=0 --set validation.select=last"
            )
    held_out = _held_out(labels, grouped, validation)
    train_labels = set(labels[~held_out])
    for name in classes:
        if name not in train_labels:
            raise UsageError(
                f"All shapes of class {name!r} in {folder} are in the held-out fold {validation.fold}, so that none "
                f"is left to train on. Choose another random division: --set validation.seed={validation.seed + 1}"
            )
    return _divided(grouped, held_out, classes)


def _divide_unlabelled(
    artefacts: Artefacts, pool: list[Entry], own_val: list[Entry], validation: Validation
) -> Division:
    """Divide shapes without regard to their labels. ``own_val`` are the shapes of the split val, which may be empty."""
    if own_val or validation.folds == 0:
        return Division(pool, own_val, ())
    grouped = group_shapes(artefacts, pool, validation, validation.folds, by_class=False)
    different = len(np.unique(grouped.groups))
    if different < validation.folds:
        raise UsageError(
            f"validation.folds is {validation.folds}, but {artefacts.folder} has only "
            f"{counted(different, 'different shape')} to divide. Use fewer folds, or train without "
            f"validation: --set validation.folds=0 --set validation.select=last"
        )
    held_out = _held_out(np.zeros(len(pool), np.int64), grouped, validation)
    return _divided(grouped, held_out, ())


def _divided(grouped: GroupedShapes, held_out: NDArray[np.bool_], classes: tuple[str, ...]) -> Division:
    train, val = (
        [e for e, out in zip(grouped.entries, held_out, strict=True) if out == side] for side in (False, True)
    )
    return Division(train, val, classes, grouped, grouped.held_out_near_train(held_out))


def folds_of(
    artefacts: Artefacts, entries: list[Entry], folds: int, validation: Validation
) -> NDArray[np.int64] | None:
    """Assign shapes to stratified folds. Copies of a shape, as ``validation.groups`` says, are in the same fold.

    Args:
        artefacts: The views or grids of the shapes.
        entries: Manifest entries of N shapes with labels.
        folds: Number of folds.
        validation: Random seed of the assignment, and kind of groups.

    Returns:
        (N,) int64, the fold number of each shape; None if all shapes of a class are in one fold, or if every class has
        fewer shapes than there are folds.
    """
    labels = np.array([entry.label for entry in entries])
    try:
        numbers = _folds(labels, group_shapes(artefacts, entries, validation, folds).groups, folds, validation.seed)
    except ValueError:
        return None
    undivided = any(len({*numbers[labels == label].tolist()}) < 2 for label in np.unique(labels))
    return None if undivided else numbers


def _folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold number of each of N shapes, (N,) int64. Folds are stratified by label and never split a group.

    Raises:
        ValueError: Every class has fewer shapes than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ignore the warning about classes with fewer shapes than folds
        for number, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
            numbers[rows] = number
    return numbers


def _held_out(labels: np.ndarray, grouped: GroupedShapes, validation: Validation) -> NDArray[np.bool_]:
    """Return for each of N shapes whether the shape is held out, as (N,) bool."""
    if validation.hold_out == "newest":
        return _newest(labels, grouped, validation.folds)
    try:
        numbers = _folds(labels, grouped.groups, validation.folds, validation.seed)
    except ValueError:
        largest, groups = max(Counter(labels.tolist()).values()), len(np.unique(grouped.groups))
        most = f"no class has more than {counted(largest, 'shape')}"
        if largest >= validation.folds:
            most = f"there are only {counted(groups, 'group')} of shapes that stay together"
        raise UsageError(f"validation.folds is {validation.folds}, but {most}. Use fewer folds.") from None
    held_out: NDArray[np.bool_] = numbers == validation.fold
    if not held_out.any():
        raise UsageError(
            f"Fold {validation.fold} of {validation.folds} is empty. Use fewer folds: --set validation.folds=2"
        )
    return held_out


def _newest(labels: np.ndarray, grouped: GroupedShapes, folds: int) -> NDArray[np.bool_]:
    """Hold out the part 1/``folds`` of each class with the highest file numbers, but no copy of a shape to train on."""
    without = next((entry.id for entry in grouped.entries if _file_number(entry.id) is None), None)
    if without is not None:
        raise UsageError(
            f"{without} has no number in its file name, so that it is not known which shapes are the newest. Hold out "
            f"random shapes: --set validation.hold_out=random"
        )
    numbers = np.array([_file_number(entry.id) for entry in grouped.entries])
    held_out = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        oldest_first = rows[np.argsort(numbers[rows], kind="stable")]
        held_out[oldest_first[len(rows) - -(-len(rows) // folds) :]] = True
    trained = np.unique(grouped.groups[~held_out])
    held_out &= ~np.isin(grouped.groups, trained)
    if not held_out.any():
        advice = {"near": "Keep only identical shapes together: --set validation.groups=exact"}
        raise UsageError(
            "Each of the newest shapes is in a group with an older one, so that none is held out. "
            + advice.get(grouped.by, "Hold out random shapes: --set validation.hold_out=random")
        )
    return held_out


def _file_number(name: str) -> int | None:
    """Return the last number in the file name of a shape, such as 890 for ``chair/train/chair_0890.off``, or None."""
    numbers = re.findall(r"\d+", PurePosixPath(name).stem)
    return int(numbers[-1]) if numbers else None
