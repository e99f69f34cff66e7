"""Which shapes a run is trained on and which are held out: stratified by class, copies of a shape on one side."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import NamedTuple

import numpy as np

from shapecnn.artefacts import Entry
from shapecnn.datasets import Artefacts
from shapecnn.errors import UsageError
from shapecnn.experiment import Validation


class Division(NamedTuple):
    """train, val: in order of id.  classes: labels of train, sorted."""

    train: list[Entry]
    val: list[Entry]
    classes: tuple[str, ...]


def divide(artefacts: Artefacts, entries: list[Entry], validation: Validation) -> Division:
    """Train and val among ``entries``: those of split train, or all where the data names no splits.

    A split called val in the data is val; else one of ``validation.folds`` folds is, whose shapes look different from
    all of train to the last bit. Raises UsageError if that leaves too little to train on or to validate with.
    """
    folder = artefacts.folder
    named = Counter(entry.split for entry in entries)
    pool = [entry for entry in entries if entry.split == "train" or set(named) == {None}]
    if not pool:
        there = ", ".join(f"{split or 'no split'}: {count}" for split, count in named.items())
        raise UsageError(f"{folder} has no shapes of split train ({there or 'it is empty'}). Use another --data.")
    own_val = [entry for entry in entries if entry.split == "val"]
    unlabelled = [entry.id for entry in [*pool, *own_val] if entry.label is None]
    if unlabelled:
        raise UsageError(
            f"{len(unlabelled)} shapes in {folder} have no label, such as {unlabelled[0]}. Put the meshes of each "
            f"class in a folder of its name, or list them in a CSV path,label,split, and make the artefacts again."
        )
    labels = np.array([entry.label for entry in pool])
    classes = tuple(np.unique(labels).tolist())
    if len(classes) < 2:
        raise UsageError(f"All shapes of split train in {folder} are of class {classes[0]!r}; two classes are needed.")
    if own_val:
        if unknown := sorted({str(entry.label) for entry in own_val} - set(classes)):
            raise UsageError(f"{folder} has shapes of class {unknown[0]!r} in split val and none in split train.")
        return Division(pool, own_val, classes)
    if validation.folds == 0:
        return Division(pool, [], classes)

    digests = [artefacts.digest(entry) for entry in pool]
    groups = np.unique(digests, return_inverse=True)[1]
    for name in classes:
        if len(np.unique(groups[labels == name])) < 2:
            raise UsageError(
                f"Class {name!r} in {folder} has one shape (or copies of one), which cannot be trained on and held out."
                f" Add shapes, leave the class out, or hold nothing out: --set validation.folds=0 "
                f"--set validation.select=last"
            )
    held_out = _fold(labels, groups, validation)
    trained = set(labels[~held_out])
    for name in classes:
        if name not in trained:
            raise UsageError(
                f"All shapes of class {name!r} in {folder} fell into fold {validation.fold}, which leaves none to "
                f"train on. Choose another division: --set validation.seed={validation.seed + 1}"
            )
    train = [entry for entry, held in zip(pool, held_out, strict=True) if not held]
    return Division(train, [entry for entry, held in zip(pool, held_out, strict=True) if held], classes)


def _fold(labels: np.ndarray, groups: np.ndarray, validation: Validation) -> np.ndarray:
    """(N,) bool: held out."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(validation.folds, shuffle=True, random_state=validation.seed)
    held_out = np.zeros(len(labels), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class has fewer shapes than there are folds
        try:
            divisions = list(folds.split(labels, labels, groups))
        except ValueError:
            largest = max(Counter(labels.tolist()).values())
            raise UsageError(
                f"validation.folds is {validation.folds}, but no class has more than {largest} shapes: use fewer folds."
            ) from None
    held_out[divisions[validation.fold][1]] = True
    if not held_out.any():
        raise UsageError(f"Fold {validation.fold} of {validation.folds} is empty: use fewer, --set validation.folds=2")
    return held_out
