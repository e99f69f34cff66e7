"""Result of an audit: groups of copies, counts of each level, and shapes with blank pictures or empty grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shapecnn.artefacts.manifest import Entry

Kind = Literal["content", "geometry", "feature"]
"""Level of an audit; see :mod:`shapecnn.duplicates.audit`."""


@dataclass(frozen=True, slots=True)
class Member:
    """One shape of a group.

    Attributes:
        entry: The shape.
        similarity: Cosine similarity, from -1 to 1, of its feature and that of the most similar other shape; None
            except at the level ``feature``.
    """

    entry: Entry
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Copies of one shape.

    Attributes:
        kind: The level at which they are copies. A group that a stricter level has too is listed there only.
        members: At least two shapes, in order of id.
    """

    kind: Kind
    members: Sequence[Member]

    @property
    def labels(self) -> list[str]:
        """Sorted labels of its members."""
        return sorted({m.entry.label for m in self.members if m.entry.label is not None})

    @property
    def splits(self) -> list[str]:
        """Sorted splits of its members."""
        return sorted({m.entry.split for m in self.members if m.entry.split is not None})

    @property
    def conflict(self) -> bool:
        """Whether its members have different labels."""
        return len(self.labels) > 1

    @property
    def leak(self) -> bool:
        """Whether its members are in different splits."""
        return len(self.splits) > 1


@dataclass(frozen=True, slots=True)
class Level:
    """Counts of one level, which includes the stricter ones.

    Attributes:
        groups: Number of groups.
        shapes: Number of shapes in groups.
        redundant: Number of shapes in groups beyond the first of each.
        leaks: Number of groups across splits.
        conflicts: Number of groups with different labels.
    """

    groups: int
    shapes: int
    redundant: int
    leaks: int
    conflicts: int


@dataclass(frozen=True, slots=True)
class Features:
    """Features that were compared at the level ``feature``.

    Attributes:
        model: Name of the model.
        feature: Name of its feature, such as ``penultimate``.
        threshold: Cosine similarity from which two shapes are copies.
        near: (similarity, number of shapes that have another one at least as similar), for several similarities.
    """

    model: str
    feature: str
    threshold: float
    near: Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Empty:
    """A shape with blank pictures or empty grids.

    Attributes:
        entry: The shape.
        blank: Number of its blank pictures or empty grids, at least 1.
        total: Number of its pictures or grids.
    """

    entry: Entry
    blank: int
    total: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of an audit.

    Attributes:
        data: Path of the artefact folder or the collection.
        kind: ``views`` or ``voxels`` for artefacts, ``meshes`` for a collection.
        entries: All shapes in order of id, including failed ones.
        levels: Counts of each level, from strict to loose.
        groups: All groups: first those with leaks and conflicts, then leaks, conflicts, and others; large ones first.
        empty: Shapes with blank pictures or empty grids, in order of id.
        features: The features that were compared; None without a model.
        seconds: Duration of the audit.
    """

    data: str
    kind: Literal["views", "voxels", "meshes"]
    entries: Sequence[Entry]
    levels: dict[Kind, Level]
    groups: Sequence[Group]
    empty: Sequence[Empty]
    features: Features | None
    seconds: float

    @property
    def failed(self) -> list[Entry]:
        """Shapes that could not be used, in order of id."""
        return [entry for entry in self.entries if entry.status == "failed"]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn audit --json`` prints."""
        return {
            "schema_version": 1,
            "data": self.data,
            "kind": self.kind,
            "count": len(self.entries),
            "failed": [{**_identity(entry), "error": entry.error} for entry in self.failed],
            "empty": [{**_identity(e.entry), "blank": e.blank, "looks": e.total} for e in self.empty],
            "levels": {kind: asdict(level) for kind, level in self.levels.items()},
            "features": self.features
            and {
                "model": self.features.model,
                "feature": self.features.feature,
                "threshold": self.features.threshold,
                "near": [{"similarity": mark, "shapes": count} for mark, count in self.features.near],
            },
            "groups": [
                {
                    "kind": group.kind,
                    "leak": group.leak,
                    "conflict": group.conflict,
                    "labels": group.labels,
                    "splits": group.splits,
                    "members": [
                        {**_identity(m.entry), "status": m.entry.status, "similarity": m.similarity}
                        for m in group.members
                    ],
                }
                for group in self.groups
            ],
            "seconds": self.seconds,
        }


def _identity(entry: Entry) -> dict[str, str | None]:
    return {"id": entry.id, "label": entry.label, "split": entry.split}
