"""What is stored, held against its hashes and against what it was made from: what is missing, corrupt or stale.

Missing is a file that was published, or made from, and is gone. Corrupt is one that is not what was written. Stale is
what is as it was written while what it was made from has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shapecnn.artefacts.manifest import read_manifest
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.errors import MeshError, MismatchError, StoredDataError, UsageError
from shapecnn.meshes.collection import Shape, content_hash, list_shapes
from shapecnn.models.metric import read_metric
from shapecnn.models.run import CONFIG, describe_run, open_run
from shapecnn.search.index import read_index
from shapecnn.settings.experiment import load_experiment
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.kinds import Kind, kind_of
from shapecnn.storage.publishing import RESUME, WORK, published
from shapecnn.storage.reading import sha256_of
from shapecnn.storage.sealed import open_sealed, told
from shapecnn.workers.progress import Progress, no_progress

Fault = Literal["missing", "corrupt", "stale"]


@dataclass(frozen=True, slots=True)
class Finding:
    """path: the file, or the id of the shape, that is concerned.  message: one sentence."""

    fault: Fault
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Verified:
    """kind: artefacts, run, training (an unfinished one), index, report, …  files: how many were hashed."""

    path: str
    kind: str
    files: int
    findings: list[Finding]


def verify(folder: Path, collection: Path | None = None, progress: Progress = no_progress) -> Verified:
    """Look through one folder.

    collection: the meshes that artefacts were made from; an index knows where its own were, and what was not made from
    meshes is not held against any.  Raises UsageError if there is nothing that shapecnn made, CollectionError if there
    is no such collection.
    """
    kind = require_known(folder)
    place = folder / RESUME if kind == "training" else folder
    try:
        sums = open_sealed(place, "Put it back from a copy, or make it again.").sums
    except StoredDataError as error:
        gone = not published(place, SUMS).exists()
        return Verified(
            str(folder), kind, 0, [Finding("missing" if gone else "corrupt", str(place / SUMS), str(error))]
        )
    findings: list[Finding] = []
    for done, (name, digest) in enumerate(sorted(sums.items()), start=1):
        findings += _altered(place, name, digest)
        progress(done, len(sums))
    if not findings:  # else what is told of the content would tell the same again
        try:
            findings = [*_LOOKS[kind](folder, collection, progress)] if kind in _LOOKS else []
        except StoredDataError as error:
            findings = [Finding("corrupt", str(folder), str(error))]
        except MismatchError as error:
            findings = [Finding("stale", str(folder), str(error))]
    return Verified(str(folder), kind, len(sums), findings)


def require_known(folder: Path) -> Kind:
    """What kind of thing shapecnn made in ``folder``.  Raises UsageError if it made nothing there."""
    kind = kind_of(folder)
    if kind is None:
        found = "holds nothing that shapecnn made" if folder.is_dir() else "is not a folder"
        found = found if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {found}: give artefacts, a run, an index or a report.")
    return kind


def _altered(folder: Path, name: str, digest: str) -> Iterator[Finding]:
    path = str(folder / name)
    try:
        if sha256_of(published(folder, name)) != digest:
            yield Finding("corrupt", path, f"{told(path)} is not what was written there (its hash differs).")
    except (FileNotFoundError, NotADirectoryError):
        yield Finding("missing", path, f"{told(path)} is gone.")
    except OSError as error:
        yield Finding("corrupt", path, f"{told(path)} cannot be read ({error.strerror or error}).")


def _artefacts(folder: Path, collection: Path | None, progress: Progress) -> Iterator[Finding]:
    artefacts = open_artefacts(folder)
    for name in artefacts.unlisted():
        yield Finding("missing", name, f"{folder / SUMS} has no hash of {told(name)}.")
    if (folder / WORK).exists():
        yield Finding("stale", str(folder), f"Work on {folder} was interrupted: run its command once more.")
    if collection is not None:
        if artefacts.settings.get("origin") == "imported":
            return  # from what others made of meshes, which a collection does not hold
        known = {entry.id: entry.sha256 for entry in read_manifest(folder)}
        yield from _changed(known, _listed(collection), collection, progress)


def _run(folder: Path, _collection: Path | None, _progress: Progress) -> Iterator[Finding]:
    run = open_run(folder)
    run.head.classifier()
    run.head.gallery()
    _, described = describe_run(folder)
    try:
        if load_experiment(str(folder / CONFIG)).digest() != described.get("config"):
            yield Finding("stale", CONFIG, f"{folder / CONFIG} is not the experiment that the run was trained by.")
    except UsageError as error:
        yield Finding("corrupt", CONFIG, str(error))
    try:
        read_metric(folder, run.network.weights, run.head.feature_size)
    except MismatchError as error:
        yield Finding("stale", "metric.json", str(error))


def _index(folder: Path, collection: Path | None, progress: Progress) -> Iterator[Finding]:
    index = read_index(folder)
    try:
        index.record.open(folder)
    except MismatchError as error:
        yield Finding("stale", index.record.model, str(error))
    except UsageError as error:
        yield Finding("missing", index.record.model, str(error))
    if (folder / WORK).exists():
        yield Finding("stale", str(folder), f"Work on {folder} was interrupted: index the collection once more.")
    known: dict[str, str | None] = {item.id: item.sha256 for item in index.shapes}
    if collection is None:
        yield from _changed(known, {item.id: item.source for item in index.shapes}, None, progress)
    else:
        yield from _changed(known, _listed(collection), collection, progress)


def _listed(collection: Path) -> dict[str, Shape]:
    """By id, which no label changes."""
    return {shape.id: shape for shape in list_shapes(collection, labels="none")}


def _changed(
    known: Mapping[str, str | None], shapes: Mapping[str, Shape], collection: Path | None, progress: Progress
) -> Iterator[Finding]:
    """Meshes that are gone, others now, or new.  known: SHA-256 by id, None of what could not be read."""
    for done, (name, digest) in enumerate(sorted(known.items()), start=1):
        shape = shapes.get(name)
        try:
            if shape is None:
                yield Finding("missing", name, f"{told(name)} is gone from {collection}.")
            elif digest is not None and content_hash(shape, shape.source()) != digest:
                yield Finding("stale", name, f"{told(shape.path)} has changed since.")
        except MeshError as error:
            if digest is not None and shape is not None:
                yield Finding("missing", name, f"{told(shape.path)} cannot be read: {error}.")
        progress(done, len(known))
    for name in sorted({*shapes} - {*known}):
        yield Finding("stale", name, f"{told(name)} is new in {collection}.")


_LOOKS: dict[str, Callable[[Path, Path | None, Progress], Iterator[Finding]]] = {
    "artefacts": _artefacts,
    "run": _run,
    "index": _index,
}
"""What is looked at once all files are as they were written."""
