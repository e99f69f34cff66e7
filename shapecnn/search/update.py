"""Build or update an index: compute the features of new and changed meshes, then publish all files at once."""

from __future__ import annotations

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
from shapecnn.search.changes import IndexChanges as IndexChanges
from shapecnn.search.changes import changes_between
from shapecnn.search.dividing import divides
from shapecnn.search.features import CollectionRows, compute_rows
from shapecnn.search.header import Form
from shapecnn.search.index import FEATURES, HEADER, REMEDY, Failure, Index, IndexedShape, unfinished_settings
from shapecnn.search.known import Known
from shapecnn.search.plan import IndexPlan
from shapecnn.search.previous import previous_index
from shapecnn.search.publication import Draft, place_rows, publish_index
from shapecnn.search.rows import RowJournal, StoredRow, journal_rows
from shapecnn.search.stamps import Stamps, take_stamps, write_stamps
from shapecnn.storage.journal import open_journal
from shapecnn.storage.objects.url import absolute
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
    check: bool = False,
    device: Device = "auto",
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> IndexChanges:
    """Build the index of a collection in a folder, or update the index in the folder.

    Features are computed for new and changed meshes only. Shapes that are no longer in the collection are removed from
    the index. A mesh file whose size and times are as they were when it was hashed is not read again. If nothing has
    changed, nothing is written.

    Args:
        collection: Folder of meshes, zip file of such a folder, or CSV file that lists meshes.
        folder: Folder of the index.
        plan: Model and settings of the index.
        command: Command line that error messages suggest for building the index.
        shard: Shard of the collection to index; None for the whole collection.
        overwrite: True to replace an index made with other settings, and files that shapecnn did not write.
        check: True to read and hash every mesh file, whatever its size and times are.
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
        check=check,
        device=device,
        workers=workers,
        progress=progress,
        say=say,
    )
    return replace(made, seconds=time.monotonic() - started)


def index_shapes(
    shapes: Sequence[Shape],
    folder: Path,
    plan: IndexPlan,
    *,
    part: Part | None,
    known: Known | None = None,
    command: str,
    overwrite: bool = False,
    check: bool = False,
    device: Device,
    workers: Workers,
    progress: Progress,
    say: Say = silent,
) -> IndexChanges:
    """Build the index of shapes in a folder, or update the index in the folder; see :func:`bring_up_to_date`.

    Args:
        shapes: The shapes, in order of id.
        folder: Folder of the index.
        plan: Model and settings of the index.
        part: Shard of a collection that ``shapes`` are; None for a whole collection.
        known: What the index holds of the shapes into which this one will be merged; None if it will not be merged,
            and is all that is known.
        command: Command line that error messages suggest for building the index.
        overwrite: True to replace an index made with other settings, and files that shapecnn did not write.
        check: True to read and hash every mesh file, whatever its size and times are.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Worker processes that read the meshes and draw or voxelize them.
        progress: Callback that receives the number of finished shapes and the number of all shapes.
        say: Callback that receives each note for the user as one line of text.

    Returns:
        Numbers of added, updated, unchanged and removed shapes, and the error of each failed mesh.

    Raises:
        ShapecnnError: As :func:`bring_up_to_date`.
    """
    started = time.monotonic()
    form = plan.form(len(shapes) if part is None else part.shapes)
    require_own(HEADER, folder, overwrite)
    scratch, comparison = folder / WORK, plan.model.comparison
    views = compares_views(plan.model) and form.pictures
    engine = KeptEngine(plan.model, device, views=views)
    with exclusive(folder, overwrite):
        old = previous_index(folder, plan.record, part, command, rows=form.rows, overwrite=overwrite,
                             before=engine.open_if_remote)  # fmt: skip
        resumed = unfinished_settings(scratch) is not None
        with open_journal(scratch, journal_header(plan, form, part)) as note:
            stored, described = _stored_rows(old, scratch, views)
            taken = take_stamps(shapes) if known is None else {}
            if known is not None:
                stored, trusted = known.rows(views) | stored, known.trusted
            else:
                trusted = {} if check else Stamps.read(folder).trusted(taken)
            journal = RowJournal(note, scratch)
            result = compute_rows(shapes, stored, trusted, plan, journal, engine, workers, progress)
        listed = _listed(shapes, result)
        rows = [result.rows[shape.id] if form.pictures else result.rows[shape.id].without_views() for shape in listed]
        failures = [Failure(i, absolute(path), error) for i, (path, error) in sorted(result.failures.items())]
        draft = Draft(plan.record, plan.labels, result.engine or described, listed, failures, rows, form, part)
        kept = old is not None and not resumed and _keeps_features(old, draft, result, comparison.adapts)
        placed = old.placed if old is not None and kept else place_rows(comparison, draft, old, scratch)
        if old is not None and not kept:  # the old features were mapped during the work, and may have changed
            open_sealed(folder, REMEDY).check(FEATURES)
        divided = comparison if known is None and divides(form.kind, comparison, len(listed)) else None
        publish_index(folder, draft, placed, divided=divided, old=old, kept=kept, say=say)
        if known is None and trusted.keys() != result.alone:
            write_stamps(folder, taken, {shape_id: result.hashes[shape_id] for shape_id in result.alone})
        discard(scratch)
    failed = [result.failures[shape_id] for shape_id in sorted(result.failures)]
    return changes_between(old, listed, failed, time.monotonic() - started)


def journal_header(plan: IndexPlan, form: Form, part: Part | None) -> dict[str, Any]:
    """Return the header of the journal of an unfinished index, by which a later command may continue it.

    Args:
        plan: Model and settings of the index.
        form: How the index stores the features, and how it is searched.
        part: Shard of a collection that the index holds; None for a whole collection.
    """
    described = {**asdict(plan.record), "labels": plan.labels, **form._asdict()}
    return described if part is None else {**described, SHARD: str(part.shard)}


def _stored_rows(old: Index | None, scratch: Path, views: bool) -> tuple[dict[str, StoredRow], dict[str, str]]:
    """Return all features on disk by shape id, and the inference engine that computed the newest of them.

    The features are those of the old index and those that an interrupted command kept in the folder ``scratch``.
    With ``views``, only shapes for which also the features of each single view are stored are returned.
    """
    noted, engine = journal_rows(scratch, views)
    if old is None:
        return noted, engine or {}
    stored = {
        shape.id: StoredRow(shape.sha256, partial(old.row, number))
        for number, shape in enumerate(old.shapes)
        if not views or old.views is not None
    }
    return stored | noted, engine or old.engine


def _listed(shapes: Sequence[Shape], result: CollectionRows) -> list[IndexedShape]:
    """Return an index entry for each shape whose features are computed."""
    return [
        IndexedShape(shape.id, shape.label, shape.split, result.hashes[shape.id], absolute(shape.path))
        for shape in shapes
        if shape.id in result.rows
    ]


def _keeps_features(old: Index, draft: Draft, result: CollectionRows, adapts: bool) -> bool:
    """Return whether a new index has the features of the old one, also those adapted to the collection."""
    stored = (old.form.rows, old.form.pictures) == (draft.form.rows, draft.form.pictures)
    placed = old.placed is not None or not (adapts and draft.shapes)
    contents = [[(shape.id, shape.sha256) for shape in shapes] for shapes in (old.shapes, draft.shapes)]
    return result.engine is None and stored and placed and contents[0] == contents[1]
