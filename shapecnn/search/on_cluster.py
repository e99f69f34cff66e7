"""Build or update an index on a Ray cluster, with the same result as on one machine."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.on_cluster import make_parts
from shapecnn.meshes.shards import Part
from shapecnn.models.device import Device
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.search.changes import IndexChanges
from shapecnn.search.index import HEADER, REMEDY
from shapecnn.search.merging import merge_indexes
from shapecnn.search.plan import IndexPlan
from shapecnn.search.previous import previous_index
from shapecnn.search.record import ModelRecord
from shapecnn.search.update import index_shapes, journal_header
from shapecnn.storage.journal import open_journal
from shapecnn.storage.own import require_own
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.unfinished import WORK
from shapecnn.workers.cluster import connected
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress, stage


def index_on_cluster(
    collection: Path,
    folder: Path,
    plan: IndexPlan,
    cluster: str,
    *,
    command: str,
    overwrite: bool = False,
    device: Device = "auto",
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> IndexChanges:
    """Build the index of a collection on a cluster, or update the index in a folder.

    After an error or an interruption, the same call continues.

    Args:
        collection: Folder of meshes, zip file of such a folder, or CSV file, which all nodes see.
        folder: Folder of the index, which all nodes see.
        plan: Model and settings of the index.
        cluster: Address of the cluster; see :func:`shapecnn.workers.cluster.connected`.
        command: Command line that error messages suggest for building the index.
        overwrite: True to replace an index made with other settings, and files that shapecnn did not write.
        device: ``cuda`` gives each task a GPU; with ``cpu`` and ``auto``, networks run on the processors.
        workers: Number of worker processes of each task, and their limits; see
            :func:`shapecnn.meshes.on_cluster.make_parts`.
        progress: Callback that receives the number of finished shapes and the number of all shapes.
        say: Callback that receives each note for the user as one line of text.

    Returns:
        Numbers of added, updated, unchanged and removed shapes, and the error of each failed mesh.

    Raises:
        ShapecnnError: As :func:`shapecnn.search.update.bring_up_to_date`.
        ClusterError: The cluster cannot be reached, or a shard was lost too often.
    """
    started = time.monotonic()
    shapes = list_shapes(collection, labels=plan.labels, say=say)
    require_own(HEADER, folder, overwrite)
    run = [Path(plan.record.model)] if plan.record.settings["kind"] == "run" else []
    place: Device = "cuda" if device == "cuda" else "cpu"
    with connected(cluster) as nodes, exclusive(folder, overwrite):
        before = KeptEngine(plan.model, "cpu").open_if_remote
        old = previous_index(folder, plan.record, None, command, overwrite=overwrite, before=before)
        with open_journal(folder / WORK, journal_header(plan, None)):
            pass  # from now on, the folder has an unfinished index of these settings
        base = None if old is None else Path(os.path.abspath(folder))
        make = partial(_make_part, plan.record, plan.labels, plan.max_faces, base, command, place)
        parts = make_parts(
            shapes,
            folder,
            nodes,
            lambda _chosen: make,
            needs=[collection, Path(os.path.commonpath([os.path.abspath(shape.file) for shape in shapes])), *run],
            remedy=REMEDY,
            workers=workers,
            gpus=1 if place == "cuda" else 0,
            progress=progress,
        )
        with stage("Merging", "parts"):
            changes, failures = merge_indexes(parts, folder, command=command, locked=True, overwrite=overwrite)
    paths = {shape.id: shape.path for shape in shapes}
    failed = [(paths[failure.id], failure.error) for failure in failures]
    return replace(changes, seconds=time.monotonic() - started, failures=failed)


def _make_part(
    record: ModelRecord,
    labels: Labels,
    max_faces: int | None,
    base: Path | None,
    command: str,
    device: Device,
    shapes: Sequence[Shape],
    part: Part,
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> None:
    plan = IndexPlan(record.open(folder), record, labels, max_faces)
    index_shapes(
        shapes, folder, plan, part=part, base=base, command=command, device=device, workers=workers, progress=progress
    )
