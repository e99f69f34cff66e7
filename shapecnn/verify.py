"""Verify stored artefacts (rendered views or voxel grids), runs, indexes and reports: find changed or missing files.

There are three kinds of problem. Missing: a file that shapecnn wrote, or the source of this file, no longer exists.
Corrupt: a file has changed since shapecnn wrote it. Stale: a file is unchanged, but its source has changed since.
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
from shapecnn.meshes.shards import read_part
from shapecnn.models.run import CONFIG, describe_run, open_run
from shapecnn.search.index import read_failures, read_index
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
    """One problem that the verification of a folder found.

    Attributes:
        fault: Kind of problem: ``missing``, ``corrupt`` or ``stale``, as defined in :mod:`shapecnn.verify`.
        path: Path of the file, or id of the shape.
        message: Description of the problem in one sentence.
    """

    fault: Fault
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of verifying one folder.

    Attributes:
        path: Path of the folder.
        kind: Kind of folder: ``artefacts`` (rendered views or voxel grids), ``run``, ``training`` (an unfinished run),
            ``index``, ``report``, ``audit`` or ``comparison``.
        files: Number of files in the folder that have a stored hash.
        findings: All problems found; empty if the folder is good.
    """

    path: str
    kind: str
    files: int
    findings: list[Finding]


def verify(folder: Path, collection: Path | None = None, progress: Progress = no_progress) -> Verification:
    """Verify a folder that shapecnn wrote: compare its files with their hashes, and find changes in its sources.

    Args:
        folder: Folder that holds artefacts (rendered views or voxel grids), a run, an unfinished training, an index
            or a report.
        collection: Collection of meshes that the artefacts or the index were made from. None: the meshes of artefacts
            are not checked, and the meshes of an index are read from their stored paths. The argument has no effect on
            imported artefacts and on other kinds of folder.
        progress: Callback that receives the number of checked files or meshes and the total.

    Returns:
        The kind of folder, the number of files, and all problems. The content and the sources are checked only if every
        file matches its hash.

    Raises:
        UsageError: ``folder`` holds no output of shapecnn.
        CollectionError: The collection cannot be listed.
    """
    kind = stored_kind(folder)
    place = folder / RESUME if kind == "training" else folder
    try:
        sealed = open_sealed(place, "Restore the folder from a copy, or make it again.")
    except StoredDataError as error:
        gone = not published(place, SUMS).exists()
        return Verification(
            str(folder), kind, 0, [Finding("missing" if gone else "corrupt", str(place / SUMS), str(error))]
        )
    sums = sealed.sums
    if sealed.snapshot is not None:
        for name in sums:
            sealed.snapshot.forget(name)  # what is verified is in the object store, not in the cache
    findings: list[Finding] = []
    for done, (name, digest) in enumerate(sorted(sums.items()), start=1):
        findings += _check_file(place, name, digest)
        progress(done, len(sums))
    if not findings:  # a changed file would be reported twice: by its hash and by its content
        try:
            findings = [*_CHECKS[kind](folder, collection, progress)] if kind in _CHECKS else []
        except StoredDataError as error:
            findings = [Finding("corrupt", str(folder), str(error))]
        except MismatchError as error:
            findings = [Finding("stale", str(folder), str(error))]
    return Verification(str(folder), kind, len(sums), findings)


def stored_kind(folder: Path) -> Kind:
    """Return the kind of output that shapecnn wrote to a folder.

    Args:
        folder: Any path.

    Returns:
        The kind, such as ``artefacts``, ``run`` or ``index``.

    Raises:
        UsageError: ``folder`` holds no output of shapecnn.
    """
    kind = kind_of(folder)
    if kind is None:
        problem = "holds no output of shapecnn" if folder.is_dir() else "is not a folder"
        problem = problem if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {problem}. Give the folder of artefacts, a run, an index or a report.")
    return kind


def _check_file(folder: Path, name: str, digest: str) -> Iterator[Finding]:
    """Compare one file with its stored hash; yield a problem if it is missing, unreadable or changed."""
    path = str(folder / name)
    try:
        if sha256_of(published(folder, name)) != digest:
            yield Finding("corrupt", path, f"{printable(path)} has changed since it was written (its hash differs).")
    except StoredDataError as error:  # of an object store
        yield Finding("corrupt", path, str(error))
    except (FileNotFoundError, NotADirectoryError):
        yield Finding("missing", path, f"{printable(path)} does not exist any more.")
    except OSError as error:
        yield Finding("corrupt", path, f"{printable(path)} cannot be read ({error.strerror or error}).")


