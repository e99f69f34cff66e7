"""Build or update an index: compute the features of new and changed meshes, then publish all files at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MismatchError, StoredDataError
from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.models.adapted_space import VERSION
from shapecnn.models.device import Device, require_device
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.models.model import Model, compares_views
from shapecnn.models.space import Placed
from shapecnn.search.changes import IndexChanges as IndexChanges
from shapecnn.search.changes import changes_between
from shapecnn.search.dividing import Division, divide_rows
from shapecnn.search.features import CollectionRows, compute_rows
from shapecnn.search.header import IndexHeader
from shapecnn.search.index import (
    FAILURES,
    FEATURES,
    HEADER,
    INVERTED,
    SHAPES,
    Failure,
    Index,
    IndexedShape,
    read_index,
    unfinished_settings,
)
from shapecnn.search.plan import IndexPlan
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import (
    FeatureRow,
    RowJournal,
    StoredRow,
    foreign,
    journal_rows,
    packed_features,
    write_rows,
    write_small_rows,
)
from shapecnn.search.small_rows import PackedFeatures, PackedViews, same_features
from shapecnn.search.stamps import Stamps, now, write_stamps
from shapecnn.storage.journal import open_journal
from shapecnn.storage.own import remove_all_own, remove_own, require_own, require_unchanged
from shapecnn.storage.publishing import exclusive, publish, written_hashes
from shapecnn.storage.reading import json_bytes, sha256
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import table_bytes
from shapecnn.storage.unfinished import WORK, discard, record_hash
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


def bring_up_to_date(
    collection: Path,
    folder: Path,
    plan: IndexPlan,
    *,
    command: str = "shapecnn index COLLECTION INDEX",
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
        MismatchError: The index was made with another model or other settings.
        UsageError: The device is not available, or ``folder`` contains files that shapecnn did not write.
        BusyError: Another process is writing to ``folder``.
        StoredDataError: The index is damaged or from another version.
    """
    started, hashed = time.monotonic(), now()
    require_device(device)
    shapes = list_shapes(collection, labels=plan.labels, say=say)
    require_own(HEADER, folder, overwrite)
    scratch = folder / WORK
    views = compares_views(plan.model) and plan.pictures
    engine = KeptEngine(plan.model, device, views=views)
    with exclusive(folder, overwrite):
        rebuild = f"To keep the index, name another folder. To replace the index: {command} --overwrite"
        old = _old_index(folder, plan, engine, overwrite, rebuild)
        resumed = unfinished_settings(scratch) is not None
        with open_journal(scratch, {**asdict(plan.record), **plan.options(old)}) as note:
            stored, described = _stored_rows(old, scratch, views)
            journal = RowJournal(note, scratch)
            trusted = {} if check else Stamps.read(folder).trusted(shapes)
            result = compute_rows(shapes, stored, trusted, plan, journal, engine, workers, progress)
        listed = _listed(shapes, result)
        rows = [result.rows[shape.id] if plan.pictures else result.rows[shape.id].without_views() for shape in listed]
        small = plan.stores_small(old, len(listed))
        same = old is not None and not resumed and _same_features(old, listed, result, plan, small)
        kept = old if same else None
        placed = kept.placed if kept is not None else _placed(plan.model, rows, old, scratch, small)
        if old is not None and kept is None:  # the old features were mapped during the work, and may have changed
            open_sealed(folder, rebuild).check(FEATURES)
        failures = [Failure(i, os.path.abspath(path), error) for i, (path, error) in sorted(result.failures.items())]
        divided = Division()
        if plan.divides(old, len(listed)):
            divided = divide_rows(folder, old, kept, listed, rows, small, say)
        _publish(folder, plan, result.engine or described, listed, failures, rows, placed, small, kept, divided)
        if trusted.keys() != result.alone:
            write_stamps(folder, [shape for shape in shapes if shape.id in result.alone], result.hashes, hashed)
        discard(scratch)
    return changes_between(old.shapes if old is not None else [], listed, result, time.monotonic() - started)


def _old_index(folder: Path, plan: IndexPlan, engine: KeptEngine, overwrite: bool, rebuild: str) -> Index | None:
    """Return the index in a folder; None if the folder has none.

    With ``overwrite``, an index that is damaged or made with another model or other settings is removed first.
    """
    ours = written_hashes(folder)
    require_unchanged(folder, ({HEADER, SHAPES, FEATURES} - ours.keys()) | {FAILURES, INVERTED}, overwrite)
    try:
        old = read_index(folder) if HEADER in ours and os.path.lexists(folder / HEADER) else None
        _require_same(folder, plan.record, old, rebuild)
        if old is not None:
            plan.require_rows(old, folder)
    except (MismatchError, StoredDataError):
        if not overwrite:
            raise
        engine.open_if_remote()  # a failed download must not cost the user the old index
        remove_all_own(folder)
        return None
    if old is None and not os.path.lexists(folder / WORK):  # an old or unfinished index may already have all features
        engine.open_if_remote()
    return old


def _require_same(folder: Path, record: ModelRecord, old: Index | None, rebuild: str) -> None:
    """Raise MismatchError if a folder holds a finished or unfinished index with another model or other settings."""
    if old is not None:
        record.require_same(old.record, str(folder), rebuild)
    unfinished = unfinished_settings(folder / WORK)
    if unfinished is not None:
        record.require_same(unfinished.record, f"The unfinished index in {folder}", rebuild)


