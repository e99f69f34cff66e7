"""The features of a collection, kept up to date and searched.

An index is three files published as one: ``index.json`` (what made it, how that was run, hashes of all three),
``shapes.parquet`` and ``features.safetensors`` (N, D) float32 of unit length, rows in order of id. FAISS structures are
built from the features when needed and never stored. Features computed by a run that was interrupted wait in a work
folder for the next one.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn import pool
from shapecnn.collection import Shape, content_hash, list_shapes
from shapecnn.config import Up
from shapecnn.errors import MeshError, ShapecnnError, StoredDataError, UsageError, WorkerError
from shapecnn.inference import Device, Engine, Feature, open_engine, require_device, unit_length
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
    """items[i] has features[i].  features: (N, D) float32 of unit length.  engine: what computed the latest of them,
    empty if there never was any."""

    origin: Origin
    engine: dict[str, str]
    items: list[Item]
    features: NDArray[np.float32]


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


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a query.  score: cosine similarity in [-1, 1]."""

    item: Item
    score: float


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
        known = _known_features(old, records)
        former = {item.id: item.sha256 for item in old.items} if old is not None else {}
        computed = _compute(shapes, known, scratch, model, origin, device, workers, timeout, progress)
        features = {
            shape_id: feature for shape_id, (sha, feature) in known.items() if computed.hashes.get(shape_id) == sha
        }
        features |= computed.features
        kept = [shape for shape in shapes if shape.id in features]
        items = [Item(s.id, s.label, s.split, computed.hashes[s.id], os.path.abspath(s.path)) for s in kept]
        earlier = records[-1]["engine"] if records else old.engine if old is not None else {}
        engine = computed.engine or earlier
        size = next((len(feature) for feature in features.values()), 0)
        matrix = np.array([features[shape.id] for shape in kept], np.float32).reshape(len(kept), size)
        _publish(folder, Index(origin, engine, items, matrix))
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
    return Index(origin, header["engine"], [Item(**row) for row in rows], load(contents[FEATURES])["features"])


def search(index: Index, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
    """The k most similar shapes for each query (Q, D) of unit length, by cosine, equal scores by id.

    Scores are rounded to 6 decimals: what lies beyond is noise of float32.
    """
    import faiss

    if not index.items:
        return [[] for _ in queries]
    queries = np.ascontiguousarray(queries)
    flat = faiss.IndexFlatIP(index.features.shape[1])
    flat.add(index.features)
    worst = flat.search(queries, min(k, len(index.items)))[0][:, -1]
    answers = []
    for query, score in zip(queries, worst, strict=True):
        # All that may tie with the k-th place, scored by one arithmetic: copies tie, and the id decides.
        rows = np.sort(flat.range_search(query[None], float(score) - 1e-5)[2])
        similarity = (index.features[rows].astype(np.float64) * query).sum(axis=1).round(6)
        order = np.argsort(-similarity, kind="stable")[:k]  # rows are in order of id
        answers.append([Hit(index.items[rows[i]], float(similarity[i])) for i in order])
    return answers


@dataclass(slots=True)
class _Computed:
    hashes: dict[str, str]
    features: dict[str, Feature]
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
    known: dict[str, tuple[str, Feature]],
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
        _Task(shape, model.input, origin.up, known[shape.id][0] if shape.id in known else None) for shape in shapes
    )
    engine: Engine | None = None
    with (
        open_journal(scratch, asdict(origin)) as note,
        closing(pool.run(_draw, tasks, workers=workers, timeout=timeout)) as results,
    ):

        def collect(engine: Engine) -> None:
            for shape_id, output in engine.finished():
                feature = unit_length(output.feature)
                result.features[shape_id] = feature
                note(_record(shape_id, result.hashes[shape_id], feature, engine))

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
                        engine = open_engine(model, device)
                        result.engine = engine.description
                    engine.start(shape.id, looks)
            if engine is not None:
                collect(engine)
            progress(done, len(shapes))
        if engine is not None:
            engine.wait()
            collect(engine)
    return result


def _known_features(old: Index | None, records: list[Record]) -> dict[str, tuple[str, Feature]]:
    """id → (hash, feature) of the published index and of an unfinished run."""
    known: dict[str, tuple[str, Feature]] = {}
    if old is not None:
        known = {item.id: (item.sha256, feature) for item, feature in zip(old.items, old.features, strict=True)}
    known |= {
        record["id"]: (record["sha256"], np.frombuffer(base64.b64decode(record["feature"]), np.float32))
        for record in records
    }
    return known


def _record(shape_id: str, sha: str, feature: Feature, engine: Engine) -> Record:
    encoded = base64.b64encode(feature.tobytes()).decode()
    return {"id": shape_id, "sha256": sha, "feature": encoded, "engine": engine.description}


def _publish(folder: Path, index: Index) -> None:
    from safetensors.numpy import save

    contents = {SHAPES: table_bytes(Item, index.items), FEATURES: save({"features": index.features})}
    header = {
        "schema_version": FORMAT,
        **asdict(index.origin),
        "engine": index.engine,
        "count": len(index.items),
        "feature_size": index.features.shape[1],
        "files": {name: sha256(content) for name, content in contents.items()},
    }
    publish(folder, {**contents, HEADER: json_bytes({**header, "hash": _digest(header)})})


def _digest(header: dict[str, Any]) -> str:
    return sha256(json.dumps(header, sort_keys=True).encode())
