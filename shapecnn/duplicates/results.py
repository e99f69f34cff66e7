"""Define the result of a duplicate audit: groups of copies, counts, and shapes with blank pictures or empty grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shapecnn.artefacts.manifest import Entry

Kind = Literal["content", "geometry", "feature"]
"""Level of an audit, which sets how similar two copies must be; see :mod:`shapecnn.duplicates.audit`."""


@dataclass(frozen=True, slots=True)
class Member:
    """One shape of a group of copies.

    Attributes:
        entry: The manifest row of the shape.
        similarity: Cosine similarity, from -1 to 1, between the feature of the shape and the feature of the most
            similar other shape; None unless the group was found by comparing features.
    """

    entry: Entry
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Group of shapes that are copies of each other.

    Attributes:
        kind: The strictest level at which exactly these shapes form a group.
        members: The shapes of the group, at least two, in order of id.
    """

    kind: Kind
    members: Sequence[Member]

    @property
    def labels(self) -> list[str]:
        """Different labels of the shapes of the group, sorted."""
        return sorted({m.entry.label for m in self.members if m.entry.label is not None})

    @property
    def splits(self) -> list[str]:
        """Different splits of the shapes of the group, sorted."""
        return sorted({m.entry.split for m in self.members if m.entry.split is not None})

    @property
    def conflict(self) -> bool:
        """Whether the shapes of the group have different labels."""
        return len(self.labels) > 1

    @property
    def leak(self) -> bool:
        """Whether the shapes of the group are in different splits."""
        return len(self.splits) > 1


@dataclass(frozen=True, slots=True)
class Level:
    """Numbers of copies at one level of an audit, including the copies found at stricter levels.

    Attributes:
        groups: Number of groups of copies.
        shapes: Number of shapes in all groups.
        redundant: Number of shapes in all groups, not counting the first shape of each group.
        leaks: Number of groups with shapes from different splits.
        conflicts: Number of groups with differently labelled shapes.
    """

    groups: int
    shapes: int
    redundant: int
    leaks: int
    conflicts: int


@dataclass(frozen=True, slots=True)
class Features:
    """Model, feature and threshold that an audit used at the level ``feature``, and how similar the shapes are.

    Attributes:
        model: Name of the model.
        feature: Name of the feature that was compared, such as ``penultimate``.
        threshold: Lowest cosine similarity between the features of two copies.
        near: Pairs of a cosine similarity and the number of shapes that have another shape at least that similar.
    """

    model: str
    feature: str
    threshold: float
    near: Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Empty:
    """Shape that has blank pictures or empty grids.

    Attributes:
        entry: The manifest row of the shape.
        blank: Number of blank pictures or empty grids of the shape, at least 1.
        total: Number of all pictures or grids of the shape.
    """

    entry: Entry
    blank: int
    total: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of a duplicate audit of a dataset.

    Attributes:
        data: Path of the artefact folder or the collection.
        kind: ``views`` or ``voxels`` for artefacts, ``meshes`` for a collection.
        entries: All shapes in order of id, including failed ones.
        levels: Numbers of copies at each level, in the order ``content``, ``geometry``, ``feature``.
        groups: All groups of copies, in this order: groups with different splits and labels, groups with different
            splits, groups with different labels, all other groups. Within each kind, larger groups come first.
        empty: Shapes with blank pictures or empty grids, in order of id.
        features: Model and feature of the level ``feature``; None if the audit used no model.
        seconds: Duration of the audit in seconds.
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
        """Shapes whose mesh or artefacts could not be used, in order of id."""
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