def _stored_rows(old: Index | None, scratch: Path, views: bool) -> tuple[dict[str, StoredRow], dict[str, str]]:
    """Return all features on disk by shape id, and the inference engine that computed the newest of them.

    The features are those of the old index and those that an interrupted command kept in the folder ``scratch``.
    With ``views``, only shapes for which also the features of each single view are stored are returned.
    """
    noted, engine = journal_rows(scratch, views)
    if old is None:
        return noted, engine or {}
    stored = {
        shape.id: StoredRow(shape.sha256, partial(_old_row, old, number))
        for number, shape in enumerate(old.shapes)
        if not views or old.views is not None
    }
    return stored | noted, engine or old.engine


def _old_row(old: Index, number: int) -> FeatureRow:
    """Return the features of one shape of an index, with its views as they are stored."""
    if isinstance(old.views, PackedViews):
        return FeatureRow(old.features[number], old.views.codes[number], old.views.factors[number])
    return FeatureRow(old.features[number], None if old.views is None else old.views[number])


def _listed(shapes: Sequence[Shape], result: CollectionRows) -> list[IndexedShape]:
    """Return an index entry for each shape whose features are computed."""
    return [
        IndexedShape(shape.id, shape.label, shape.split, result.hashes[shape.id], os.path.abspath(shape.path))
        for shape in shapes
        if shape.id in result.rows
    ]


def _same_features(
    old: Index, shapes: list[IndexedShape], result: CollectionRows, plan: IndexPlan, small: bool
) -> bool:
    """Tell whether an index of ``shapes`` has the features of the old index, also those adapted to the collection."""
    adapted = old.placed is not None or not (plan.model.comparison.adapts and shapes)
    stored = isinstance(old.features, PackedFeatures) == small and old.pictures == plan.pictures
    contents = ([(shape.id, shape.sha256) for shape in each] for each in (old.shapes, shapes))
    return result.engine is None and adapted and stored and next(contents) == next(contents)


def _placed(
    model: Model, rows: list[StoredRow], old: Index | None, scratch: Path, small: bool = False
) -> Placed | None:
    """Return the coordinates of all shapes in a space adapted to the collection; None if the model uses no such space.

    If all features equal the features of the old index, the coordinates of the old index are reused.
    """
    if not (model.comparison.adapts and rows):
        return None
    try:
        features = packed_features(rows) if small else np.stack([row.read().feature for row in rows])
    except ValueError:  # the rows have different lengths
        raise foreign(scratch) from None
    placed = old.placed if old is not None and same_features(features, old.features) else None
    if placed is not None and small == (placed.gallery is None):
        return placed
    # AdaptedSpace decodes small rows block by block: all of them as float32 would be large
    return model.comparison.space(cast("NDArray[np.float32]", features)).placed


def _publish(
    folder: Path,
    plan: IndexPlan,
    engine: dict[str, str],
    shapes: list[IndexedShape],
    failures: list[Failure],
    rows: list[StoredRow],
    placed: Placed | None,
    small: bool = False,
    kept: Index | None = None,
    divided: Division = Division(),  # noqa: B008  # immutable
) -> None:
    """Write all files of the index, and make them visible together; ``rows`` has the features of ``shapes``.

    If ``kept`` is the old index with the same features, their file stays. If all files would stay, none is written.
    """
    table, features = table_bytes(IndexedShape, shapes), folder / WORK / FEATURES
    sums = open_sealed(folder, "").sums if kept is not None else {}
    if kept is not None:
        digest, size, views = sums[FEATURES], kept.features.shape[1], 0 if kept.views is None else kept.views.shape[1]
    else:
        try:
            digest, size, views = (write_small_rows if small else write_rows)(features, rows, placed)
        except ValueError:  # the rows have different shapes
            raise foreign(folder / WORK) from None
    header = IndexHeader(
        **asdict(plan.record),
        labels=plan.labels,
        engine=engine,
        count=len(shapes),
        feature_size=size,
        views=views,
        gallery=0 if placed is None else VERSION,
        rows="small" if small else "full",
        pictures=plan.pictures,
        lists=divided.lists,
        neighbours=placed.neighbours.shape[1] if small and placed is not None and placed.neighbours is not None else 0,
    )
    files: dict[str, bytes | Path] = {
        SHAPES: table,
        FAILURES: table_bytes(Failure, failures),
        HEADER: json_bytes(header.to_json()),
    } | ({} if kept is not None else {FEATURES: features})
    beside = {FEATURES: digest}
    if divided.path is not None:
        files[INVERTED], beside[INVERTED] = divided.path, divided.digest
    elif divided.lists:
        beside[INVERTED] = sums[INVERTED]
    if divided.path is None and sums == beside | {
        name: sha256(data) for name, data in files.items() if isinstance(data, bytes)
    }:
        return
    stale = {} if divided.lists else {name: each for name, each in written_hashes(folder).items() if name == INVERTED}
    for digest in stale.get(INVERTED, ()):  # if the process dies, the next command still knows that the file is its own
        record_hash(folder / WORK, INVERTED, digest)
    publish(folder, files, beside)
    remove_own(folder, stale, stale)
