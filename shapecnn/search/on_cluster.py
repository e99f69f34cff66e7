"""Build or update an index on a Ray cluster, with the same result as on one machine."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shapecnn.errors import MismatchError, counted
from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.on_cluster import Division, on_cluster
from shapecnn.meshes.shard_tasks import MakePart
from shapecnn.meshes.shards import Part
from shapecnn.models.device import Device
from shapecnn.models.kept_engine import KeptEngine
from shapecnn.search.changes import IndexChanges
from shapecnn.search.header import HEADER, Form, IndexHeader, read_described
from shapecnn.search.index import FEATURES, REMEDY, Failure
from shapecnn.search.known import Known, KnownRow
from shapecnn.search.merging import engine_text, merge_indexes
from shapecnn.search.plan import IndexPlan
from shapecnn.search.previous import previous_index
from shapecnn.search.record import ModelRecord
from shapecnn.search.stamps import Stamps, take_stamps
from shapecnn.search.update import index_shapes, journal_header
from shapecnn.storage.kinds import kind_of
from shapecnn.storage.own import require_own
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import discard
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
    check: bool = False,
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
        check: True to read and hash every mesh file, whatever its size and times are.
        device: ``cuda`` gives each task a GPU; with ``cpu`` and ``auto``, networks run on the processors.
        workers: Number of worker processes of each task, and their limits; see
            :func:`shapecnn.meshes.on_cluster.on_cluster`.
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
    form = plan.form(len(shapes))
    require_own(HEADER, folder, overwrite)
    run = [Path(plan.record.model)] if plan.record.settings["kind"] == "run" else []
    place: Device = "cuda" if device == "cuda" else "cpu"

    def begin() -> Callable[[Sequence[Shape]], MakePart]:
        before = KeptEngine(plan.model, "cpu").open_if_remote
        old = previous_index(folder, plan.record, None, command, rows=form.rows, overwrite=overwrite, before=before)
        trusted = {} if check else Stamps.read(folder).trusted(take_stamps(shapes))
        rows = {} if old is None else {each.id: KnownRow(i, each.sha256) for i, each in enumerate(old.shapes)}
        gone = {shape_id: rows[shape_id] for shape_id in rows.keys() - {shape.id for shape in shapes}}

        def make(chosen: Sequence[Shape]) -> MakePart:
            held = {each.id: rows[each.id] for each in chosen if each.id in rows}
            unchanged = {each.id: trusted[each.id] for each in chosen if each.id in trusted}
            known = Known(Path(os.path.abspath(folder)), gone | held, unchanged)
            return partial(_make_part, plan.record, plan.labels, plan.max_faces, form, known, command, place)

        return make

    def merge(parts: Mapping[Path, Part]) -> tuple[IndexChanges, list[Failure]]:
        if kind_of(folder) == "index":  # nodes have read its features without a check
            open_sealed(folder, REMEDY).check(FEATURES)
        _require_one_engine(parts)
        with stage("Merging", "parts"):
            return merge_indexes(parts, folder, command=command, unfinished=True, overwrite=overwrite, say=say)

    division = Division(
        shapes, collection, folder, journal_header(plan, form, None), REMEDY, run, gpus=1 if place == "cuda" else 0
    )
    changes, failures = on_cluster(
        division, cluster, begin, merge, overwrite=overwrite, workers=workers, progress=progress
    )
    paths = {shape.id: shape.path for shape in shapes}
    failed = [(paths[failure.id], failure.error) for failure in failures]
    return replace(changes, seconds=time.monotonic() - started, failures=failed)


def _require_one_engine(parts: Mapping[Path, Part]) -> None:
    """Raise MismatchError if nodes of two kinds have made the parts; the parts of the rarer kind are given up.

    Otherwise, the same command would find them again, and never end.
    """
    headers = {folder: IndexHeader.from_options(**read_described(open_sealed(folder, REMEDY))) for folder in parts}
    engines = {
        folder: engine_text(header.engine) for folder, header in headers.items() if header.count and header.engine
    }
    counts = Counter(engines.values()).most_common()
    if len(counts) < 2:
        return
    for folder, engine in engines.items():
        if engine != counts[0][0]:
            discard(folder)
    kinds = ", ".join(f"{counted(count, 'shard')} by {engine}" for engine, count in counts)
    raise MismatchError(
        f"The nodes of the cluster round differently: features of {kinds}. Run the same command again on nodes of one "
        f"kind with the same packages; it keeps the shards of the first kind."
    )


def _make_part(
    record: ModelRecord,
    labels: Labels,
    max_faces: int | None,
    form: Form,
    known: Known,
    command: str,
    device: Device,
    shapes: Sequence[Shape],
    part: Part,
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> None:
    plan = IndexPlan(record.open(folder), record, labels, max_faces, new=False, chosen=form, sized=False)
    index_shapes(
        shapes,
        folder,
        plan,
        part=part,
        known=known,
        command=command,
        overwrite=True,  # all in the folder is unfinished work, which a node that died may have damaged
        device=device,
        workers=workers,
        progress=progress,
    )
