"""Make an index or bring it up to date: new features are computed, then all files are published at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from shapecnn.errors import MismatchError, StoredDataError
from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.models.engine import Device, require_device
from shapecnn.models.model import Model
from shapecnn.models.space import VERSION, Placed
from shapecnn.search.features import CollectionRows, FeatureEngine, compute_rows
from shapecnn.search.index import (
    FAILURES,
    FEATURES,
    FORMAT,
    HEADER,
    SHAPES,
    Failure,
    Index,
    IndexedShape,
    read_index,
    unfinished_settings,
)
from shapecnn.search.plan import IndexPlan
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import FeatureRow, RowJournal, StoredRow, foreign, journal_rows, write_rows
from shapecnn.storage.journal import open_journal
from shapecnn.storage.own import remove_all_own, require_own, require_unchanged
from shapecnn.storage.publishing import exclusive, publish, written_hashes
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import table_bytes
from shapecnn.storage.unfinished import WORK, discard
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """Changes of an index by an update.

    Attributes:
        added: Shapes that are new.
        updated: Shapes whose mesh file has changed.
        unchanged: Shapes whose mesh file is the same.
        removed: Shapes whose mesh file is gone.
        total: Shapes in the index now.
        seconds: Time that the update took.
        failures: Path and error of each mesh that could not be used, in order of id.
        relabelled: How many of the unchanged shapes have another label or split than before.
    """

    added: int
    updated: int
    unchanged: int
    removed: int
    total: int
    seconds: float
    failures: list[tuple[str, str]]
    relabelled: int = 0


def bring_up_to_date(
    collection: Path,
    folder: Path,
    plan: IndexPlan,
    *,
    command: str = "shapecnn index COLLECTION INDEX",
    overwrite: bool = False,
    device: Device = "auto",
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> IndexChanges:
    """Make a folder the index of a collection, or bring the index there up to date.

    New and changed meshes are computed, the others keep their features, and shapes whose meshes are gone are removed.

    Args:
        collection: Folder, zip or CSV of meshes.
        folder: Folder of the index.
        plan: Plan of the index.
        command: Command that builds this index, for messages.
        overwrite: Build the index anew if it was made with other settings, and replace files in its folder that
            shapecnn did not write.
        device: Where the network runs.
        workers: Processes that read, draw and fill meshes.
        progress: Called with the number of shapes done and of all shapes.
        say: Called with notes for the person.

    Raises:
        CollectionError: The collection cannot be listed.
        MismatchError: The index was made with another model or other settings.
        UsageError: There is no such device, or files are in the way that shapecnn did not write.
        BusyError: Another process is writing the index. All of these are raised before any work.
    """
    started = time.monotonic()
    require_device(device)
    shapes = list_shapes(collection, labels=plan.labels, say=say)
    require_own(HEADER, folder, overwrite)
    scratch = folder / WORK
    engine = FeatureEngine(plan, device)
    with exclusive(folder, overwrite):
        rebuild = f"To keep it, name another folder. To replace it: {command} --overwrite"
        old = _old_index(folder, plan.record, engine, overwrite, rebuild)
        with open_journal(scratch, {**asdict(plan.record), "labels": plan.labels}) as note:
            stored, described = _stored_rows(old, scratch, plan.model.input.kind == "views")
            journal = RowJournal(note, scratch)
            result = compute_rows(shapes, stored, plan, journal, engine, workers, progress)
        listed = _listed(shapes, result)
        rows = [result.rows[shape.id] for shape in listed]
        placed = _placed(plan.model, rows, old, scratch)
        if old is not None:  # its file of features was mapped all the time, and may have changed
            open_sealed(folder, rebuild).check(FEATURES)
        failures = [Failure(i, os.path.abspath(path), error) for i, (path, error) in sorted(result.failures.items())]
        _publish(folder, plan, result.engine or described, listed, failures, rows, placed)
        discard(scratch)
    return _changes(old, listed, result, time.monotonic() - started)


def _old_index(folder: Path, record: ModelRecord, engine: FeatureEngine, overwrite: bool, rebuild: str) -> Index | None:
    """Return the index in a folder, if it was made with the same model; with ``overwrite`` any other is removed."""
    ours = written_hashes(folder)
    require_unchanged(folder, ({HEADER, SHAPES, FEATURES} - ours.keys()) | {FAILURES}, overwrite)
    try:
        old = read_index(folder) if HEADER in ours and os.path.lexists(folder / HEADER) else None
        _require_same(folder, record, old, rebuild)
    except (MismatchError, StoredDataError):
        if not overwrite:
            raise
        engine.open_if_remote()  # before the old index goes
        remove_all_own(folder)
        return None
    if old is None and not os.path.lexists(folder / WORK):  # else perhaps nothing is left to compute
        engine.open_if_remote()
    return old


def _require_same(folder: Path, record: ModelRecord, old: Index | None, rebuild: str) -> None:
    """Raise MismatchError if a folder holds an index, or the beginning of one, of another model."""
    if old is not None:
        record.require_same(old.record, str(folder), rebuild)
    unfinished = unfinished_settings(folder / WORK)
    if unfinished is not None:
        record.require_same(unfinished.record, f"The unfinished index in {folder}", rebuild)


def _stored_rows(old: Index | None, scratch: Path, views: bool) -> tuple[dict[str, StoredRow], dict[str, str]]:
    """Return the rows of an index and of an unfinished run by id, and the engine that computed the latest.

    With ``views`` only rows that have features of views are returned.
    """
    noted, engine = journal_rows(scratch, views)
    if old is None:
        return noted, engine or {}
    alone = old.views if old.views is not None else [None] * len(old.shapes)
    rows = zip(old.shapes, map(FeatureRow, old.features, alone), strict=True)
    stored = {
        shape.id: StoredRow(shape.sha256, partial(FeatureRow, *row))
        for shape, row in rows
        if not views or row.views is not None
    }
    return stored | noted, engine or old.engine


def _listed(shapes: Sequence[Shape], result: CollectionRows) -> list[IndexedShape]:
    """Return the shapes that have rows, as the index lists them."""
    return [
        IndexedShape(shape.id, shape.label, shape.split, result.hashes[shape.id], os.path.abspath(shape.path))
        for shape in shapes
        if shape.id in result.rows
    ]


def _placed(model: Model, rows: list[StoredRow], old: Index | None, scratch: Path) -> Placed | None:
    """Return the places of all rows in the model's space; None where the space does not depend on the collection.

    They are the old places if the rows are the old ones.
    """
    if not (model.comparison.adapts and rows):
        return None
    try:
        features = np.stack([row.read().feature for row in rows])
    except ValueError:  # rows of unlike lengths
        raise foreign(scratch) from None
    placed = old.placed if old is not None and np.array_equal(features, old.features) else None
    return model.comparison.space(features, placed).placed


def _publish(
    folder: Path,
    plan: IndexPlan,
    engine: dict[str, str],
    shapes: list[IndexedShape],
    failures: list[Failure],
    rows: list[StoredRow],
    placed: Placed | None,
) -> None:
    """Publish the index of ``shapes``, whose features are ``rows``."""
    table, features = table_bytes(IndexedShape, shapes), folder / WORK / FEATURES
    try:
        digest, size, views = write_rows(features, rows, placed)
    except ValueError:  # rows of unlike shapes
        raise foreign(folder / WORK) from None
    header = {
        "schema_version": FORMAT,
        **asdict(plan.record),
        "labels": plan.labels,
        "engine": engine,
        "count": len(shapes),
        "feature_size": size,
        "views": views,
        "gallery": 0 if placed is None else VERSION,
    }
    files: dict[str, bytes | Path] = {
        SHAPES: table,
        FAILURES: table_bytes(Failure, failures),
        FEATURES: features,
        HEADER: json_bytes(header),
    }
    publish(folder, files, {FEATURES: digest})


def _changes(old: Index | None, shapes: list[IndexedShape], result: CollectionRows, seconds: float) -> IndexChanges:
    before = {shape.id: shape for shape in old.shapes} if old is not None else {}
    same = [shape for shape in shapes if shape.id in before and before[shape.id].sha256 == shape.sha256]
    return IndexChanges(
        added=sum(shape.id not in before for shape in shapes),
        updated=sum(shape.id in before for shape in shapes) - len(same),
        unchanged=len(same),
        removed=len(before.keys() - {shape.id for shape in shapes}),
        total=len(shapes),
        seconds=seconds,
        failures=[result.failures[shape_id] for shape_id in sorted(result.failures)],
        relabelled=sum(
            (before[shape.id].label, before[shape.id].split) != (shape.label, shape.split) for shape in same
        ),
    )
