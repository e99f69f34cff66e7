"""Build or update an index: compute the features of new and changed meshes, then publish all files at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.meshes.shards import SHARD, Shard, divide
from shapecnn.models.device import Device, require_device
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.models.model import compares_views
from shapecnn.search.features import CollectionRows, compute_rows
from shapecnn.search.index import FEATURES, HEADER, REMEDY, Failure, Index, IndexedShape
from shapecnn.search.plan import IndexPlan
from shapecnn.search.previous import previous_index
from shapecnn.search.publication import place_rows, publish_index
from shapecnn.search.rows import FeatureRow, RowJournal, StoredRow, journal_rows
from shapecnn.storage.journal import open_journal
from shapecnn.storage.objects.url import absolute
from shapecnn.storage.own import require_own
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK, discard
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """Result of an index update: numbers of added, updated, unchanged and removed shapes, and the failed meshes.

    Attributes:
        added: Number of new shapes.
        updated: Number of shapes whose mesh file has changed.
        unchanged: Number of shapes whose mesh file has not changed.
        removed: Number of shapes of the old index that the collection no longer has, or whose mesh cannot be used any
            more.
        total: Number of shapes in the index after the update.
        seconds: Duration of the update in seconds.
        failures: Path and error of each mesh that cannot be used, in order of id.
        relabelled: Number of unchanged shapes whose label or split has changed.
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
    require_own(HEADER, folder, overwrite)
    scratch = folder / WORK
    views = compares_views(plan.model)
    engine = KeptEngine(plan.model, device, views=views)
    with exclusive(folder, overwrite):
        old = previous_index(folder, plan.record, part, command, overwrite=overwrite, before=engine.open_if_remote)
        header = {**asdict(plan.record), "labels": plan.labels} | ({SHARD: str(shard)} if shard else {})
        with open_journal(scratch, header) as note:
            stored, described = _stored_rows(old, scratch, views)
            journal = RowJournal(note, scratch)
            result = compute_rows(shapes, stored, plan, journal, engine, workers, progress)
        listed = _listed(shapes, result)
        rows = [result.rows[shape.id] for shape in listed]
        placed = place_rows(plan.model.comparison, rows, old, scratch)
        if old is not None:  # the old features were memory-mapped during the work, and their file may have changed
            open_sealed(folder, REMEDY).check(FEATURES)
        failures = [Failure(i, absolute(path), error) for i, (path, error) in sorted(result.failures.items())]
        used = result.engine or described
        publish_index(folder, plan.record, plan.labels, used, listed, failures, rows, placed, part)
        discard(scratch)
    return _changes(old, listed, result, time.monotonic() - started)


def _stored_rows(old: Index | None, scratch: Path, views: bool) -> tuple[dict[str, StoredRow], dict[str, str]]:
    """Return all features on disk by shape id, and the inference engine that computed the newest of them.

    The features are those of the old index and those that an interrupted command kept in the folder ``scratch``.
    With ``views``, only shapes for which also the features of each single view are stored are returned.
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
    """Return an index entry for each shape whose features are computed."""
    return [
        IndexedShape(shape.id, shape.label, shape.split, result.hashes[shape.id], absolute(shape.path))
        for shape in shapes
        if shape.id in result.rows
    ]


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
