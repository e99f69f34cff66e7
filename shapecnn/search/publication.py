"""Publish an index: place its shapes in the space adapted to the collection, and write all files at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.shards import PART, Part
from shapecnn.models.adapted_space import VERSION
from shapecnn.models.comparison import ShapeComparison
from shapecnn.models.space import Placed
from shapecnn.search.dividing import divide_features
from shapecnn.search.header import PLAIN, Form, IndexHeader
from shapecnn.search.index import FAILURES, FEATURES, HEADER, INVERTED, REMEDY, SHAPES, Failure, Index, IndexedShape
from shapecnn.search.index_arrays import index_arrays
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import StoredRow, foreign, packed_features, write_rows, write_small_rows
from shapecnn.search.small_rows import same_features
from shapecnn.storage.own import remove_own
from shapecnn.storage.publishing import publish, written_hashes
from shapecnn.storage.reading import json_bytes, map_stored, sha256
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import table_bytes
from shapecnn.storage.unfinished import WORK, record_hash
from shapecnn.workers.progress import stage


@dataclass(frozen=True, slots=True)
class Draft:
    """Content of an index that is about to be published.

    Attributes:
        record: Record of the model that computed the features.
        labels: Source of the labels and splits of the collection.
        engine: Description of the inference engine that computed the features.
        shapes: The N shapes, in order of id.
        failures: The meshes that cannot be used, in order of id.
        rows: Features of the shapes, in the same order.
        form: How the index stores the features, and how it is searched.
        part: Shard of a collection that the index holds; None for a whole collection.
    """

    record: ModelRecord
    labels: Labels
    engine: dict[str, str]
    shapes: Sequence[IndexedShape]
    failures: Sequence[Failure]
    rows: Sequence[StoredRow]
    form: Form = PLAIN
    part: Part | None = None


def place_rows(comparison: ShapeComparison, draft: Draft, old: Index | None, scratch: Path) -> Placed | None:
    """Return the coordinates of all shapes in a space adapted to the collection; None if the model uses no such space.

    If all features equal the features of the old index, the coordinates of the old index are reused.

    Args:
        comparison: Comparison of shapes by the model.
        draft: The shapes and their features.
        old: Index that the folder held before; None if there was none.
        scratch: Folder of the unfinished index, for the error message.

    Raises:
        StoredDataError: The features have different lengths, so another version of shapecnn wrote some of them.
    """
    if not (comparison.adapts and draft.rows):
        return None
    small = draft.form.rows == "small"
    with stage("Comparing the shapes with each other"):
        try:
            features = packed_features(draft.rows) if small else np.stack([row.read().feature for row in draft.rows])
        except ValueError:  # the rows have different lengths
            raise foreign(scratch) from None
        if old is not None and old.placed is not None and same_features(features, old.features):
            return old.placed
        return comparison.place(features)


def publish_index(
    folder: Path,
    draft: Draft,
    placed: Placed | None,
    *,
    divided: ShapeComparison | None = None,
    old: Index | None = None,
    kept: bool = False,
    say: Say = silent,
) -> None:
    """Write all files of an index, and make them visible together.

    If no file changes, nothing is written, and the header gets the time of this update.

    Args:
        folder: Folder of the index, locked by the caller, with a subfolder for unfinished work.
        draft: Content of the index.
        placed: Coordinates of the shapes in a space adapted to the collection; None if the model uses no such space.
        divided: Comparison of the shapes by an inverted file; None for an index without one.
        old: The index that the folder holds, whose inverted file is kept up to date; None for none.
        kept: Whether the features are those of the old index, so that their file stays.
        say: Callback that receives the recall of the inverted file as one line of text.

    Raises:
        StoredDataError: The features have different shapes, so another version of shapecnn wrote some of them.
        OSError: A file cannot be written.
    """
    features, inverted, small = folder / WORK / FEATURES, folder / WORK / INVERTED, draft.form.rows == "small"
    files: dict[str, bytes | Path] = {
        SHAPES: table_bytes(IndexedShape, draft.shapes),
        FAILURES: table_bytes(Failure, draft.failures),
    }
    if draft.part is not None:
        files[PART] = draft.part.content()
    sums = open_sealed(folder, REMEDY).sums if old is not None else {}
    beside = {FEATURES: sums[FEATURES]} if kept else {}
    if old is not None and kept:
        size, views = old.features.shape[1], 0 if old.views is None else old.views.shape[1]
    else:
        try:
            written = (write_small_rows if small else write_rows)(features, draft.rows, placed)
        except ValueError:  # the rows have different shapes
            raise foreign(folder / WORK) from None
        (beside[FEATURES], size, views), files[FEATURES] = written, features
    header = IndexHeader(
        **asdict(draft.record),
        **draft.form._asdict(),
        labels=draft.labels,
        engine=draft.engine,
        count=len(draft.shapes),
        feature_size=size,
        views=views,
        gallery=0 if placed is None else VERSION,
        neighbours=placed.neighbours.shape[1] if small and placed and placed.neighbours is not None else 0,
    )
    if divided is not None and old is not None and kept and old.inverted is not None:
        header = header.model_copy(update={"lists": len(old.inverted.lists)})
        beside[INVERTED] = sums[INVERTED]
    elif divided is not None:
        content = map_stored(folder / FEATURES if kept else features)
        stored = index_arrays(content, header, 0)  # adapted features with a descriptor are never divided
        lists, beside[INVERTED] = divide_features(stored, divided, draft.shapes, old, inverted, say)
        header, files[INVERTED] = header.model_copy(update={"lists": lists}), inverted
    files[HEADER] = json_bytes(header.to_json())
    hashes = {name: sha256(data) for name, data in files.items() if isinstance(data, bytes)}
    if sums != beside | hashes or any(isinstance(data, Path) for data in files.values()):
        _publish(folder, files, beside)
    else:
        with contextlib.suppress(OSError):  # of another owner
            os.utime(folder / HEADER)  # `info` counts the meshes that changed after it


def _publish(folder: Path, files: dict[str, bytes | Path], beside: dict[str, str]) -> None:
    """Publish files, and remove an inverted file that the index has no more."""
    stale = (
        {} if INVERTED in beside else {name: each for name, each in written_hashes(folder).items() if name == INVERTED}
    )
    for digest in stale.get(INVERTED, ()):  # if the process dies, the next command still knows that the file is its own
        record_hash(folder / WORK, INVERTED, digest)
    publish(folder, files, beside)
    remove_own(folder, stale, stale)
