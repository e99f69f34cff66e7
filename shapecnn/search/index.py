"""Indexes on disk: the features of a collection, and the model that computed them.

An index consists of four files that are published together, with their hashes:

- ``index.json``: the model, its settings and the engine that computed the features.
- ``shapes.parquet``: the shapes, in order of id.
- ``features.safetensors``: ``features`` (N, D) float32. Where shapes are compared in a space adapted to the collection,
  also ``gallery`` (N, D) float32, their places in it, and ``distinct`` (N,) uint8, 1 for a shape that copies none
  before it. Where the model takes views, also ``views`` (N, V, D) float16. All but ``distinct`` are of unit length.
- ``failures.parquet``: the meshes that could not be used.

Features that an interrupted run computed wait in a work folder for the next run.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shapecnn.errors import StoredDataError
from shapecnn.meshes.collection import Shape, find_printed
from shapecnn.meshes.labels import Labels
from shapecnn.models.space import VERSION, Placed
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import foreign
from shapecnn.settings.base import Settings
from shapecnn.settings.views_and_grids import MOST_VIEWS
from shapecnn.storage.arrays import Kind, require_numbers, view_arrays
from shapecnn.storage.journal import scan_journal
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.table_reader import start_reader
from shapecnn.storage.tables import read_table
from shapecnn.storage.unfinished import WORK

REMEDY = "Put it back from a copy, or index the collection again, with --overwrite."

FORMAT = 1
HEADER, SHAPES, FEATURES, FAILURES = "index.json", "shapes.parquet", "features.safetensors", "failures.parquet"


@dataclass(frozen=True, slots=True)
class IndexedShape:
    """One shape of an index: a row of ``shapes.parquet``.

    Attributes:
        id: Path of the mesh file inside the collection.
        label: Class of the shape; None if it has none.
        split: ``train``, ``val`` or ``test``; None if it has none.
        sha256: Hash of the mesh file, in hexadecimal.
        path: Absolute path of the mesh file when it was indexed; a file inside a zip has the path of the zip before it.
    """

    id: str
    label: str | None
    split: str | None
    sha256: str
    path: str

    @property
    def source(self) -> Shape:
        """Shape of the collection, to read its mesh file again."""
        path = find_printed(self.path)
        for parent in path.parents:
            if parent.is_file():
                return Shape(self.id, self.label, self.split, parent, path.relative_to(parent).as_posix())
        return Shape(self.id, self.label, self.split, path)


@dataclass(frozen=True, slots=True)
class Failure:
    """A mesh that could not be used: a row of ``failures.parquet``.

    Attributes:
        id: Path of the mesh file inside the collection.
        path: Absolute path of the mesh file.
        error: One sentence.
    """

    id: str
    path: str
    error: str


@dataclass(frozen=True, slots=True)
class Index:
    """Features of a collection, with the model that made them.

    Arrays are views of a mapped file: rows that are not read take no memory.

    Attributes:
        record: Model that made the features.
        engine: Description of the engine that computed the latest of them; empty for an index without shapes.
        shapes: N shapes, in order of id.
        features: (N, D) float32 of unit length.
        views: (N, V, D) float16 of unit length, the feature of each view by itself; None where the model takes grids
            or nothing was indexed, and in an index of a version that did not store them.
        placed: Places of the features in the model's space; None where the features are compared as they are, and in
            an index of a version that did not store places.
    """

    record: ModelRecord
    engine: dict[str, str]
    shapes: list[IndexedShape]
    features: NDArray[np.float32]
    views: NDArray[np.float16] | None = None
    placed: Placed | None = None


def read_index(folder: Path) -> Index:
    """Read an index and check it against its hashes.

    Args:
        folder: Folder of the index.

    Raises:
        UsageError: There is no index.
        StoredDataError: It is damaged or from another version.
    """
    try:
        return _read(folder)
    except StoredDataError:
        return _read(folder)  # a publication may have come between the reading of two files


def _read(folder: Path) -> Index:
    require_kind(folder, "index", "To make one: shapecnn index COLLECTION INDEX")
    sealed = open_sealed(folder, REMEDY)
    start_reader()  # it loads while the features are checked
    described = sealed.json(HEADER, FORMAT)
    with sealed.validating(HEADER):
        header = _Header.from_options(**described)
        record = ModelRecord.read(header.model, header.settings)
    content = sealed.map(FEATURES)
    with sealed.validating(FEATURES):
        pooled = header.count, header.feature_size
        kinds: dict[str, tuple[Kind, tuple[int, ...]]] = {"features": ("F32", pooled)}
        if header.gallery:
            kinds["gallery"] = "F32", pooled
        if header.views:
            kinds["views"] = "F16", (header.count, header.views, header.feature_size)
        if header.gallery == VERSION:
            kinds["distinct"] = "U8", pooled[:1]
        held = view_arrays(content, kinds)
        for name, rows in held.items():
            require_numbers(name, rows)
        features, views = held["features"], held.get("views")
        placed = None
        if header.gallery == VERSION:
            if held["distinct"].max(initial=0) > 1:
                raise ValueError("distinct has values other than 0 and 1")
            placed = Placed(held["gallery"], held["distinct"].view(np.bool_))
        if header.count and not header.feature_size:
            raise ValueError("its features have length 0")
        for name in held.keys() - {"views", "distinct"}:  # views are scaled to unit length when they are searched
            if max(held[name].max(initial=0), -held[name].min(initial=0)) > 1.01:
                raise ValueError("features are not of unit length")
    table = sealed.read(SHAPES)
    with sealed.validating(SHAPES):
        shapes = read_table(IndexedShape, table, most=header.count)
        if len(shapes) != header.count or any(one.id >= other.id for one, other in itertools.pairwise(shapes)):
            raise ValueError("it does not have the shapes of the index in order of id")
    return Index(record, header.engine, shapes, features, views, placed)


class _Header(Settings):
    """Content of ``index.json``."""

    model: str
    settings: dict[str, Any]
    engine: dict[str, str]
    count: int = Field(ge=0)
    feature_size: int = Field(ge=0)
    views: int = Field(ge=0, le=MOST_VIEWS)  # of each shape; 0: none are stored
    gallery: int = 0  # version of the space whose places are stored; 0: none are
    labels: Labels = "auto"


class IndexSettings(NamedTuple):
    """Settings of an index.

    Attributes:
        record: Model that computes the features.
        labels: Source of the labels of the collection; it does not change features.
    """

    record: ModelRecord
    labels: Labels


def index_settings(folder: Path) -> IndexSettings | None:
    """Return the settings of an index, finished or not; None where there is none yet.

    Args:
        folder: Folder of the index.

    Raises:
        StoredDataError: It is damaged.
    """
    if kind_of(folder) == "index":
        sealed = open_sealed(folder, REMEDY)
        described = sealed.json(HEADER, FORMAT)
        with sealed.validating(HEADER):
            return _settings(described)
    return unfinished_settings(folder / WORK)


def unfinished_settings(scratch: Path) -> IndexSettings | None:
    """Return the settings of an unfinished index; None before its first shape is done.

    Args:
        scratch: Work folder of the index.

    Raises:
        StoredDataError: This version did not begin it.
    """
    header, *rows = [record for _, record in itertools.islice(scan_journal(scratch), 2)] or [{}]
    if not rows:
        return None
    try:
        return _settings(header)
    except ValueError:
        raise foreign(scratch) from None


def _settings(described: Mapping[str, Any]) -> IndexSettings:
    """Return stored settings; raise ValueError for values that no version writes."""
    labels = described.get("labels", "auto")  # missing in indexes of earlier versions
    if labels not in get_args(Labels):
        raise ValueError(f"its labels are not one of {', '.join(get_args(Labels))}")
    return IndexSettings(ModelRecord.read(described.get("model"), described.get("settings")), labels)
