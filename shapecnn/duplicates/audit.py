"""What is stored twice: copies within and across splits, copies with different labels, and what shows nothing.

Three levels, each taking in the ones before: **content**, the same bytes; **geometry**, the same shape however
numbered, placed, scaled, turned or mirrored; **feature**, what a model can hardly tell apart. Groups are connected
components: a chain of near copies is one group.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry, read_manifest
from shapecnn.artefacts.reading import Artefacts
from shapecnn.duplicates.copies import Copies, Fingerprint, artefact_fingerprints, find_copies, mesh_fingerprints
from shapecnn.duplicates.groups import Grouping, close, joined, members, spread
from shapecnn.duplicates.signatures import LOOKS_TOLERANCE, MESH_TOLERANCE
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import Say, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.models.apply import compute_outputs
from shapecnn.models.engine import Device, open_engine
from shapecnn.models.model import Model
from shapecnn.settings.artefacts import Up
from shapecnn.similarity import unit_rows
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import ProgressBar, no_bar

Kind = Literal["content", "geometry", "feature"]

THRESHOLD = 0.98
"""Cosine: on psb, with a network trained on it by gradients, five pairs lie above, copies and variants of one model;
the next one lies at 0.97 (docs/audit.md)."""

_MARKS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True, slots=True)
class Member:
    """One shape of a group.  similarity: the cosine of its feature and the nearest other one; None on other levels."""

    entry: Entry
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Copies of one shape.  kind: the level that holds it together; a level shows only the groups that it adds to or
    joins."""

    kind: Kind
    members: Sequence[Member]

    @property
    def labels(self) -> list[str]:
        """Sorted; more than one is a conflict."""
        return sorted({m.entry.label for m in self.members if m.entry.label is not None})

    @property
    def splits(self) -> list[str]:
        """Sorted; more than one is a leak."""
        return sorted({m.entry.split for m in self.members if m.entry.split is not None})

    @property
    def conflict(self) -> bool:
        """Whether its members have different labels."""
        return len(self.labels) > 1

    @property
    def leak(self) -> bool:
        """Whether it reaches across splits."""
        return len(self.splits) > 1


@dataclass(frozen=True, slots=True)
class Level:
    """Counts of one level, those before it taken in.  shapes: in groups.  redundant: all of them but one a group."""

    groups: int
    shapes: int
    redundant: int
    leaks: int
    conflicts: int


