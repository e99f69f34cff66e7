"""Merge indexes of the shards of one collection, so that the result is that of one run.

Features, shapes and failures are those of the parts. What depends on the whole collection, which are the places of the
shapes in an adapted space, is computed again. Features are read from mapped files, one shape at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from shapecnn.errors import MismatchError
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.shards import Part, different, require_members, require_total
from shapecnn.search.index import (
    HEADER,
    REMEDY,
    Failure,
    Index,
    IndexedShape,
    index_settings,
    read_failures,
    read_index,
)
from shapecnn.search.previous import previous_index
from shapecnn.search.publication import place_rows, publish_index
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.storage.own import require_own
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.unfinished import WORK, claim, discard
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class _Item:
    """What a part holds of one mesh: the shape and its features, or the failure."""

    folder: Path
    row: IndexedShape | Failure
    features: FeatureRow | None

    def equals(self, other: _Item) -> bool:
        """Return whether another part of the same shard holds the same. The mesh may be at another path there."""
        if replace(self.row, path="") != replace(other.row, path=""):
            return False
        if self.features is None or other.features is None:
            return self.features is other.features
        pairs = zip(self.features, other.features, strict=True)
        return all(one is two if one is None or two is None else np.array_equal(one, two) for one, two in pairs)


@dataclass(slots=True)
class _Merged:
    """What the parts read so far have in common, and what they hold by id."""

    record: ModelRecord
    labels: Labels
    first: Path
    engine: dict[str, str] = field(default_factory=dict)
    engine_of: Path | None = None
    items: dict[str, _Item] = field(default_factory=dict)


def merge_indexes(
    parts: Mapping[Path, Part],
    out: Path,
    *,
    command: str,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> tuple[int, list[tuple[str, str]]]:
    """Merge the indexes of all shards of a collection into one index.

    Args:
        parts: The parts by folder, in any order, from :func:`shapecnn.meshes.shards.read_parts`.
        out: The merged index: absent, empty, or made by an earlier command.
        command: Shell command that makes ``out``; error messages quote it.
        overwrite: Whether to replace an index made with other settings, and files that shapecnn did not write.
        progress: Called with the number of shapes that were read and the number of all shapes.

    Returns:
        Number of shapes in the merged index; and path and error of each mesh that failed, in order of id.

    Raises:
        UsageError: A folder is not an index, or ``out`` has files that shapecnn did not write.
        MismatchError: The parts were made with different models, settings or engines, or differ in a shape; or ``out``
            is an index of another model or other settings.
        StoredDataError: A part is damaged.
        BusyError: Another process is writing to ``out``.
    """
    require_own(HEADER, out, overwrite)
    merged: _Merged | None = None
    for folder, part in parts.items():
        index, settings = read_index(folder), index_settings(folder)
        assert settings is not None
        merged = merged or _Merged(index.record, settings.labels, folder)
        _require_same(merged, folder, index, settings.labels)
        require_members(folder, part, _add(merged, folder, index), REMEDY)
        progress(len(merged.items), part.shapes)
    assert merged is not None
    require_total(parts, len(merged.items))
    ordered = [merged.items[shape_id] for shape_id in sorted(merged.items)]
    shapes = [item.row for item in ordered if isinstance(item.row, IndexedShape)]
    failures = [item.row for item in ordered if isinstance(item.row, Failure)]
    rows = [
        StoredRow(item.row.sha256, partial(FeatureRow, *item.features))
        for item in ordered
        if isinstance(item.row, IndexedShape) and item.features is not None
    ]
    rebuild = f"To keep the index, name another folder. To replace the index: {command} --overwrite"
    with exclusive(out, overwrite):
        old = previous_index(out, merged.record, None, rebuild, overwrite=overwrite)
        claim(out / WORK)
        placed = None
        if merged.record.settings["kind"] != "run":  # the similarity of a run never depends on the collection
            placed = place_rows(merged.record.open(merged.first).comparison, rows, old, out / WORK)
        publish_index(out, merged.record, merged.labels, merged.engine, shapes, failures, rows, placed)
        discard(out / WORK)
    return len(shapes), [(failure.path, failure.error) for failure in failures]


def _require_same(merged: _Merged, folder: Path, index: Index, labels: Labels) -> None:
    """Raise MismatchError unless a part has the model, the settings and the engine of the parts before it.

    A run may be in another folder on each machine; the first of its paths in alphabetical order is kept.
    """
    remedy = f"The values here are those of {merged.first}: make all parts with the same options."
    merged.record.require_same(index.record, str(folder), remedy)
    merged.record = min(merged.record, index.record, key=lambda record: record.model)
    if labels != merged.labels:
        raise MismatchError(
            f"{folder} was made with --labels {labels} and {merged.first} with --labels {merged.labels}: make all "
            f"parts with the same options."
        )
    if not index.shapes:  # no engine has computed anything for it
        return
    if merged.engine_of is None:
        merged.engine, merged.engine_of = index.engine, folder
    if index.engine != merged.engine:
        raise MismatchError(
            f"The features of {folder} were computed by {_engine(index.engine)} and those of {merged.engine_of} by "
            f"{_engine(merged.engine)}, which round differently: make all parts with the same --device, on machines of "
            f"one kind and with the same packages."
        )


def _add(merged: _Merged, folder: Path, index: Index) -> Iterator[str]:
    """Add what a part holds, and yield the id of each of its meshes; a part of the same shard must hold the same."""
    views = index.views if index.views is not None else [None] * len(index.shapes)
    held = [_Item(folder, *row) for row in zip(index.shapes, map(FeatureRow, index.features, views), strict=True)]
    for item in [*held, *(_Item(folder, failure, None) for failure in read_failures(folder))]:
        yield item.row.id
        known = merged.items.get(item.row.id)
        if known is not None and not known.equals(item):
            raise different(item.row.id, known.folder, folder)
        if known is None or item.row.path < known.row.path:
            merged.items[item.row.id] = item


def _engine(engine: Mapping[str, str]) -> str:
    return f"{engine.get('engine')} in {engine.get('precision')} on {engine.get('device')}"
