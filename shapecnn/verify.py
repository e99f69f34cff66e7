"""Verification of stored artefacts, runs, indexes and reports against their hashes and against their sources.

Missing: a published file, or a source, no longer exists. Corrupt: a file is not as it was written. Stale: the files are
as they were written, but their source has changed since.
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
from shapecnn.storage.publishing import published
from shapecnn.storage.reading import sha256_of
from shapecnn.storage.sealed import open_sealed, printable
from shapecnn.storage.unfinished import RESUME, WORK
from shapecnn.workers.progress import Progress, no_progress

Fault = Literal["missing", "corrupt", "stale"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        fault: ``missing``, ``corrupt`` or ``stale``.
        path: Path of the file, or id of the shape.
        message: The problem in one sentence.
    """

    fault: Fault
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of verifying one folder.

    Attributes:
        path: Path of the folder.
        kind: What it holds: ``artefacts``, ``run``, ``training`` (an unfinished run), ``index``, ``report``, ``audit``
            or ``comparison``.
        files: Number of hashed files.
        findings: All problems.
    """

    path: str
    kind: str
    files: int
    findings: list[Finding]


def verify(folder: Path, collection: Path | None = None, progress: Progress = no_progress) -> Verification:
    """Verify one folder.

    Args:
        folder: Artefacts, a run, an unfinished training, an index or a report.
        collection: Meshes that artefacts or an index were made from; None skips this check for artefacts, and uses the
            paths in an index. It is ignored for other folders, and for imported artefacts.
        progress: Called with the number of checked files or meshes and their total.

    Returns:
        The problems. The content and the sources are checked only if all files are as they were written.

    Raises:
        UsageError: shapecnn made nothing in ``folder``.
        CollectionError: The collection cannot be listed.
    """
    kind = stored_kind(folder)
    place = folder / RESUME if kind == "training" else folder
    try:
        sums = open_sealed(place, "Put it back from a copy, or make it again.").sums
    except StoredDataError as error:
        gone = not published(place, SUMS).exists()
        return Verification(
            str(folder), kind, 0, [Finding("missing" if gone else "corrupt", str(place / SUMS), str(error))]
        )
    findings: list[Finding] = []
    for done, (name, digest) in enumerate(sorted(sums.items()), start=1):
        findings += _check_file(place, name, digest)
        progress(done, len(sums))
    if not findings:  # otherwise reading the content would report the same files again
        try:
            findings = [*_CHECKS[kind](folder, collection, progress)] if kind in _CHECKS else []
        except StoredDataError as error:
            findings = [Finding("corrupt", str(folder), str(error))]
        except MismatchError as error:
            findings = [Finding("stale", str(folder), str(error))]
    return Verification(str(folder), kind, len(sums), findings)


def stored_kind(folder: Path) -> Kind:
    """Return the kind of a folder.

    Args:
        folder: Any path.

    Returns:
        What shapecnn made there.

    Raises:
        UsageError: shapecnn made nothing there.
    """
    kind = kind_of(folder)
    if kind is None:
        problem = "holds nothing that shapecnn made" if folder.is_dir() else "is not a folder"
        problem = problem if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {problem}: give artefacts, a run, an index or a report.")
    return kind


def _check_file(folder: Path, name: str, digest: str) -> Iterator[Finding]:
    """Compare one file with its hash."""
    path = str(folder / name)
    try:
        if sha256_of(published(folder, name)) != digest:
            yield Finding("corrupt", path, f"{printable(path)} has changed since it was written (its hash differs).")
    except (FileNotFoundError, NotADirectoryError):
        yield Finding("missing", path, f"{printable(path)} is gone.")
    except OSError as error:
        yield Finding("corrupt", path, f"{printable(path)} cannot be read ({error.strerror or error}).")


def _check_artefacts(folder: Path, collection: Path | None, progress: Progress) -> Iterator[Finding]:
    """Check an artefact folder: hashes, unfinished work, and the meshes of ``collection``."""
    artefacts = open_artefacts(folder)
    for name in artefacts.files_without_hash():
        yield Finding("missing", name, f"{folder / SUMS} has no hash of {printable(name)}.")
    if (folder / WORK).exists():
        yield Finding("stale", str(folder), f"Work on {folder} was interrupted: run its command once more.")
    if collection is not None:
        if artefacts.settings.get("origin") == "imported":
            return  # their sources are pictures or grids, not meshes
        hashes = {entry.id: entry.sha256 for entry in read_manifest(folder)}
        yield from _check_meshes(hashes, _listed(collection), collection, progress)


def _check_run(folder: Path, _collection: Path | None, _progress: Progress) -> Iterator[Finding]:
    """Check a run: weights, gallery, configuration and metric."""
    run = open_run(folder)
    run.head.classifier()
    run.head.gallery()
    _, described = describe_run(folder)
    try:
        if load_experiment(str(folder / CONFIG)).digest() != described.get("config"):
            yield Finding("stale", CONFIG, f"{folder / CONFIG} is not the experiment that the run was trained with.")
    except UsageError as error:
        yield Finding("corrupt", CONFIG, str(error))
    try:
        read_metric(folder, run.network.weights, run.head.feature_size)
    except MismatchError as error:
        yield Finding("stale", "metric.json", str(error))


def _check_index(folder: Path, collection: Path | None, progress: Progress) -> Iterator[Finding]:
    """Check an index: its model, unfinished work, and its meshes."""
    index = read_index(folder)
    try:
        index.record.open(folder)
    except MismatchError as error:
        yield Finding("stale", index.record.model, str(error))
    except UsageError as error:
        yield Finding("missing", index.record.model, str(error))
    if (folder / WORK).exists():
        yield Finding("stale", str(folder), f"Work on {folder} was interrupted: index the collection once more.")
    hashes: dict[str, str | None] = {item.id: item.sha256 for item in index.shapes}
    if collection is None:
        yield from _check_meshes(hashes, {item.id: item.source for item in index.shapes}, None, progress)
    else:
        yield from _check_meshes(hashes, _listed(collection), collection, progress)


def _listed(collection: Path) -> dict[str, Shape]:
    """List the meshes of a collection by id."""
    return {shape.id: shape for shape in list_shapes(collection, labels="none")}


def _check_meshes(
    hashes: Mapping[str, str | None], shapes: Mapping[str, Shape], collection: Path | None, progress: Progress
) -> Iterator[Finding]:
    """Find meshes that are gone, changed or new. ``hashes``: SHA-256 by id; None for a mesh that could not be read."""
    for done, (name, digest) in enumerate(sorted(hashes.items()), start=1):
        shape = shapes.get(name)
        try:
            if shape is None:
                yield Finding("missing", name, f"{printable(name)} is gone from {collection}.")
            elif digest is not None and content_hash(shape, shape.source()) != digest:
                yield Finding("stale", name, f"{printable(shape.path)} has changed since.")
        except MeshError as error:
            if digest is not None and shape is not None:
                yield Finding("missing", name, f"{printable(shape.path)} cannot be read: {error}.")
        progress(done, len(hashes))
    for name in sorted({*shapes} - {*hashes}):
        yield Finding("stale", name, f"{printable(name)} is new in {collection}.")


_CHECKS: dict[str, Callable[[Path, Path | None, Progress], Iterator[Finding]]] = {
    "artefacts": _check_artefacts,
    "run": _check_run,
    "index": _check_index,
}
"""Check of the content and the sources for each kind of folder."""
