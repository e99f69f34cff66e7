"""Group shapes that must not be separated by a division into folds: copies, near copies, or groups from a CSV file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.duplicates.copies import artefact_fingerprints
from shapecnn.duplicates.groups import Grouping, group_by_key, group_rows, merge_groupings
from shapecnn.duplicates.near import group_near
from shapecnn.errors import Caution, UsageError, quoted
from shapecnn.settings.validation import Validation
from shapecnn.storage.csv_reader import read_csv
from shapecnn.workers.progress import stage

TOLERANCES = {"views": 0.3, "voxels": 0.2}
"""Largest distance of near copies, by the kind of artefacts. With these, validation is close to results on new shapes
(docs/measurements/validation.md)."""

_COLUMNS = {"id": ("id", "path"), "group": ("group",)}


@dataclass(frozen=True, slots=True)
class GroupedShapes:
    """Shapes with a group number each: shapes of a group are on the same side of every division.

    Attributes:
        entries: Manifest entries of N shapes.
        groups: Group number of each shape, (N,) int64.
        by: How they were grouped: ``exact``, ``near``, or the name of a CSV file.
        tolerance: Largest distance between two shapes that are grouped as near copies; None unless ``by`` is ``near``.
        apart: Positions of pairs of near copies in different groups, whose groups would be too large together, (P, 2)
            int64. Of identical shapes, only the first is listed. None if unknown.
    """

    entries: Sequence[Entry]
    groups: Grouping
    by: str
    tolerance: float | None = None
    apart: NDArray[np.int64] | None = None

    def held_out_near_train(self, held_out: NDArray[np.bool_]) -> list[Entry] | None:
        """Return the held-out shapes that have a near copy among the shapes to train on; None if unknown.

        Args:
            held_out: Whether each of the N shapes is held out, (N,) bool.
        """
        if self.apart is None:
            return None
        divided = self.apart[held_out[self.apart[:, 0]] != held_out[self.apart[:, 1]]]
        return [self.entries[row] for row in np.unique(divided[held_out[divided]]).tolist()]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``split.json`` that says which shapes were kept together, and why."""
        together = [[self.entries[row].id for row in rows] for rows in group_rows(self.groups)]
        return {"by": self.by, "tolerance": self.tolerance, "together": together}


def group_shapes(
    artefacts: Artefacts, entries: Sequence[Entry], validation: Validation, folds: int, *, by_class: bool = True
) -> GroupedShapes:
    """Group the shapes that a division into folds keeps together.

    Shapes with identical views or grids are always in one group. By ``validation.groups``, near copies are too, or the
    shapes that a CSV file puts in one group. A group of near copies is at most as large as two folds of the shapes of
    its class, so that no fold becomes far too large, and at most half of the class. In small classes, it may be half.

    Args:
        artefacts: The views or grids of the shapes.
        entries: Manifest entries of N shapes.
        validation: Kind of groups, and tolerance of near copies.
        folds: Number of folds.
        by_class: Whether folds are stratified by class.

    Returns:
        The groups.

    Raises:
        UsageError: The CSV file cannot be read, or names none of the shapes.
        StoredDataError: Artefacts are missing or damaged.
    """
    if validation.groups == "near":
        labels = [entry.label if by_class else None for entry in entries]
        tolerance = validation.tolerance or TOLERANCES[artefacts.settings["kind"]]
        return _near_copies(artefacts, entries, labels, tolerance, folds)
    with stage("Looking for copies") as progress:
        digests = []
        for entry in entries:
            digests.append(artefacts.digest(entry))
            progress(len(digests), len(entries))
    copies: Grouping = np.unique(digests, return_inverse=True)[1]  # numbered as in early versions: it decides the folds
    if validation.groups == "exact":
        return GroupedShapes(entries, copies, "exact")
    named = group_by_key(_groups_in_file(Path(validation.groups), entries))
    return GroupedShapes(entries, merge_groupings(copies, named), validation.groups)


def _near_copies(
    artefacts: Artefacts, entries: Sequence[Entry], labels: Sequence[str | None], tolerance: float, folds: int
) -> GroupedShapes:
    """Group near copies, in groups that are at most as large as two folds of the shapes with the same label."""
    with stage("Looking for near copies") as progress:
        fingerprints = artefact_fingerprints(artefacts, entries, progress)
    copies = group_by_key([each.digest for each in fingerprints])
    vectors = np.stack([fingerprint.signature for fingerprint in fingerprints])  # type: ignore[misc]  # none failed
    _, codes, counts = np.unique([str(label) for label in labels], return_inverse=True, return_counts=True)
    limits = np.maximum(np.minimum(np.maximum(-(-2 * counts // folds), folds), counts // 2), 1)[codes]
    with stage("Comparing shapes") as progress:
        near = group_near(vectors, tolerance, copies, limits, progress)
    return GroupedShapes(entries, near.groups, "near", tolerance, near.apart)


def _groups_in_file(path: Path, entries: Sequence[Entry]) -> list[str | None]:
    """Return the name of the group of each shape in a CSV file; None for a shape without a group.

    Raises:
        UsageError: The file cannot be read, gives a shape two groups, or names none of the shapes.
    """
    rows, notes = read_csv(path, _COLUMNS)
    for text in notes:
        warnings.warn(text, Caution, stacklevel=2)
    groups: dict[str, str] = {}
    for line, row in rows:
        if groups.setdefault(row["id"], row["group"]) != row["group"]:
            raise UsageError(f"{path}, line {line}: {quoted(row['id'])} has another group in an earlier line.")
    named = [groups.get(entry.id) or None for entry in entries]
    if entries and not any(named):
        raise UsageError(
            f"{path} has a group for none of the shapes. Its column id must have the ids of the manifest, such as "
            f"{entries[0].id}."
        )
    return named
