"""Build or update an index: compute the features of new and changed meshes, then publish all files at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.meshes.shards import SHARD, Part, Shard, divide
from shapecnn.models.device import Device, require_device
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.models.model import compares_views
from shapecnn.search.changes import IndexChanges, changes
from shapecnn.search.features import CollectionRows, compute_rows
from shapecnn.search.index import FEATURES, HEADER, REMEDY, Failure, Index, IndexedShape, read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.previous import previous_index
from shapecnn.search.publication import place_rows, publish_index
from shapecnn.search.rows import FeatureRow, RowJournal, StoredRow, journal_rows
from shapecnn.storage.journal import open_journal
from shapecnn.storage.own import require_own
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK, discard
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


def bring_up_to_date(
    collection: Path,
    folder: Path,
    plan: IndexPlan,
    *,
    command: str = "shapecnn index COLLECTION INDEX",
    shard: Shard | None = None,
    overwrite: bool = False,
    device: Device = "auto",
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> IndexChanges:
    """Build the index of a collection in a folder, or update the index in the folder.

    Features are computed for new and changed meshes only. Shapes that are no longer in the collection are removed from
    the index.

    Args:
        collection: Folder of meshes, zip file of such a folder, or CSV file that lists meshes.
        folder: Folder of the index.
        plan: Model and settings of the index.
        command: Command line that error messages suggest for building the index.
        shard: Shard of the collection to index; None for the whole collection.
        overwrite: True to replace an index made with other settings, and files that shapecnn did not write.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Worker processes that read the meshes and draw or voxelize them.
        progress: Callback that receives the number of finished shapes and the number of all shapes.
        say: Callback that receives each note for the user as one line of text.

    Returns:
        Numbers of added, updated, unchanged and removed shapes, and the error of each failed mesh.

    Raises:
        CollectionError: The shapes of the collection cannot be listed. This error and the next three are raised before
            any work.
        MismatchError: The index was made with another model or other settings, or of another shard.
        UsageError: The device is not available, or ``folder`` contains files that shapecnn did not write.
        BusyError: Another process is writing to ``folder``.
        StoredDataError: The index is damaged or from another version.
    """
    started = time.monotonic()
    require_device(device)
    shapes, part = divide(list_shapes(collection, labels=plan.labels, say=say), shard)
    made = index_shapes(
        shapes,
        folder,
        plan,
        part=part,
        command=command,
        overwrite=overwrite,
        device=device,
        workers=workers,
        progress=progress,
    )
    return replace(made, seconds=time.monotonic() - started)


def index_shapes(
    shapes: Sequence[Shape],
    folder: Path,
    plan: IndexPlan,
    *,
    part: Part | None,
    base: Path | None = None,
    command: str,
    overwrite: bool = False,
    device: Device,
    workers: Workers,
    progress: Progress,
) -> IndexChanges:
    """Build the index of shapes in a folder, or update the index in the folder; see :func:`bring_up_to_date`.

    Args:
        shapes: The shapes, in order of id.
        folder: Folder of the index.
        plan: Model and settings of the index.
        part: Shard of a collection that ``shapes`` are; None for a whole collection.
        base: Index of the same model and settings whose features are used again; None for no other index.
        command: Command line that error messages suggest for building the index.
        overwrite: True to replace an index made with other settings, and files that shapecnn did not write.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Worker processes that read the meshes and draw or voxelize them.
        progress: Callback that receives the number of finished shapes and the number of all shapes.

    Returns:
        Numbers of added, updated, unchanged and removed shapes, and the error of each failed mesh.

    Raises:
        ShapecnnError: As :func:`bring_up_to_date`.
    """
    started = time.monotonic()
    require_own(HEADER, folder, overwrite)
    scratch = folder / WORK
    views = compares_views(plan.model)
    engine = KeptEngine(plan.model, device, views=views)
    with exclusive(folder, overwrite):
        old = previous_index(folder, plan.record, part, command, overwrite=overwrite, before=engine.open_if_remote)
        with open_journal(scratch, journal_header(plan, part)) as note:
            stored, described = _stored_rows(old, scratch, views)
            if base is not None:
                stored = _indexed_rows(read_index(base), views) | stored
            journal = RowJournal(note, scratch)
            result = compute_rows(shapes, stored, plan, journal, engine, workers, progress)
        listed = _listed(shapes, result)
        rows = [result.rows[shape.id] for shape in listed]
        placed = place_rows(plan.model.comparison, rows, old, scratch)
        if old is not None:  # the old features were memory-mapped during the work, and their file may have changed
            open_sealed(folder, REMEDY).check(FEATURES)
        failures = [Failure(i, os.path.abspath(path), error) for i, (path, error) in sorted(result.failures.items())]
        used = result.engine or described
        publish_index(folder, plan.record, plan.labels, used, listed, failures, rows, placed, part)
        discard(scratch)
    failed = [result.failures[shape_id] for shape_id in sorted(result.failures)]
    return changes(old, listed, failed, time.monotonic() - started)


def journal_header(plan: IndexPlan, part: Part | None) -> dict[str, Any]:
    """Return the header of the journal of an unfinished index, by which a later command may continue it.

    Args:
        plan: Model and settings of the index.
        part: Shard of a collection that the index holds; None for a whole collection.
    """
    return {**asdict(plan.record), "labels": plan.labels} | ({SHARD: str(part.shard)} if part else {})


def _stored_rows(old: Index | None, scratch: Path, views: bool) -> tuple[dict[str, StoredRow], dict[str, str]]:
    """Return all features on disk by shape id, and the inference engine that computed the newest of them.

    The features are those of the old index and those that an interrupted command kept in the folder ``scratch``.
    With ``views``, only shapes for which also the features of each single view are stored are returned.
    """
    noted, engine = journal_rows(scratch, views)
    if old is None:
        return noted, engine or {}
    return _indexed_rows(old, views) | noted, engine or old.engine


def _indexed_rows(index: Index, views: bool) -> dict[str, StoredRow]:
    """Return the features of an index by shape id; with ``views``, only those stored with features of single views."""
    alone = index.views if index.views is not None else [None] * len(index.shapes)
    rows = zip(index.shapes, map(FeatureRow, index.features, alone), strict=True)
    return {
        shape.id: StoredRow(shape.sha256, partial(FeatureRow, *row))
        for shape, row in rows
        if not views or row.views is not None
    }


def _listed(shapes: Sequence[Shape], result: CollectionRows) -> list[IndexedShape]:
    """Return an index entry for each shape whose features are computed."""
    return [
        IndexedShape(shape.id, shape.label, shape.split, result.hashes[shape.id], os.path.abspath(shape.path))
        for shape in shapes
        if shape.id in result.rows
    ]
