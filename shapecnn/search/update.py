"""An index made or brought up to date: what is new is computed, and all is published at once, or nothing."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from shapecnn.errors import MismatchError, StoredDataError
from shapecnn.meshes.collection import Say, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.models.engine import Device, require_device
from shapecnn.models.model import Model
from shapecnn.models.space import VERSION, Placed
from shapecnn.search.features import compute, open_first
from shapecnn.search.index import (
    FAILURES,
    FEATURES,
    FORMAT,
    HEADER,
    SHAPES,
    Failure,
    Index,
    Item,
    Made,
    _begun,
    open_index,
)
from shapecnn.search.origin import Origin
from shapecnn.search.rows import Kept, Row, foreign, noted_rows, write_rows
from shapecnn.settings.artefacts import Up
from shapecnn.storage.journal import open_journal
from shapecnn.storage.own import require_own, require_unchanged, start_anew
from shapecnn.storage.publishing import WORK, discard, exclusive, publish, written
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import table_bytes
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update did.  relabelled: how many of the unchanged shapes have another label or split than before.
    failures: (path, one sentence), by id."""

    added: int
    updated: int
    unchanged: int
    removed: int
    total: int
    seconds: float
    failures: list[tuple[str, str]]
    relabelled: int = 0


def update_index(
    collection: Path,
    folder: Path,
    model: Model,
    *,
    command: str,
    labels: Labels = "auto",
    overwrite: bool = False,
    up: Up = "z",
    simplify: int | None = None,
    max_faces: int | None = None,
    device: Device = "auto",
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> Changes:
    """Make ``folder`` the index of ``collection``: new and changed meshes are computed, the rest is kept, what is gone
    leaves.

    labels: what names the labels of the collection.  up: which axis is up in the meshes, simplify: to how many faces
    those are brought that have more; @imagenet has both in its settings.  max_faces: how many faces a mesh may
    have where none is simplified.

    Raises CollectionError, MismatchError (another model or other settings; ``command`` is what would build it),
    UsageError (no such device, or files in ``folder`` that shapecnn did not write) and BusyError before any work. With
    ``overwrite`` the index is built anew then, and such files are replaced.
    """
    started = time.monotonic()
    require_device(device)
    shapes = list_shapes(collection, labels=labels, say=say)
    origin = Origin.of(model, up, simplify)
    require_own(HEADER, folder, overwrite)
    with exclusive(folder, overwrite):
        ours = written(folder)
        require_unchanged(folder, ({HEADER, SHAPES, FEATURES} - ours.keys()) | {FAILURES}, overwrite)
        rebuild = f"To keep it, name another folder. To replace it: {command} --overwrite"
        scratch = folder / WORK
        try:
            old = open_index(folder) if HEADER in ours and os.path.lexists(folder / HEADER) else None
            _require_same(folder, origin, old, rebuild)
        except (MismatchError, StoredDataError):
            if not overwrite:
                raise
            engine = open_first(model, device)  # now that nothing is left to be refused, the old index may go
            start_anew(folder)
            old = None
        else:
            begun = old is not None or os.path.lexists(scratch)  # perhaps nothing is left to compute
            engine = None if begun else open_first(model, device)
        earlier = old.items if old is not None else ()
        former = {item.id: item.sha256 for item in earlier}
        named = {item.id: (item.label, item.split) for item in earlier}
        with open_journal(scratch, {**asdict(origin), "labels": labels}) as note:
            known, described = _known(old, scratch, model.input.kind == "views")
            computed = compute(
                shapes, known, scratch, note, model, origin, max_faces, device, workers, progress, engine
            )
        rows = computed.rows
        kept = [shape for shape in shapes if shape.id in rows]
        items = [Item(s.id, s.label, s.split, computed.hashes[s.id], os.path.abspath(s.path)) for s in kept]
        listed = [rows[shape.id] for shape in kept]
        placed = _placed(model, listed, old, scratch)
        if old is not None:  # whose rows are in a file that was open all the time
            open_sealed(folder, rebuild).check(FEATURES)
        failed = [Failure(i, os.path.abspath(path), error) for i, (path, error) in sorted(computed.failures.items())]
        _publish(folder, Made(origin, labels), computed.engine or described, items, failed, listed, placed)
        discard(scratch)
    now = {item.id: item.sha256 for item in items}
    return Changes(
        added=sum(i not in former for i in now),
        updated=sum(former.get(i, sha) != sha for i, sha in now.items()),
        unchanged=sum(former.get(i) == sha for i, sha in now.items()),
        removed=sum(i not in now for i in former),
        total=len(items),
        seconds=time.monotonic() - started,
        failures=[computed.failures[i] for i in sorted(computed.failures)],
        relabelled=sum(former.get(i.id) == i.sha256 and named[i.id] != (i.label, i.split) for i in items),
    )


def _require_same(folder: Path, origin: Origin, old: Index | None, rebuild: str) -> None:
    """Raise MismatchError if ``folder`` holds an index, or the beginning of one, of another origin."""
    if old is not None:
        origin.require(old.origin, str(folder), rebuild)
    unfinished = _begun(folder / WORK)
    if unfinished is not None:
        origin.require(unfinished.origin, f"The unfinished index in {folder}", rebuild)


def _known(old: Index | None, scratch: Path, views: bool) -> tuple[dict[str, Kept], dict[str, str]]:
    """Rows of the published index and of an unfinished run by id, and what computed the latest of them; with ``views``
    only those that have them."""
    noted, engine = noted_rows(scratch, views)
    if old is None:
        return noted, engine or {}
    alone = old.views if old.views is not None else [None] * len(old.items)
    rows = zip(old.items, map(Row, old.features, alone), strict=True)
    known = {i.id: Kept(i.sha256, partial(Row, *row)) for i, row in rows if not views or row.views is not None}
    return known | noted, engine or old.engine


def _placed(model: Model, rows: list[Kept], old: Index | None, scratch: Path) -> Placed | None:
    """Where the model's space is made of all ``rows``: their places in it, which are the old ones if the rows are."""
    if not (model.comparison.adapts and rows):
        return None
    try:
        features = np.stack([row.read().feature for row in rows])
    except ValueError:  # rows of unlike lengths
        raise foreign(scratch) from None
    known = old.placed if old is not None and np.array_equal(features, old.features) else None
    return model.comparison.space(features, known).placed


def _publish(
    folder: Path,
    made: Made,
    engine: dict[str, str],
    items: list[Item],
    failed: list[Failure],
    rows: list[Kept],
    placed: Placed | None,
) -> None:
    """Publish the index of ``items``, of which rows[i] is kept of items[i]."""
    shapes, features = table_bytes(Item, items), folder / WORK / FEATURES
    try:
        digest, size, views = write_rows(features, rows, placed)
    except ValueError:  # rows of unlike shapes
        raise foreign(folder / WORK) from None
    header = {
        "schema_version": FORMAT,
        **asdict(made.origin),
        "labels": made.labels,
        "engine": engine,
        "count": len(items),
        "feature_size": size,
        "views": views,
        "gallery": 0 if placed is None else VERSION,
    }
    files: dict[str, bytes | Path] = {
        SHAPES: shapes,
        FAILURES: table_bytes(Failure, failed),
        FEATURES: features,
        HEADER: json_bytes(header),
    }
    publish(folder, files, {FEATURES: digest})
