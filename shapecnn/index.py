"""The features of a collection, kept up to date and searched.

An index is three files published as one: ``index.json`` (the model, how it was run, hashes of the other two),
``shapes.parquet`` and ``features.safetensors`` (N, D) float32 of unit length, rows in order of id. FAISS structures are
built from the features when needed and never stored. Features computed by a run that was interrupted wait in a work
folder for the next one.
"""

from __future__ import annotations

import base64
import io
import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapecnn import pool
from shapecnn.collection import Shape, content_hash, list_shapes
from shapecnn.errors import ShapecnnError, StoredDataError, UsageError
from shapecnn.inference import Device, Engine, Feature, ImagenetSettings, Pictures, open_engine
from shapecnn.journal import open_journal, read_journal
from shapecnn.prepare import load_shape
from shapecnn.storage import WORK, exclusive, json_bytes, publish, published, read_json, recover, sha256

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
    """items[i] has features[i].  features: (N, D) float32 of unit length.  engine: what computed them."""

    settings: ImagenetSettings
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
    settings: ImagenetSettings,
    *,
    command: str,
    device: Device = "auto",
    workers: int | None = None,
    timeout: float = pool.TIMEOUT,
    progress: Progress = lambda _done, _total: None,
) -> Changes:
    """Make ``folder`` the index of ``collection``: new and changed meshes are computed, the rest is kept, what is gone
    leaves.

    Raises CollectionError, MismatchError (other settings; ``command`` is what would build it anew) and BusyError before
    any work.
    """
    started = time.monotonic()
    shapes = list_shapes(collection)
    with exclusive(folder):
        recover(folder)
        rebuild = f"To make it anew: rm -r {shlex.quote(str(folder))} && {command}"
        old = open_index(folder) if (folder / HEADER).exists() else None
        if old is not None:
            settings.require_same(old.settings.to_json(), str(folder), rebuild)
        scratch = folder / WORK
        header, _ = read_journal(scratch)
        if header is not None:
            settings.require_same(header, f"The unfinished index in {folder}", rebuild)
        known = _known_features(old, scratch)
        former = {item.id: item.sha256 for item in old.items} if old is not None else {}
        computed = _compute(shapes, known, scratch, settings, device, workers, timeout, progress)
        features = {
            shape_id: feature for shape_id, (sha, feature) in known.items() if computed.hashes.get(shape_id) == sha
        }
        features |= computed.features
        kept = [shape for shape in shapes if shape.id in features]
        items = [Item(s.id, s.label, s.split, computed.hashes[s.id], os.path.abspath(s.path)) for s in kept]
        engine = computed.engine or (old.engine if old is not None else {"engine": "unknown"})
        size = next((len(feature) for feature in features.values()), 0)
        matrix = np.array([features[shape.id] for shape in kept], np.float32).reshape(len(kept), size)
        _publish(folder, Index(settings, engine, items, matrix))
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
    import pyarrow
    import pyarrow.parquet
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not published(folder, HEADER).exists():
        raise UsageError(
            f"There is no index at {folder}. Make one: shapecnn index COLLECTION {shlex.quote(str(folder))}"
        )
    header = read_json(published(folder, HEADER))
    remedy = f"Remove {folder} and index the collection again."
    if not isinstance(header, dict) or header.get("schema_version") != FORMAT:
        raise StoredDataError(f"{folder} is an index of another version. {remedy}")
    try:
        contents = {name: published(folder, name).read_bytes() for name in (SHAPES, FEATURES)}
        for name, content in contents.items():
            if sha256(content) != header["files"][name]:
                raise StoredDataError(f"{folder / name} is not what was written there (its hash differs). {remedy}")
        rows = pyarrow.parquet.read_table(io.BytesIO(contents[SHAPES])).to_pylist()
        items = [Item(**row) for row in rows]
        features = load(contents[FEATURES])["features"]
        stored = {key: value for key, value in header["settings"].items() if key != "hash"}
        settings = ImagenetSettings.from_options(**stored)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException, SafetensorError, UsageError) as error:
        raise StoredDataError(f"{folder} cannot be read as an index ({error}). {remedy}") from None
    if features.dtype != np.float32 or features.ndim != 2 or len(features) != len(items):
        raise StoredDataError(f"{folder} holds {features.shape} features for {len(items)} shapes. {remedy}")
    return Index(settings, header["engine"], items, features)


