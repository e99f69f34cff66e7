"""Audit a dataset: find copies within and across splits, copies with different labels, and blank shapes.

An audit has three levels, from strict to loose. At level **content**, copies have the same bytes. At level
**geometry**, copies differ only in the numbering of vertices and faces, position, scale, quarter turns or mirroring. At
level **feature**, copies have nearly the same features in a model. Each level includes the copies of stricter levels.
Groups are connected components: a chain of near copies is one group.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry, read_manifest
from shapecnn.artefacts.reading import Artefacts
from shapecnn.duplicates.copies import Copies, Fingerprint, artefact_fingerprints, find_copies, mesh_fingerprints
from shapecnn.duplicates.groups import Grouping, expand_grouping, group_by_distance, group_rows, merge_groupings
from shapecnn.duplicates.results import Audit, Empty, Features, Group, Kind, Level, Member
from shapecnn.duplicates.signatures import INPUT_TOLERANCE, MESH_TOLERANCE
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import Say, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.models.apply import compute_outputs
from shapecnn.models.device import Device
from shapecnn.models.engine import open_engine
from shapecnn.models.model import Model
from shapecnn.settings.views_and_grids import Up
from shapecnn.shared.similarity import unit_float64
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import ProgressBar, no_bar

THRESHOLD = 0.98
"""Default for the lowest cosine similarity between the features of two copies.

Measured on the Princeton Shape Benchmark with a network trained there by gradient descent: the five pairs of shapes
above this threshold are copies or variants of one model, and the next pair has a similarity of 0.97 (docs/audit.md).
"""

# Similarities for which the audit reports how many shapes have another shape at least as similar.

_MARKS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)


def audit_artefacts(
    artefacts: Artefacts,
    *,
    bar: ProgressBar = no_bar,
    model: Model | None = None,
    threshold: float = THRESHOLD,
    device: Device = "auto",
    workers: Workers = ONE_PER_CORE,
) -> Audit:
    """Audit an artefact folder (rendered views or voxel grids) for copies and blank shapes.

    Args:
        artefacts: The artefact folder. Shapes that failed in preparation are compared only by the hash of their mesh
            file.
        bar: Function that opens a progress bar with a given name.
        model: Model whose features are compared; None skips the level ``feature``.
        threshold: Lowest cosine similarity between the features of two copies, above 0 and at most 1.
        device: Device that computes the features.
        workers: Number of threads that read the artefacts.

    Returns:
        The audit of all shapes in the manifest of the folder.

    Raises:
        UsageError: ``model`` ends in a discriminant analysis, whose features cannot reveal copies. Or the device does
            not exist on this machine.
        MismatchError: ``model`` was trained on artefacts with other settings.
        StoredDataError: Artefacts are missing or damaged.
    """
    started = time.monotonic()
    if model is not None:
        _require_distinct(model)
        model.input.require(artefacts, model.name)
    entries = sorted(read_manifest(artefacts.folder), key=lambda entry: entry.id)
    with bar("Reading", "shapes") as progress:
        fingerprints = artefact_fingerprints(artefacts, entries, progress, workers)
    with bar("Comparing", "shapes") as progress:
        copies = find_copies(fingerprints, INPUT_TOLERANCE, progress)
    features = grouping = nearest = None
    if model is not None:
        vectors, rows = _features(model, artefacts, entries, device, bar)
        with bar("Comparing features", "shapes") as progress:
            near_groups, distances = group_by_distance(vectors, float(np.sqrt(2 - 2 * threshold)), progress)
        grouping = merge_groupings(copies.geometry, expand_grouping(near_groups, rows, len(entries)))
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
    workers: Workers = ONE_PER_CORE,
    say: Say = silent,
) -> Audit:
    """Audit a collection of mesh files for copies with the same content or geometry.

    Args:
        collection: A folder of mesh files, a zip file of such a folder, or a CSV with the header ``path,label,split``.
        bar: Function that opens a progress bar with a given name.
        up: Axis that points up in the mesh files.
        labels: Source of the labels and splits; see :func:`shapecnn.meshes.collection.list_shapes`.
        workers: Number of worker processes and their limits.
        say: Function that is called with notes on how the collection was read, one sentence each.

    Returns:
        The audit of all shapes in the collection.

    Raises:
        CollectionError: The shapes of the collection cannot be listed.
    """
    started = time.monotonic()
    shapes = list_shapes(collection, labels=labels, say=say)
    with bar("Reading", "shapes") as progress:
        entries, fingerprints = mesh_fingerprints(shapes, up, progress, workers)
    with bar("Comparing", "shapes") as progress:
        copies = find_copies(fingerprints, MESH_TOLERANCE, progress)
    return _audit(str(collection), "meshes", entries, fingerprints, copies, None, None, None, started)


def require_threshold(threshold: float) -> None:
    """Raise UsageError unless the value of ``--threshold`` is above 0 and at most 1.

    Args:
        threshold: Lowest cosine similarity between the features of two copies.

    Raises:
        UsageError: The threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold:g} must be above 0 and at most 1, such as {THRESHOLD}.")


