"""Which shapes are copies: of the same bytes, or of the same geometry.

Content: the files they were made from, or their artefacts, are the same to the last bit. Geometry, which takes in the
former: their signatures lie close together, whatever the order, position, size, quarter turn or mirroring.
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
from shapecnn.duplicates.groups import Grouping, alike, close, joined, spread
from shapecnn.duplicates.signatures import LOOKS_TOLERANCE, Signature, looks_signature, mesh_signature
from shapecnn.errors import ItemError, MeshError
from shapecnn.meshes.collection import Shape, content_hash
from shapecnn.meshes.mesh import read_mesh, upright
from shapecnn.settings.artefacts import Up
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


class Fingerprint(NamedTuple):
    """What tells one shape from another.

    digest: SHA-256 of its artefacts.  looks, blank: how many pictures or grids it has, and how many show nothing. All
    but these are None where they could not be had.
    """

    sha256: str | None
    digest: str | None
    signature: Signature | None
    looks: int = 0
    blank: int = 0


@dataclass(frozen=True, slots=True)
class Copies:
    """Groupings of N shapes; geometry joins all that content does, and more."""

    content: Grouping
    geometry: Grouping


def find_copies(fingerprints: Sequence[Fingerprint], tolerance: float, progress: Progress = no_progress) -> Copies:
    """tolerance: distance between signatures of the same geometry."""
    content = joined(alike([f.sha256 for f in fingerprints]), alike([f.digest for f in fingerprints]))
    rows = [row for row, fingerprint in enumerate(fingerprints) if fingerprint.signature is not None]
    signatures = [f.signature for f in fingerprints if f.signature is not None]
    if not rows:
        return Copies(content, content)
    near, _ = close(np.stack(signatures), tolerance, progress)
    return Copies(content, joined(content, spread(near, rows, len(fingerprints))))


def artefact_fingerprints(
    artefacts: Artefacts, entries: Sequence[Entry], progress: Progress, workers: Workers = ONE_A_CORE
) -> list[Fingerprint]:
    """Of rows of the manifest, in their order; of failed ones only what they were made from is known.

    Raises StoredDataError if artefacts are missing or damaged.
    """

    def fingerprint(entry: Entry) -> Fingerprint:
        if entry.status == "failed":
            return Fingerprint(entry.sha256, None, None)
        if artefacts.settings["kind"] == "views":
            pictures = artefacts.pictures(entry)
            blank = (pictures == 255).all(axis=(1, 2))
            signature = looks_signature(pictures)
        else:
            grids = artefacts.grids(entry)
            blank = ~grids.any(axis=(1, 2, 3))
            signature = looks_signature(grids)
        return Fingerprint(entry.sha256, artefacts.digest(entry), signature, len(blank), int(blank.sum()))

    found: list[Fingerprint] = []
    # Threads, for decoding and products run outside the interpreter's lock.
    threads = ThreadPoolExecutor(workers.count or pool.available_cores())
    try:
        for one in threads.map(fingerprint, entries):
            found.append(one)
            progress(len(found), len(entries))
    finally:
        threads.shutdown(cancel_futures=True)
    return found


def mesh_fingerprints(
    shapes: Sequence[Shape], up: Up, progress: Progress, workers: Workers = ONE_A_CORE
) -> tuple[list[Entry], list[Fingerprint]]:
    """Of a collection; each shape with what is known of it, those that cannot be used as failed."""
    tasks = (_Task(shape, up) for shape in shapes)
    found: dict[str, tuple[Entry, Fingerprint]] = {}
    with closing(pool.run(_mesh_fingerprint, tasks, workers)) as results:
        for (shape, _), outcome in results:
            if isinstance(outcome, ItemError):
                outcome = Fingerprint(None, None, None), str(outcome)
            fingerprint, error = outcome
            status: Literal["ok", "failed"] = "ok" if error is None else "failed"
            found[shape.id] = Entry(shape.id, shape.label, shape.split, fingerprint.sha256, status, error), fingerprint
            progress(len(found), len(shapes))
    return [found[shape.id][0] for shape in shapes], [found[shape.id][1] for shape in shapes]


def same_geometry(artefacts: Artefacts, entries: Sequence[Entry], progress: Progress) -> Grouping:
    """Which of ``entries`` look the same.  Raises StoredDataError if artefacts are missing or damaged."""
    return find_copies(artefact_fingerprints(artefacts, entries, progress), LOOKS_TOLERANCE).geometry


class _Task(NamedTuple):
    shape: Shape
    up: Up


def _mesh_fingerprint(task: _Task) -> tuple[Fingerprint, str | None]:
    """Runs in a worker: the fingerprint, and why it is not whole."""
    sha = None
    try:
        data = task.shape.source()
        sha = content_hash(task.shape, data)
        mesh = upright(read_mesh(data, task.shape.id, task.shape.sibling), task.up)
    except MeshError as error:
        return Fingerprint(sha, None, None), str(error)
    return Fingerprint(sha, None, mesh_signature(mesh)), None
