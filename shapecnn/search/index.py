"""The features of a collection, kept up to date.

An index is four files published as one, with their hashes: ``index.json`` (what made it, how that was run),
``failures.parquet`` (what could not be used), ``shapes.parquet`` and ``features.safetensors``, rows in order of id:
``features`` (N, D) float32; where they are compared in a space made of all of them, ``gallery`` (N, D) float32, their
places in it, and ``distinct`` (N,) uint8, 1 for what is a copy of none before it; and where the model sees pictures,
``views`` (N, V, D) float16; all but ``distinct`` of unit length. Features computed by a run that was interrupted wait
in a work folder for the next one.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shapecnn.artefacts.prepare import load_shape
from shapecnn.errors import ItemError, MismatchError, StoredDataError
from shapecnn.meshes.collection import (
    ContentKey,
    Say,
    Shape,
    content_hash,
    content_key,
    find_printed,
    list_shapes,
    silent,
)
from shapecnn.meshes.labels import Labels
from shapecnn.models.engine import Device, Engine, open_engine, require_device
from shapecnn.models.features import Output
from shapecnn.models.input import Input, Looks
from shapecnn.models.model import ImagenetSettings, Model
from shapecnn.models.space import VERSION, Placed
from shapecnn.networks.weights import OFFLINE
from shapecnn.search.origin import Origin
from shapecnn.search.rows import Kept, Row, foreign, note_row, noted_rows, write_rows
from shapecnn.settings.core import MOST_VIEWS, Settings, Up, ViewSettings, VoxelSettings
from shapecnn.storage.arrays import require_numbers
from shapecnn.storage.journal import Record, open_journal, scan_journal
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.own import require_own, require_unchanged, start_anew
from shapecnn.storage.publishing import (
    WORK,
    discard,
    exclusive,
    json_bytes,
    publish,
    written,
)
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import read_table, table_bytes
from shapecnn.storage.tensors import Kind, view_tensors
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers

Progress = Callable[[int, int], None]

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


class Made(NamedTuple):
    """What an index is made with.  labels: what the folders of its collection mean, which decides no feature."""

    origin: Origin
    labels: Labels


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
    progress: Progress = lambda _done, _total: None,
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
            engine = _opened_first(model, device)  # now that nothing is left to be refused, the old index may go
            start_anew(folder)
            old = None
        else:
            begun = old is not None or os.path.lexists(scratch)  # perhaps nothing is left to compute
            engine = None if begun else _opened_first(model, device)
        earlier = old.items if old is not None else ()
        former = {item.id: item.sha256 for item in earlier}
        named = {item.id: (item.label, item.split) for item in earlier}
        with open_journal(scratch, {**asdict(origin), "labels": labels}) as note:
            known, described = _known(old, scratch, model.input.kind == "views")
            computed = _compute(
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


def _require_same(folder: Path, origin: Origin, old: Index | None, rebuild: str) -> None:
    """Raise MismatchError if ``folder`` holds an index, or the beginning of one, of another origin."""
    if old is not None:
        origin.require(old.origin, str(folder), rebuild)
    unfinished = _begun(folder / WORK)
    if unfinished is not None:
        origin.require(unfinished.origin, f"The unfinished index in {folder}", rebuild)


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
        held = view_tensors(content, kinds)
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


@dataclass(slots=True)
class _Computed:
    """By id.  rows: of the shapes that can be used, known and new ones."""

    hashes: dict[str, str]
    rows: dict[str, Kept]
    failures: dict[str, tuple[str, str]]
    engine: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    seen: Input
    settings: ViewSettings | VoxelSettings
    max_faces: int | None


def _draw(known: frozenset[ContentKey], task: _Task) -> tuple[str, Looks | None]:
    """Runs in a worker: the hash of the mesh file and, unless its content is known, its pictures or grids."""
    data = task.shape.source()
    sha = content_hash(task.shape, data)
    if content_key(task.shape.id, sha) in known:
        return sha, None
    return sha, task.seen.draw(load_shape(task.shape, data, task.settings, task.max_faces))


def _compute(
    shapes: list[Shape],
    known: dict[str, Kept],
    scratch: Path,
    note: Callable[[Record], int],
    model: Model,
    origin: Origin,
    max_faces: int | None,
    device: Device,
    workers: Workers,
    progress: Progress,
    engine: Engine | None,
) -> _Computed:
    """Hash every mesh and compute the features of those whose content is not known, under whatever id, noting each as
    it is done.  engine: one that is open already."""
    result = _Computed({}, {}, {})
    settings = model.input.drawing(origin.up, origin.simplify)
    tasks = (_Task(shape, model.input, settings, max_faces) for shape in shapes)
    contents = {content_key(shape_id, kept.sha256): kept for shape_id, kept in known.items()}
    with closing(pool.run(partial(_draw, frozenset(contents)), tasks, workers)) as results:

        def collect(engine: Engine) -> None:
            for shape_id, output in engine.finished():
                row, sha = _row(output, model), result.hashes[shape_id]
                result.rows[shape_id] = note_row(note, scratch, shape_id, sha, row, engine.description)

        progress(0, len(shapes))
        for done, (task, outcome) in enumerate(results, start=1):
            shape = task.shape
            if isinstance(outcome, ItemError):
                result.failures[shape.id] = (shape.path, str(outcome))
            else:
                result.hashes[shape.id], looks = outcome
                if looks is None:
                    sha, own = result.hashes[shape.id], known.get(shape.id)
                    if own is None or own.sha256 != sha:  # else its own, for another engine may have seen a copy
                        own = contents[content_key(shape.id, sha)]
                    result.rows[shape.id] = own
                else:
                    if engine is None:
                        engine = open_engine(model, device, views=model.input.kind == "views")
                    result.engine = engine.description
                    engine.start(shape.id, looks)
            if engine is not None:
                collect(engine)
            progress(done, len(shapes))
        if engine is not None:
            engine.wait()
            collect(engine)
    return result


def _opened_first(model: Model, device: Device) -> Engine | None:
    """The engine of a new index, where its weights are not at hand as a Python package: that there is no such backbone,
    or that weights are fetched or cannot be had, is told before any mesh is read. Else it is opened while they are."""
    if not isinstance(model, ImagenetSettings):
        return None
    package = OFFLINE.get(model.backbone)
    if package is not None and importlib.util.find_spec(package.module) is not None:
        return None
    return open_engine(model, device, views=True)


def _row(output: Output, model: Model) -> Row:
    if output.views is None:
        return Row(model.represent(output), None)
    alone = [model.represent(Output(view, None)) for view in output.views]
    return Row(model.represent(output), np.array(alone, np.float16))


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
    if not (model.adapt and rows):
        return None
    try:
        features = np.stack([row.read().feature for row in rows])
    except ValueError:  # rows of unlike lengths
        raise foreign(scratch) from None
    known = old.placed if old is not None and np.array_equal(features, old.features) else None
    return model.space(features, known).placed


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