def _require_distinct(model: Model) -> None:
    """Raise UsageError if the model ends in a discriminant analysis, which hides the differences within a class.

    With more features than shapes, a discriminant analysis maps all training shapes of a class to one point.
    """
    if model.comparison.discriminant:
        raise UsageError(
            f"--model {model.name} cannot reveal copies: its last stage is lda (discriminant analysis), which gives "
            f"all training shapes of a class the same feature. Use --model @imagenet --threshold 0.995, or a run "
            f"without lda."
        )


def _features(
    model: Model, artefacts: Artefacts, entries: Sequence[Entry], device: Device, bar: ProgressBar
) -> tuple[NDArray[np.float32], list[int]]:
    """Compute the features of all shapes except the shapes that failed in preparation.

    Returns:
        The features, (M, D) float32: a vector of length D and norm 1 for each of M usable shapes. And the positions of
        the M usable shapes in ``entries``.
    """
    rows = [row for row, entry in enumerate(entries) if entry.status == "ok"]
    if not rows:
        return np.empty((0, 1), np.float32), rows
    count = 0
    with bar("Computing features", "shapes") as progress:

        def advance() -> None:
            nonlocal count
            count += 1
            progress(count, len(rows))

        engine = open_engine(model, device)
        outputs = compute_outputs(engine, model, artefacts, [entries[row] for row in rows], False, advance)
    return unit_float64(outputs.get(model.comparison.feature)[:, 0]).astype(np.float32), rows


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
    """Build the result of an audit: the groups of copies, the counts of each level and the blank shapes."""
    groupings: dict[Kind, Grouping] = {"content": copies.content, "geometry": copies.geometry}
    if grouping is not None:
        groupings["feature"] = grouping
    listed: list[Group] = []
    levels: dict[Kind, Level] = {}
    stricter: set[tuple[int, ...]] = set()
    for level, level_grouping in groupings.items():
        rows = [tuple(group.tolist()) for group in group_rows(level_grouping)]
        similarities = nearest if level == "feature" else None
        groups = [_group(level, entries, group, similarities) for group in rows]
        shapes = sum(map(len, rows))
        leaks, conflicts = sum(g.leak for g in groups), sum(g.conflict for g in groups)
        levels[level] = Level(len(rows), shapes, shapes - len(rows), leaks, conflicts)
        listed += [group for group, key in zip(groups, rows, strict=True) if key not in stricter]
        stricter.update(rows)
    listed.sort(
        key=lambda g: (not (g.leak and g.conflict), not g.leak, not g.conflict, -len(g.members))
    )  # stable sort: groups with the same rank stay in order of level and id
    empty = [Empty(e, f.blank, f.total) for e, f in zip(entries, fingerprints, strict=True) if f.blank]
    return Audit(data, kind, entries, levels, listed, empty, features, time.monotonic() - started)


def _group(kind: Kind, entries: Sequence[Entry], rows: Sequence[int], nearest: NDArray[np.float64] | None) -> Group:
    similarities = [None if nearest is None or np.isnan(nearest[row]) else float(nearest[row]) for row in rows]
    return Group(kind, [Member(entries[row], value) for row, value in zip(rows, similarities, strict=True)])
