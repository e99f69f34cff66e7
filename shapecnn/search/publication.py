"""Publish an index: place its shapes in the space adapted to the collection, and write all files at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from shapecnn.meshes.labels import Labels
from shapecnn.meshes.shards import PART, Part
from shapecnn.models.adapted_space import VERSION
from shapecnn.models.comparison import ShapeComparison
from shapecnn.models.space import Placed
from shapecnn.search.index import FAILURES, FEATURES, FORMAT, HEADER, SHAPES, Failure, Index, IndexedShape
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import StoredRow, foreign, write_rows
from shapecnn.storage.publishing import publish
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.tables import table_bytes
from shapecnn.storage.unfinished import WORK
from shapecnn.workers.progress import stage


def place_rows(
    comparison: ShapeComparison, rows: Sequence[StoredRow], old: Index | None, scratch: Path
) -> Placed | None:
    """Return the coordinates of all shapes in a space adapted to the collection; None if the model uses no such space.

    If all features equal the features of the old index, the coordinates of the old index are reused.

    Args:
        comparison: Comparison of shapes by the model.
        rows: Features of the shapes, in order of id.
        old: Index that the folder held before; None if there was none.
        scratch: Folder of the unfinished index, for the error message.

    Raises:
        StoredDataError: The features have different lengths, so another version of shapecnn wrote some of them.
    """
    if not (comparison.adapts and rows):
        return None
    with stage("Comparing the shapes with each other"):
        try:
            features = np.stack([row.read().feature for row in rows])
        except ValueError:  # the rows have different lengths
            raise foreign(scratch) from None
        placed = old.placed if old is not None and np.array_equal(features, old.features) else None
        return comparison.space(features, placed).placed


def publish_index(
    folder: Path,
    record: ModelRecord,
    labels: Labels,
    engine: dict[str, str],
    shapes: Sequence[IndexedShape],
    failures: Sequence[Failure],
    rows: Sequence[StoredRow],
    placed: Placed | None,
    part: Part | None = None,
) -> None:
    """Write all files of an index, and make them visible together.

    Args:
        folder: Folder of the index, locked by the caller, with a subfolder for unfinished work.
        record: Record of the model that computed the features.
        labels: Source of the labels and splits of the collection.
        engine: Description of the inference engine that computed the features.
        shapes: The shapes, in order of id.
        failures: The meshes that cannot be used, in order of id.
        rows: Features of ``shapes``, in the same order.
        placed: Coordinates of ``shapes`` in a space adapted to the collection; None if the model uses no such space.
        part: Shard of a collection that the index holds; None for a whole collection.

    Raises:
        StoredDataError: The features have different shapes, so another version of shapecnn wrote some of them.
        OSError: A file cannot be written.
    """
    table, features = table_bytes(IndexedShape, shapes), folder / WORK / FEATURES
    try:
        digest, size, views = write_rows(features, rows, placed)
    except ValueError:  # the rows have different shapes
        raise foreign(folder / WORK) from None
    header = {
        "schema_version": FORMAT,
        **asdict(record),
        "labels": labels,
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
    publish(folder, files if part is None else {**files, PART: part.content()}, {FEATURES: digest})
