"""The features of a collection, kept up to date.

An index is three files published as one: ``index.json`` (what made it, how that was run, hashes of all three),
``shapes.parquet`` and ``features.safetensors``, rows in order of id: ``features`` (N, D) float32 and, where the model
sees pictures, ``views`` (N, V, D) float16, each of unit length. Features computed by a run that was interrupted wait in
a work folder for the next one.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn import pool
from shapecnn.collection import Shape, content_hash, list_shapes
from shapecnn.config import Up
from shapecnn.errors import MeshError, ShapecnnError, StoredDataError, UsageError, WorkerError
from shapecnn.features import Feature, Output
from shapecnn.inference import Device, Engine, open_engine, require_device
from shapecnn.inputs import Input, Looks
from shapecnn.journal import Record, open_journal, read_journal
from shapecnn.models import Model
from shapecnn.origin import Origin
from shapecnn.prepare import load_shape
from shapecnn.storage import (
    WORK,
    exclusive,
    json_bytes,
    publish,
    published,
    read_json,
    recover,
    require_room_for,
    sha256,
    table_bytes,
)

Progress = Callable[[int, int], None]

FORMAT = 1
HEADER, SHAPES, FEATURES = "index.json", "shapes.parquet", "features.safetensors"


@dataclass(frozen=True, slots=True)
class Item:
    """One indexed shape.  path: where its mesh file was when it was indexed, absolute."""

    id: str
    label: str | None
    split: str | None
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Index:
    """items[i] has features[i] and views[i].

    features: (N, D) float32 of unit length.  views: (N, V, D) float16 of unit length, what each view alone would give;
    None where the model sees grids or nothing was indexed, and in an index of a version that did not keep them.
    engine: what computed the latest of them, empty if there never was any.
    """

    origin: Origin
    engine: dict[str, str]
    items: list[Item]
    features: NDArray[np.float32]
    views: NDArray[np.float16] | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update did.  failures: (path, one sentence), by id."""

    added: int
    updated: int
    unchanged: int
    removed: int
    total: int
    seconds: float
    failures: list[tuple[str, str]]


def update_index(
    collection: Path,
    folder: Path,
    model: Model,
    *,
    command: str,
    up: Up = "z",
    device: Device = "auto",
    workers: int | None = None,
    timeout: float = pool.TIMEOUT,
    progress: Progress = lambda _done, _total: None,
) -> Changes:
    """Make ``folder`` the index of ``collection``: new and changed meshes are computed, the rest is kept, what is gone
    leaves.

    up: which axis is up in the meshes; @imagenet has it in its settings.

    Raises CollectionError, MismatchError (another model or other settings; ``command`` is what would build it anew),
    UsageError (no such device) and BusyError before any work.
    """
    started = time.monotonic()
    require_device(device)
    shapes = list_shapes(collection)
    origin = Origin.of(model, up)
    require_room_for(HEADER, folder)
    with exclusive(folder):
        recover(folder)
        rebuild = f"To make it anew: rm -r {shlex.quote(str(folder))} && {command}"
        old = open_index(folder) if (folder / HEADER).exists() else None
        if old is not None:
            origin.require(old.origin, str(folder), rebuild)
        scratch = folder / WORK
        header, records = read_journal(scratch)
        if header is not None and records:
            origin.require(Origin(**header), f"The unfinished index in {folder}", rebuild)
        known = _known(old, records, model.input.kind == "views")
        former = {item.id: item.sha256 for item in old.items} if old is not None else {}
        computed = _compute(shapes, known, scratch, model, origin, device, workers, timeout, progress)
        rows = {shape_id: row for shape_id, row in known.items() if computed.hashes.get(shape_id) == row.sha256}
        rows |= computed.rows
        kept = [shape for shape in shapes if shape.id in rows]
        items = [Item(s.id, s.label, s.split, computed.hashes[s.id], os.path.abspath(s.path)) for s in kept]
        earlier = records[-1]["engine"] if records else old.engine if old is not None else {}
        engine = computed.engine or earlier
        features = np.array([rows[shape.id].feature for shape in kept], np.float32).reshape(
            len(kept), -1 if kept else 0
        )
        views = [row.views for shape in kept if (row := rows[shape.id]).views is not None]
        _publish(folder, Index(origin, engine, items, features, np.stack(views) if views else None))
        shutil.rmtree(scratch, ignore_errors=True)
    now = {item.id: item.sha256 for item in items}
    return Changes(
        added=sum(i not in former for i in now),
        updated=sum(former.get(i, sha) != sha for i, sha in now.items()),
        unchanged=sum(former.get(i) == sha for i, sha in now.items()),
        removed=sum(i not in now for i in former),
        total=len(items),
        seconds=time.monotonic() - started,
        failures=[computed.failures[i] for i in sorted(computed.failures)],
    )


def open_index(folder: Path) -> Index:
    """The index in ``folder``, checked against its hashes.

    Raises UsageError if there is none, StoredDataError if it is damaged or from another version.
    """
    try:
        return _open(folder)
    except StoredDataError:
        return _open(folder)  # a publication may have come between the reading of two files