def search(index: Index, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
    """The k most similar shapes for each query (Q, D) of unit length, by cosine, equal scores by id.

    Scores are rounded to 6 decimals, beyond which they are noise of the arithmetic, so that copies tie.
    """
    import faiss

    if not index.items:
        return [[] for _ in queries]
    flat = faiss.IndexFlatIP(index.features.shape[1])
    flat.add(index.features)
    # A few more than asked, so that a tie at the k-th place is decided by id and not by chance.
    scores, rows = flat.search(np.ascontiguousarray(queries), min(2 * k + 16, len(index.items)))
    answers = []
    for found, similarity in zip(rows, scores.round(6), strict=True):
        order = np.lexsort((found, -similarity))[:k]  # rows are in order of id
        answers.append([Hit(index.items[found[i]], float(similarity[i])) for i in order])
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
    settings: ImagenetSettings
    known_sha: str | None


def _draw(task: _Task) -> tuple[str, Pictures | None]:
    """Runs in a worker: the hash of the mesh file and, unless that is known, its pictures."""
    from shapecnn.views import draw_views

    data = task.shape.read()
    sha = content_hash(task.shape, data)
    if sha == task.known_sha:
        return sha, None
    view_settings = task.settings.view_settings()
    return sha, draw_views(load_shape(task.shape, data, view_settings), view_settings)


def _compute(
    shapes: list[Shape],
    known: dict[str, tuple[str, Feature]],
    scratch: Path,
    settings: ImagenetSettings,
    device: Device,
    workers: int | None,
    timeout: float,
    progress: Progress,
) -> _Computed:
    """Hash every mesh and compute the features of those not known, noting each as it is done."""
    result = _Computed({}, {}, {})
    tasks = (_Task(shape, settings, known[shape.id][0] if shape.id in known else None) for shape in shapes)
    engine: Engine | None = None
    with open_journal(scratch, settings.to_json()) as note:

        def collect() -> None:
            for shape_id, feature in engine.finished() if engine is not None else ():
                result.features[shape_id] = feature
                note(_record(shape_id, result.hashes[shape_id], feature))

        progress(0, len(shapes))
        for done, (task, outcome) in enumerate(pool.run(_draw, tasks, workers=workers, timeout=timeout), start=1):
            shape = task.shape
            if isinstance(outcome, ShapecnnError):
                result.failures[shape.id] = (shape.path, str(outcome))
            else:
                result.hashes[shape.id], pictures = outcome
                if pictures is not None:
                    engine = engine or open_engine(settings, device)
                    engine.start(shape.id, pictures)
            collect()
            progress(done, len(shapes))
        if engine is not None:
            engine.wait()
            collect()
            result.engine = engine.description
    return result


def _known_features(old: Index | None, scratch: Path) -> dict[str, tuple[str, Feature]]:
    """id → (hash, feature) of the published index and of an unfinished run."""
    known: dict[str, tuple[str, Feature]] = {}
    if old is not None:
        known = {item.id: (item.sha256, feature) for item, feature in zip(old.items, old.features, strict=True)}
    _, records = read_journal(scratch)
    known |= {
        record["id"]: (record["sha256"], np.frombuffer(base64.b64decode(record["feature"]), np.float32))
        for record in records
    }
    return known


def _record(shape_id: str, sha: str, feature: Feature) -> dict[str, str]:
    return {"id": shape_id, "sha256": sha, "feature": base64.b64encode(feature.tobytes()).decode()}


def _publish(folder: Path, index: Index) -> None:
    import pyarrow
    import pyarrow.parquet
    from safetensors.numpy import save

    schema = pyarrow.schema([(name, pyarrow.string()) for name in Item.__slots__])
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([asdict(item) for item in index.items], schema), buffer)
    contents = {SHAPES: buffer.getvalue(), FEATURES: save({"features": index.features})}
    header = {
        "schema_version": FORMAT,
        "model": "@imagenet",
        "settings": index.settings.to_json(),
        "engine": index.engine,
        "count": len(index.items),
        "feature_size": index.features.shape[1],
        "files": {name: sha256(content) for name, content in contents.items()},
    }
    publish(folder, {**contents, HEADER: json_bytes(header)})
