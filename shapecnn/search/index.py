"""The features of a collection, kept up to date.

An index is four files published as one, with their hashes: ``index.json`` (what made it, how that was run),
``failures.parquet`` (what could not be used), ``shapes.parquet`` and ``features.safetensors``, rows in order of id:
``features`` (N, D) float32; where they are compared in a space made of all of them, ``gallery`` (N, D) float32, their
places in it, and ``distinct`` (N,) uint8, 1 for what is a copy of none before it; and where the model sees pictures,
``views`` (N, V, D) float16; all but ``distinct`` of unit length. Features computed by a run that was interrupted wait
in a work folder for the next one.
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
from shapecnn.search.origin import Origin
from shapecnn.search.rows import foreign
from shapecnn.settings.artefacts import MOST_VIEWS
from shapecnn.settings.core import Settings
from shapecnn.storage.arrays import Kind, require_numbers, view_arrays
from shapecnn.storage.journal import scan_journal
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.publishing import WORK
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.table_reader import start_reader
from shapecnn.storage.tables import read_table

REMEDY = "Put it back from a copy, or index the collection again, with --overwrite."

FORMAT = 1
HEADER, SHAPES, FEATURES, FAILURES = "index.json", "shapes.parquet", "features.safetensors", "failures.parquet"


@dataclass(frozen=True, slots=True)
class Item:
    """One indexed shape.  path: where its mesh file was when it was indexed, absolute."""

    id: str
    label: str | None
    split: str | None
    sha256: str
    path: str

    @property
    def shape(self) -> Shape:
        """What was indexed: its path is a file, or a file inside a zip."""
        path = find_printed(self.path)
        for parent in path.parents:
            if parent.is_file():
                return Shape(self.id, self.label, self.split, parent, path.relative_to(parent).as_posix())
        return Shape(self.id, self.label, self.split, path)


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of ``failures.parquet``: a mesh that could not be used.  path: absolute.  error: one sentence."""

    id: str
    path: str
    error: str


@dataclass(frozen=True, slots=True)
class Index:
    """items[i] has features[i], views[i] and its place in placed.

    features: (N, D) float32 of unit length.  views: (N, V, D) float16 of unit length, what each view alone would give;
    None where the model sees grids or nothing was indexed, and in an index of a version that did not keep them.
    placed: the features in the model's space; None where those are the features, and in an index of a version that did
    not keep them. All lie in a file that is mapped: what is not looked at takes no memory.
    engine: what computed the latest of them, empty if there never was any.
    """

    origin: Origin
    engine: dict[str, str]
    items: list[Item]
    features: NDArray[np.float32]
    views: NDArray[np.float16] | None = None
    placed: Placed | None = None


def open_index(folder: Path) -> Index:
    """The index in ``folder``, checked against its hashes.

    Raises UsageError if there is none, StoredDataError if it is damaged or from another version.
    """
    try:
        return _open(folder)
    except StoredDataError:
        return _open(folder)  # a publication may have come between the reading of two files


def _open(folder: Path) -> Index:
    require_kind(folder, "index", "To make one: shapecnn index COLLECTION INDEX")
    sealed = open_sealed(folder, REMEDY)
    start_reader()  # it loads while the features are checked
    described = sealed.json(HEADER, FORMAT)
    with sealed.expecting(HEADER):
        header = _Header.from_options(**described)
        origin = Origin.read(header.model, header.settings)
    content = sealed.map(FEATURES)
    with sealed.expecting(FEATURES):
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
                raise ValueError("distinct is neither 0 nor 1")
            placed = Placed(held["gallery"], held["distinct"].view(np.bool_))
        if header.count and not header.feature_size:
            raise ValueError("features are of no numbers")
        for name in held.keys() - {"views", "distinct"}:  # which are scaled when they are searched
            if max(held[name].max(initial=0), -held[name].min(initial=0)) > 1.01:
                raise ValueError("features are not of unit length")
    table = sealed.read(SHAPES)
    with sealed.expecting(SHAPES):
        items = read_table(Item, table, most=header.count)
        if len(items) != header.count or any(one.id >= other.id for one, other in itertools.pairwise(items)):
            raise ValueError("it does not have the shapes of the index in order of id")
    return Index(origin, header.engine, items, features, views, placed)


class _Header(Settings):
    """``index.json``."""

    model: str
    settings: dict[str, Any]
    engine: dict[str, str]
    count: int = Field(ge=0)
    feature_size: int = Field(ge=0)
    views: int = Field(ge=0, le=MOST_VIEWS)  # of each shape; 0: none are kept
    gallery: int = 0  # the version of the space that its places are in; 0: none are kept
    labels: Labels = "auto"


class Made(NamedTuple):
    """What an index is made with.  labels: what the folders of its collection mean, which decides no feature."""

    origin: Origin
    labels: Labels


def made_with(folder: Path) -> Made | None:
    """What the index in ``folder`` is made with, finished or not; None where there is none yet.

    Raises StoredDataError if that is damaged.
    """
    if kind_of(folder) == "index":
        sealed = open_sealed(folder, REMEDY)
        described = sealed.json(HEADER, FORMAT)
        with sealed.expecting(HEADER):
            return _made(described)
    return _begun(folder / WORK)


def _begun(scratch: Path) -> Made | None:
    """What an unfinished index is being made with; None where not a shape of one is done."""
    header, *rows = [record for _, record in itertools.islice(scan_journal(scratch), 2)] or [{}]
    if not rows:
        return None
    try:
        return _made(header)
    except ValueError:
        raise foreign(scratch) from None


def _made(described: Mapping[str, Any]) -> Made:
    """Raises ValueError for what cannot have been written."""
    labels = described.get("labels", "auto")  # which earlier versions did not say
    if labels not in get_args(Labels):
        raise ValueError("its labels are none of those that there are")
    return Made(Origin.read(described.get("model"), described.get("settings")), labels)