def _open(folder: Path) -> Index:
    import pyarrow.parquet
    from safetensors.numpy import load

    if not any(published(folder, name).exists() for name in (HEADER, SHAPES, FEATURES)):
        raise UsageError(
            f"There is no index at {folder}. Make one: shapecnn index COLLECTION {shlex.quote(str(folder))}"
        )
    remedy = f"Remove {folder} and index the collection again."
    header = read_json(published(folder, HEADER))
    if not isinstance(header, dict) or header.get("schema_version") != FORMAT:
        raise StoredDataError(f"{folder / HEADER} is of another version. {remedy}")
    if header.pop("hash", None) != _digest(header):
        raise StoredDataError(f"{folder / HEADER} is not what was written there (its hash differs). {remedy}")
    contents = {}
    for name in (SHAPES, FEATURES):
        try:
            contents[name] = published(folder, name).read_bytes()
        except OSError as error:
            raise StoredDataError(f"{folder / name} cannot be read ({error.strerror}). {remedy}") from None
        if sha256(contents[name]) != header["files"][name]:
            raise StoredDataError(f"{folder / name} is not what was written there (its hash differs). {remedy}")
    rows = pyarrow.parquet.read_table(io.BytesIO(contents[SHAPES])).to_pylist()
    origin = Origin(header["model"], header["settings"])
    tensors = load(contents[FEATURES])
    return Index(origin, header["engine"], [Item(**row) for row in rows], tensors["features"], tensors.get("views"))


class _Row(NamedTuple):
    """What is kept of a shape.  views: (V, D), None for a network that sees grids."""

    sha256: str
    feature: Feature
    views: NDArray[np.float16] | None


@dataclass(slots=True)
class _Computed:
    hashes: dict[str, str]
    rows: dict[str, _Row]
    failures: dict[str, tuple[str, str]]
    engine: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    seen: Input
    up: Up
    known_sha: str | None


def _draw(task: _Task) -> tuple[str, Looks | None]:
    """Runs in a worker: the hash of the mesh file and, unless that is known, its pictures or grids."""
    data = task.shape.read()
    sha = content_hash(task.shape, data)
    if sha == task.known_sha:
        return sha, None
    return sha, task.seen.draw(load_shape(task.shape, data, task.seen.drawing(task.up)))


def _compute(
    shapes: list[Shape],
    known: dict[str, _Row],
    scratch: Path,
    model: Model,
    origin: Origin,
    device: Device,
    workers: int | None,
    timeout: float,
    progress: Progress,
) -> _Computed:
    """Hash every mesh and compute the features of those not known, noting each as it is done."""
    result = _Computed({}, {}, {})
    tasks = (
        _Task(shape, model.input, origin.up, known[shape.id].sha256 if shape.id in known else None) for shape in shapes
    )
    engine: Engine | None = None
    with (
        open_journal(scratch, asdict(origin)) as note,
        closing(pool.run(_draw, tasks, workers=workers, timeout=timeout)) as results,
    ):

        def collect(engine: Engine) -> None:
            for shape_id, output in engine.finished():
                row = result.rows[shape_id] = _row(result.hashes[shape_id], output, model)
                note(_record(shape_id, row, engine))

        progress(0, len(shapes))
        for done, (task, outcome) in enumerate(results, start=1):
            shape = task.shape
            if isinstance(outcome, MeshError | WorkerError):
                result.failures[shape.id] = (shape.path, str(outcome))
            elif isinstance(outcome, ShapecnnError):  # not of this mesh, such as a missing library
                raise outcome
            else:
                result.hashes[shape.id], looks = outcome
                if looks is not None:
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


def _row(sha: str, output: Output, model: Model) -> _Row:
    if output.views is None:
        return _Row(sha, model.represent(output), None)
    alone = [model.represent(Output(view, None)) for view in output.views]
    return _Row(sha, model.represent(output), np.array(alone, np.float16))


def _known(old: Index | None, records: list[Record], views: bool) -> dict[str, _Row]:
    """Rows of the published index and of an unfinished run by id; with ``views`` only those that have them."""
    known: dict[str, _Row] = {}
    if old is not None:
        alone = old.views if old.views is not None else [None] * len(old.items)
        rows = zip(old.items, old.features, alone, strict=True)
        known = {item.id: _Row(item.sha256, feature, each) for item, feature, each in rows}
    known |= {
        record["id"]: _Row(record["sha256"], _decoded(record["feature"], np.float32), _decoded_views(record))
        for record in records
    }
    return {shape_id: row for shape_id, row in known.items() if not views or row.views is not None}


def _record(shape_id: str, row: _Row, engine: Engine) -> Record:
    return {
        "id": shape_id,
        "sha256": row.sha256,
        "feature": _encoded(row.feature),
        "views": None if row.views is None else [_encoded(view) for view in row.views],
        "engine": engine.description,
    }


def _encoded(feature: NDArray[Any]) -> str:
    return base64.b64encode(feature.tobytes()).decode()


def _decoded(text: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def _decoded_views(record: Record) -> NDArray[np.float16] | None:
    views = record.get("views")  # a run of a version that kept none
    return None if views is None else np.stack([_decoded(view, np.float16) for view in views])


def _publish(folder: Path, index: Index) -> None:
    from safetensors.numpy import save

    tensors = {"features": index.features} | ({} if index.views is None else {"views": index.views})
    contents = {SHAPES: table_bytes(Item, index.items), FEATURES: save(tensors)}
    header = {
        "schema_version": FORMAT,
        **asdict(index.origin),
        "engine": index.engine,
        "count": len(index.items),
        "feature_size": index.features.shape[1],
        "views": 0 if index.views is None else index.views.shape[1],
        "files": {name: sha256(content) for name, content in contents.items()},
    }
    publish(folder, {**contents, HEADER: json_bytes({**header, "hash": _digest(header)})})


def _digest(header: dict[str, Any]) -> str:
    return sha256(json.dumps(header, sort_keys=True).encode())
