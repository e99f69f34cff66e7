"""Division of shapes into a train and a validation set, stratified by class. Identical shapes stay together."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError, counted
from shapecnn.settings.experiment import Validation
from shapecnn.workers.progress import stage


class Division(NamedTuple):
    """Division of a data set into training shapes and held-out shapes.

    Attributes:
        train: Manifest entries of the shapes to train on, sorted by id.
        val: Manifest entries of the held-out shapes, sorted by id.
        classes: Distinct labels of the shapes to train on, sorted; empty if the network learns a quantity.
    """

    train: list[Entry]
    val: list[Entry]
    classes: tuple[str, ...]

    def ids(self) -> dict[str, list[str]]:
        """Return the ids of the shapes under the keys ``train`` and ``val``, as in ``split.json``."""
        return {"train": [entry.id for entry in self.train], "val": [entry.id for entry in self.val]}


def divide(artefacts: Artefacts, entries: list[Entry], validation: Validation, *, by_class: bool = True) -> Division:
    """Divide the shapes of a collection into shapes to train on and held-out shapes.

    If the data has a split val, its shapes are held out. Otherwise the split train is divided into folds, and one fold
    is held out. If no shape has a split, all shapes are divided into folds. Shapes with identical views or grids
    are always in the same fold.

    Args:
        artefacts: The views or grids of the shapes.
        entries: Manifest entries of the shapes to divide, sorted by id.
        validation: Number of folds, number of the held-out fold, and random seed.
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

    groups = _copies(artefacts, pool)
    for name in classes:
        if len(np.unique(groups[labels == name])) < 2:
            raise UsageError(
                f"Class {name!r} in {folder} has one shape (or copies of one), but training and validation need two. "
                f"Add shapes, leave the class out, or train without validation: --set validation.folds=0 "
                f"--set validation.select=last"
            )
    held_out = _select_fold(labels, groups, validation)
    train_labels = set(labels[~held_out])
    for name in classes:
        if name not in train_labels:
            raise UsageError(
                f"All shapes of class {name!r} in {folder} are in the held-out fold {validation.fold}, so that none "
                f"is left to train on. Choose another random division: --set validation.seed={validation.seed + 1}"
            )
    train = [entry for entry, out in zip(pool, held_out, strict=True) if not out]
    return Division(train, [entry for entry, out in zip(pool, held_out, strict=True) if out], classes)


def _divide_unlabelled(
    artefacts: Artefacts, pool: list[Entry], own_val: list[Entry], validation: Validation
) -> Division:
    """Divide shapes without regard to their labels. ``own_val`` are the shapes of the split val, which may be empty."""
    if own_val or validation.folds == 0:
        return Division(pool, own_val, ())
    groups = _copies(artefacts, pool)
    if len(np.unique(groups)) < validation.folds:
        raise UsageError(
            f"validation.folds is {validation.folds}, but {artefacts.folder} has only "
            f"{counted(len(np.unique(groups)), 'different shape')} to divide. Use fewer folds, or train without "
            f"validation: --set validation.folds=0 --set validation.select=last"
        )
    held_out = _select_fold(np.zeros(len(pool), np.int64), groups, validation)
    train = [entry for entry, out in zip(pool, held_out, strict=True) if not out]
    return Division(train, [entry for entry, out in zip(pool, held_out, strict=True) if out], ())


def folds_of(artefacts: Artefacts, entries: list[Entry], folds: int, seed: int) -> NDArray[np.int64] | None:
    """Assign shapes to stratified folds. Shapes with identical views or grids are assigned to the same fold.

    Args:
        artefacts: The views or grids of the shapes.
        entries: Manifest entries of N shapes with labels.
        folds: Number of folds.
        seed: Random seed of the assignment.

    Returns:
        (N,) int64, the fold number of each shape; None if all shapes of a class are in one fold, or if every class has
        fewer shapes than there are folds.
    """
    labels = np.array([entry.label for entry in entries])
    try:
        numbers = _folds(labels, _copies(artefacts, entries), folds, seed)
    except ValueError:
        return None
    undivided = any(len({*numbers[labels == label].tolist()}) < 2 for label in np.unique(labels))
    return None if undivided else numbers


def _copies(artefacts: Artefacts, entries: list[Entry]) -> NDArray[np.int64]:
    """Return a group number for each of N shapes, (N,) int64: equal for shapes with identical views or grids."""
    digests = []
    with stage("Looking for copies") as progress:
        for entry in entries:
            digests.append(artefacts.digest(entry))
            progress(len(digests), len(entries))
    return np.unique(digests, return_inverse=True)[1]


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


def _select_fold(labels: np.ndarray, groups: np.ndarray, validation: Validation) -> NDArray[np.bool_]:
    """Return for each of N shapes whether the shape is in the held-out fold, as (N,) bool."""
    try:
        numbers = _folds(labels, groups, validation.folds, validation.seed)
    except ValueError:
        largest = max(Counter(labels.tolist()).values())
        raise UsageError(
            f"validation.folds is {validation.folds}, but no class has more than {counted(largest, 'shape')}. Use "
            f"fewer folds."
        ) from None
    held_out: NDArray[np.bool_] = numbers == validation.fold
    if not held_out.any():
        raise UsageError(
            f"Fold {validation.fold} of {validation.folds} is empty. Use fewer folds: --set validation.folds=2"
        )
    return held_out
