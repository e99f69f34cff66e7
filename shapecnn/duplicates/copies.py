"""Copies of shapes: with the same content, or with the same geometry.

Content: the source files, or the artefacts, are identical to the last bit. Geometry, which includes content: the
signatures are close; they do not depend on order, position, size, quarter turns or mirroring.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.duplicates.groups import Grouping, expand_grouping, group_by_distance, group_by_key, merge_groupings
from shapecnn.duplicates.signatures import INPUT_TOLERANCE, Signature, input_signature, mesh_signature
from shapecnn.errors import ItemError, MeshError
from shapecnn.meshes.collection import Shape, content_hash
from shapecnn.meshes.mesh import read_mesh, upright
from shapecnn.settings.artefacts import Up
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


class Fingerprint(NamedTuple):
    """Data by which a shape is compared with others; None for a value that could not be computed.

    Attributes:
        sha256: SHA-256 (hex) of its source file.
        digest: SHA-256 (hex) of its artefacts.
        signature: (D,) float32; see :mod:`shapecnn.duplicates.signatures`.
        total: Number of its pictures or grids; 0 for a mesh.
        blank: Number of its blank pictures or empty grids.
    """

    sha256: str | None
    digest: str | None
    signature: Signature | None
    total: int = 0
    blank: int = 0


@dataclass(frozen=True, slots=True)
class Copies:
    """Groupings of N shapes.

    Attributes:
        content: (N,) int64, groups of the same content.
        geometry: (N,) int64, groups of the same geometry or content.
    """

    content: Grouping
    geometry: Grouping


def find_copies(fingerprints: Sequence[Fingerprint], tolerance: float, progress: Progress = no_progress) -> Copies:
    """Group shapes by content and geometry.

    Args:
        fingerprints: Fingerprints of N shapes.
        tolerance: Largest distance between signatures of the same geometry.
        progress: Called with the number of compared blocks of signatures and their total.

    Returns:
        The groupings.
    """
    content = merge_groupings(
        group_by_key([f.sha256 for f in fingerprints]), group_by_key([f.digest for f in fingerprints])
    )
    rows = [row for row, fingerprint in enumerate(fingerprints) if fingerprint.signature is not None]
    signatures = [f.signature for f in fingerprints if f.signature is not None]
    if not rows:
        return Copies(content, content)
    near, _ = group_by_distance(np.stack(signatures), tolerance, progress)
    return Copies(content, merge_groupings(content, expand_grouping(near, rows, len(fingerprints))))


def artefact_fingerprints(
    artefacts: Artefacts, entries: Sequence[Entry], progress: Progress, workers: Workers = ONE_A_CORE
) -> list[Fingerprint]:
    """Compute the fingerprints of artefacts.

    Args:
        artefacts: The artefacts.
        entries: Rows of their manifest; for failed rows only the hash of the source is set.
        progress: Called with the number of finished rows and their total.
        workers: Number of threads.

    Returns:
        One fingerprint for each row, in the same order.

    Raises:
        StoredDataError: Artefacts are missing or damaged.
    """

    def fingerprint(entry: Entry) -> Fingerprint:
        if entry.status == "failed":
            return Fingerprint(entry.sha256, None, None)
        if artefacts.settings["kind"] == "views":
            pictures = artefacts.pictures(entry)
            blank = (pictures == 255).all(axis=(1, 2))
            signature = input_signature(pictures)
        else:
            grids = artefacts.grids(entry)
            blank = ~grids.any(axis=(1, 2, 3))
            signature = input_signature(grids)
        return Fingerprint(entry.sha256, artefacts.digest(entry), signature, len(blank), int(blank.sum()))

    fingerprints: list[Fingerprint] = []
    # Threads suffice: decoding and matrix products release the interpreter's lock.
    threads = ThreadPoolExecutor(workers.count or pool.available_cores())
    try:
        for one in threads.map(fingerprint, entries):
            fingerprints.append(one)
            progress(len(fingerprints), len(entries))
    finally:
        threads.shutdown(cancel_futures=True)
    return fingerprints


def mesh_fingerprints(
    shapes: Sequence[Shape], up: Up, progress: Progress, workers: Workers = ONE_A_CORE
) -> tuple[list[Entry], list[Fingerprint]]:
    """Compute the fingerprints of the meshes of a collection.

    Args:
        shapes: The shapes.
        up: The axis that points up in the files.
        progress: Called with the number of finished meshes and their total.
        workers: The worker processes.

    Returns:
        For each shape, in the same order, its entry, with the status ``failed`` if the mesh cannot be used, and its
        fingerprint.
    """
    tasks = (_Task(shape, up) for shape in shapes)
    results: dict[str, tuple[Entry, Fingerprint]] = {}
    with closing(pool.run(_mesh_fingerprint, tasks, workers)) as outcomes:
        for (shape, _), outcome in outcomes:
            if isinstance(outcome, ItemError):
                outcome = Fingerprint(None, None, None), str(outcome)
            fingerprint, error = outcome
            status: Literal["ok", "failed"] = "ok" if error is None else "failed"
            entry = Entry(shape.id, shape.label, shape.split, fingerprint.sha256, status, error)
            results[shape.id] = entry, fingerprint
            progress(len(results), len(shapes))
    return [results[shape.id][0] for shape in shapes], [results[shape.id][1] for shape in shapes]


def same_geometry(artefacts: Artefacts, entries: Sequence[Entry], progress: Progress) -> Grouping:
    """Group artefacts by geometry.

    Args:
        artefacts: The artefacts.
        entries: N rows of their manifest.
        progress: Called with the number of read rows and their total.

    Returns:
        (N,) int64: shapes with the same number have the same geometry or content.

    Raises:
        StoredDataError: Artefacts are missing or damaged.
    """
    return find_copies(artefact_fingerprints(artefacts, entries, progress), INPUT_TOLERANCE).geometry


class _Task(NamedTuple):
    shape: Shape
    up: Up


def _mesh_fingerprint(task: _Task) -> tuple[Fingerprint, str | None]:
    """Compute a fingerprint in a worker; the second value says why it has no signature."""
    sha = None
    try:
        data = task.shape.source()
        sha = content_hash(task.shape, data)
        mesh = upright(read_mesh(data, task.shape.id, task.shape.sibling), task.up)
    except MeshError as error:
        return Fingerprint(sha, None, None), str(error)
    return Fingerprint(sha, None, mesh_signature(mesh)), None
