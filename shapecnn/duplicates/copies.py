"""Find copies among shapes: shapes with the same content or the same geometry.

Two shapes have the same content if their mesh files or their artefacts are identical to the last bit. Two shapes have
the same geometry if their signatures are close or their content is the same. A signature does not depend on the order
of vertices and faces, position, size, quarter turns or mirroring.
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
from shapecnn.settings.views_and_grids import Up
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


class Fingerprint(NamedTuple):
    """Hashes and signature by which a shape is compared with other shapes; None for a value that is not available.

    Attributes:
        sha256: SHA-256 (hex) of the mesh file.
        digest: SHA-256 (hex) of the artefacts; None for a mesh.
        signature: Vector of D numbers, (D,) float32; see :mod:`shapecnn.duplicates.signatures`.
        total: Number of pictures or grids of the shape; 0 for a mesh.
        blank: Number of blank pictures or empty grids of the shape.
    """

    sha256: str | None
    digest: str | None
    signature: Signature | None
    total: int = 0
    blank: int = 0


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies among N shapes, as one group number for each shape: copies have the same number.

    Attributes:
        content: Group numbers, (N,) int64, of shapes with the same content.
        geometry: Group numbers, (N,) int64, of shapes with the same geometry or content.
    """

    content: Grouping
    geometry: Grouping


def find_copies(fingerprints: Sequence[Fingerprint], tolerance: float, progress: Progress = no_progress) -> Copies:
    """Group shapes with the same content, and shapes with the same geometry.

    Args:
        fingerprints: Fingerprints of N shapes.
        tolerance: Largest Euclidean distance between the signatures of two shapes with the same geometry.
        progress: Function that is called with the number of finished steps of the comparison and of all steps.

    Returns:
        For each shape, the number of its group by content and the number of its group by geometry.
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
    artefacts: Artefacts, entries: Sequence[Entry], progress: Progress, workers: Workers = ONE_PER_CORE
) -> list[Fingerprint]:
    """Compute the fingerprints of shapes from their artefacts (rendered views or voxel grids).

    Args:
        artefacts: The artefact folder.
        entries: Shapes of the folder. The fingerprint of a failed shape has only the hash of the mesh file.
        progress: Function that is called with the number of finished shapes and the number of all shapes.
        workers: Number of threads.

    Returns:
        One fingerprint for each shape, in the order of ``entries``.

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
    # Threads run in parallel here: decoding and matrix products release Python's global interpreter lock.
    threads = ThreadPoolExecutor(workers.count or pool.available_cores())
    try:
        for one in threads.map(fingerprint, entries):
            fingerprints.append(one)
            progress(len(fingerprints), len(entries))
    finally:
        threads.shutdown(cancel_futures=True)
    return fingerprints


def mesh_fingerprints(
    shapes: Sequence[Shape], up: Up, progress: Progress, workers: Workers = ONE_PER_CORE
) -> tuple[list[Entry], list[Fingerprint]]:
    """Compute the fingerprints of shapes from their mesh files, in worker processes.

    Args:
        shapes: Shapes of a collection.
        up: Axis that points up in the mesh files.
        progress: Function that is called with the number of finished meshes and the number of all meshes.
        workers: Number of worker processes and their limits.

    Returns:
        One manifest entry and one fingerprint for each shape, as two lists in the order of ``shapes``. The entry of a
        mesh that cannot be used has the status ``failed``.
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
    """Group shapes with the same geometry, computed from their artefacts.

    Args:
        artefacts: The artefact folder.
        entries: N shapes of the folder.
        progress: Function that is called with the number of read shapes and the number of all shapes.

    Returns:
        One group number for each shape, (N,) int64: shapes with the same number have the same geometry or content.

    Raises:
        StoredDataError: Artefacts are missing or damaged.
    """
    return find_copies(artefact_fingerprints(artefacts, entries, progress), INPUT_TOLERANCE).geometry


class _Task(NamedTuple):
    shape: Shape
    up: Up


def _mesh_fingerprint(task: _Task) -> tuple[Fingerprint, str | None]:
    """Compute the fingerprint of one mesh file, in a worker process.

    Returns:
        The fingerprint and None. If the mesh cannot be used, a fingerprint without signature and the error message.
    """
    sha = None
    try:
        data = task.shape.source()
        sha = content_hash(task.shape, data)
        mesh = upright(read_mesh(data, task.shape.id, task.shape.sibling), task.up)
    except MeshError as error:
        return Fingerprint(sha, None, None), str(error)
    return Fingerprint(sha, None, mesh_signature(mesh)), None