def _check_artefacts(folder: Path, collection: Path | None, progress: Progress) -> Iterator[Finding]:
    """Yield the problems of artefacts: files without a stored hash, unfinished work, and changed meshes."""
    artefacts = open_artefacts(folder)
    for name in artefacts.files_without_hash():
        yield Finding("missing", name, f"{folder / SUMS} has no hash of {printable(name)}.")
    if (folder / WORK).exists():
        yield Finding("stale", str(folder), f"The command that writes {folder} was interrupted: run it again.")
    if collection is not None:
        if artefacts.settings.get("origin") == "imported":
            return  # imported artefacts were made from pictures or grids, not from meshes
        hashes = {entry.id: entry.sha256 for entry in read_manifest(folder)}
        yield from _check_meshes(hashes, _listed(collection, folder), collection, progress)


def _check_run(folder: Path, _collection: Path | None, _progress: Progress) -> Iterator[Finding]:
    """Yield the problems of a run: a changed config, or a metric that was learned for other weights.

    Raises:
        StoredDataError: The weights, the training features or the metric cannot be read.
        MismatchError: The run was trained by an earlier version of shapecnn, which draws or voxelizes differently.
    """
    run = open_run(folder)
    if run.head is not None:
        run.head.classifier()
        run.head.gallery()
    if run.quantity is not None:
        run.quantity.regressor()
    _, described = describe_run(folder)
    try:
        if load_experiment(str(published(folder, CONFIG))).digest() != described.get("config"):
            yield Finding("stale", CONFIG, f"{folder / CONFIG} differs from the config that the run was trained with.")
    except UsageError as error:
        yield Finding("corrupt", CONFIG, str(error))
    try:
        run.metric()
    except MismatchError as error:
        yield Finding("stale", "metric.json", str(error))


def _check_index(folder: Path, collection: Path | None, progress: Progress) -> Iterator[Finding]:
    """Yield the problems of an index: a changed or missing model, an interrupted command, or changed meshes."""
    index = read_index(folder)
    try:
        index.record.open(folder)
    except MismatchError as error:
        yield Finding("stale", index.record.model, str(error))
    except UsageError as error:
        yield Finding("missing", index.record.model, str(error))
    if (folder / WORK).exists():
        yield Finding("stale", str(folder), f"Indexing into {folder} was interrupted: run shapecnn index again.")
    hashes: dict[str, str | None] = {item.id: item.sha256 for item in index.shapes}
    if collection is None:
        yield from _check_meshes(hashes, {item.id: item.source for item in index.shapes}, None, progress)
    else:
        failed = dict.fromkeys(failure.id for failure in read_failures(folder))
        yield from _check_meshes(failed | hashes, _listed(collection, folder), collection, progress)


def _listed(collection: Path, folder: Path) -> dict[str, Shape]:
    """Return the shapes of a collection by id; if ``folder`` holds a shard, only those of this shard."""
    part = read_part(folder, "Make it again.")
    shapes = list_shapes(collection, labels="none")
    return {shape.id: shape for shape in shapes if part is None or part.shard.holds(shape.id)}


def _check_meshes(
    hashes: Mapping[str, str | None], shapes: Mapping[str, Shape], collection: Path | None, progress: Progress
) -> Iterator[Finding]:
    """Find missing, changed and new meshes.

    ``hashes`` maps the id of each stored shape to the SHA-256 of its mesh, or to None if the mesh could not be read.
    ``shapes`` has the shapes that exist now, by id.
    """
    for done, (name, digest) in enumerate(sorted(hashes.items()), start=1):
        shape = shapes.get(name)
        try:
            if shape is None:
                yield Finding("missing", name, f"{printable(name)} is not in {collection} any more.")
            elif digest is not None and content_hash(shape, shape.source()) != digest:
                yield Finding("stale", name, f"{printable(shape.path)} has changed since shapecnn read it.")
        except MeshError as error:
            if digest is not None and shape is not None:
                yield Finding("missing", name, f"{printable(shape.path)} cannot be read: {error}.")
        progress(done, len(hashes))
    for name in sorted({*shapes} - {*hashes}):
        yield Finding("stale", name, f"{printable(name)} is new in {collection}. Run render, voxelize or index again.")


_CHECKS: dict[str, Callable[[Path, Path | None, Progress], Iterator[Finding]]] = {
    "artefacts": _check_artefacts,
    "run": _check_run,
    "index": _check_index,
}
"""Functions that check the content and the sources of a folder, by kind of folder. Other kinds need no such check."""