@dataclass(frozen=True, slots=True)
class Features:
    """How the third level was found.  near: for some similarities, how many shapes have another at least as near."""

    model: str
    feature: str
    threshold: float
    near: Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Empty:
    """A shape of which some pictures or grids show nothing.  blank: how many of its ``looks``."""

    entry: Entry
    blank: int
    looks: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.  entries: all shapes looked at, failed ones too.  groups: conflicts and leaks first, then large
    ones.  features: None without a model."""

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
        """Those that could not be used, by id."""
        return [entry for entry in self.entries if entry.status == "failed"]

    def to_json(self) -> dict[str, Any]:
        """Everything, as ``shapecnn audit --json`` prints it."""
        return {
            "schema_version": 1,
            "data": self.data,
            "kind": self.kind,
            "count": len(self.entries),
            "failed": [{**_described(entry), "error": entry.error} for entry in self.failed],
            "empty": [{**_described(e.entry), "blank": e.blank, "looks": e.looks} for e in self.empty],
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
                        {**_described(m.entry), "status": m.entry.status, "similarity": m.similarity}
                        for m in group.members
                    ],
                }
                for group in self.groups
            ],
            "seconds": self.seconds,
        }


def audit_artefacts(
    artefacts: Artefacts,
    *,
    bar: ProgressBar = no_bar,
    model: Model | None = None,
    threshold: float = THRESHOLD,
    device: Device = "auto",
    workers: Workers = ONE_A_CORE,
) -> Audit:
    """Look through a folder of artefacts, failed rows of its manifest included; features only with a ``model``.

    Raises before any work UsageError if the model's features cannot tell copies, MismatchError if it sees other
    settings; StoredDataError if artefacts are damaged.
    """
    started = time.monotonic()
    if model is not None:
        _require_telling(model)
        model.input.require(artefacts, model.name)
    entries = sorted(read_manifest(artefacts.folder), key=lambda entry: entry.id)
    with bar("Reading", "shapes") as progress:
        fingerprints = artefact_fingerprints(artefacts, entries, progress, workers)
    with bar("Comparing", "shapes") as progress:
        copies = find_copies(fingerprints, LOOKS_TOLERANCE, progress)
    features = grouping = nearest = None
    if model is not None:
        vectors, rows = _features(model, artefacts, entries, device, bar)
        with bar("Comparing features", "shapes") as progress:
            found, distances = close(vectors, float(np.sqrt(2 - 2 * threshold)), progress)
        grouping = joined(copies.geometry, spread(found, rows, len(entries)))
        nearest = np.full(len(entries), np.nan)
        nearest[rows] = 1 - distances.astype(np.float64) ** 2 / 2
        near = [(mark, int((nearest >= mark).sum())) for mark in _MARKS]
        features = Features(model.name, model.comparison.feature, threshold, near)
    kind = artefacts.settings["kind"]
    return _audit(str(artefacts.folder), kind, entries, fingerprints, copies, grouping, nearest, features, started)


def audit_collection(
    collection: Path,
    *,
    bar: ProgressBar = no_bar,
    up: Up = "z",
    labels: Labels = "auto",
    workers: Workers = ONE_A_CORE,
    say: Say = silent,
) -> Audit:
    """Look through a collection of meshes, by content and by geometry.  Raises CollectionError."""
    started = time.monotonic()
    shapes = list_shapes(collection, labels=labels, say=say)
    with bar("Reading", "shapes") as progress:
        entries, fingerprints = mesh_fingerprints(shapes, up, progress, workers)
    with bar("Comparing", "shapes") as progress:
        copies = find_copies(fingerprints, MESH_TOLERANCE, progress)
    return _audit(str(collection), "meshes", entries, fingerprints, copies, None, None, None, started)


def require_threshold(threshold: float) -> None:
    """Raise UsageError unless it is a cosine that tells near copies."""
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold:g} is no similarity above 0 and up to 1, such as {THRESHOLD}.")


def _require_telling(model: Model) -> None:
    """In a discriminant space of more features than shapes, all of a class that were trained on are one point."""
    if model.comparison.discriminant:
        raise UsageError(
            f"--model {model.name}: its last stage is lda, in whose space the shapes of a class that it was trained on "
            f"are all the same. Compare by --model @imagenet --threshold 0.995, or by a run without such a stage."
        )


def _features(
    model: Model, artefacts: Artefacts, entries: Sequence[Entry], device: Device, bar: ProgressBar
) -> tuple[NDArray[np.float32], list[int]]:
    """Features of unit length, (M, D), of the usable ones among ``entries``, and their rows."""
    rows = [row for row, entry in enumerate(entries) if entry.status == "ok"]
    if not rows:
        return np.empty((0, 1), np.float32), rows
    done = 0
    with bar("Computing features", "shapes") as progress:

        def advance() -> None:
            nonlocal done
            done += 1
            progress(done, len(rows))

        engine = open_engine(model, device)
        outputs = compute_outputs(engine, model, artefacts, [entries[row] for row in rows], False, advance)
    return unit_rows(outputs.get(model.comparison.feature)[:, 0]).astype(np.float32), rows


def _audit(
    data: str,
    kind: Literal["views", "voxels", "meshes"],
    entries: Sequence[Entry],
    fingerprints: Sequence[Fingerprint],
    copies: Copies,
    grouping: Grouping | None,
    nearest: NDArray[np.float64] | None,
    features: Features | None,
    started: float,
) -> Audit:
    groupings: dict[Kind, Grouping] = {"content": copies.content, "geometry": copies.geometry}
    if grouping is not None:
        groupings["feature"] = grouping
    shown: list[Group] = []
    levels: dict[Kind, Level] = {}
    stricter: set[tuple[int, ...]] = set()
    for level, found in groupings.items():
        rows = [tuple(group.tolist()) for group in members(found)]
        similarities = nearest if level == "feature" else None
        groups = [_group(level, entries, group, similarities) for group in rows]
        shapes = sum(map(len, rows))
        leaks, conflicts = sum(g.leak for g in groups), sum(g.conflict for g in groups)
        levels[level] = Level(len(rows), shapes, shapes - len(rows), leaks, conflicts)
        shown += [group for group, its in zip(groups, rows, strict=True) if its not in stricter]
        stricter.update(rows)
    shown.sort(
        key=lambda g: (not (g.leak and g.conflict), not g.leak, not g.conflict, -len(g.members))
    )  # stable: then by level and id
    empty = [Empty(e, f.blank, f.looks) for e, f in zip(entries, fingerprints, strict=True) if f.blank]
    return Audit(data, kind, entries, levels, shown, empty, features, time.monotonic() - started)


def _group(kind: Kind, entries: Sequence[Entry], rows: Sequence[int], nearest: NDArray[np.float64] | None) -> Group:
    similarities = [None if nearest is None or np.isnan(nearest[row]) else float(nearest[row]) for row in rows]
    return Group(kind, [Member(entries[row], value) for row, value in zip(rows, similarities, strict=True)])


def _described(entry: Entry) -> dict[str, str | None]:
    return {"id": entry.id, "label": entry.label, "split": entry.split}
