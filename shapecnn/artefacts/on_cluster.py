"""Render or voxelize the meshes of a collection on a Ray cluster, with the same result as on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shapecnn.artefacts.manifest import REMEDY, SETTINGS, artefact_files
from shapecnn.artefacts.merging import merge_artefacts
from shapecnn.artefacts.prepare import Recipe
from shapecnn.artefacts.previous import PreviousArtefacts, journal_header, previous_artefacts
from shapecnn.artefacts.writing import Summary, make_artefacts, require_distinct_files
from shapecnn.meshes.collection import Say, Shape, list_shapes, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.on_cluster import Division, on_cluster
from shapecnn.meshes.shard_tasks import MakePart
from shapecnn.meshes.shards import Part
from shapecnn.storage.own import require_own
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress, stage


def prepare_on_cluster(
    collection: Path,
    out: Path,
    recipe: Recipe,
    cluster: str,
    *,
    command: str,
    labels: Labels = "auto",
    overwrite: bool = False,
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> Summary:
    """Draw or voxelize every mesh of a collection on a cluster, and write the results to an artefact folder.

    All errors are raised before the first mesh is drawn, except for those of the cluster. After an error or an
    interruption, the same call continues.

    Args:
        collection: A folder, a zip of a folder, or a CSV with the header ``path,label,split``, which all nodes see.
        out: The artefact folder, which all nodes see.
        recipe: Settings of the views or the voxel grids.
        cluster: Address of the cluster; see :func:`shapecnn.workers.cluster.connected`.
        command: Shell command that makes ``out``; error messages quote it.
        labels: Source of labels and splits; see :func:`shapecnn.meshes.collection.list_shapes`.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        workers: Number of worker processes of each task, and their limits; see
            :func:`shapecnn.meshes.on_cluster.on_cluster`.
        progress: Called with the number of finished meshes and the number of all meshes.
        say: Called with notes on how the collection was read, one sentence each.

    Returns:
        Numbers of written, skipped and failed shapes, and the error of each failed shape.

    Raises:
        ShapecnnError: As :func:`shapecnn.artefacts.prepare.prepare_collection`.
        ClusterError: The cluster cannot be reached, or a shard was lost too often.
    """
    started = time.monotonic()
    shapes = list_shapes(collection, labels=labels, say=say)
    settings = recipe.to_json()
    require_own(SETTINGS, out, overwrite)
    stems = require_distinct_files([shape.id for shape in shapes], settings, out)
    names = {name for stem in stems for name in artefact_files(settings, stem)}

    def begin() -> Callable[[Sequence[Shape]], MakePart]:
        previous = previous_artefacts(out, names, settings, None, command, overwrite)
        held = {shape.id: previous[stem] for shape, stem in zip(shapes, stems, strict=True) if stem in previous}
        return lambda chosen: partial(
            _make_part, recipe, command, {each.id: held[each.id] for each in chosen if each.id in held}
        )

    def merge(parts: Mapping[Path, Part]) -> Summary:
        with stage("Merging") as merged:
            _, summary = merge_artefacts(
                parts, out, command=command, unfinished=True, overwrite=overwrite, progress=merged
            )
        return summary

    division = Division(shapes, collection, out, journal_header(settings, None), REMEDY)
    made = on_cluster(division, cluster, begin, merge, overwrite=overwrite, workers=workers, progress=progress)
    paths = {shape.id: shape.path for shape in shapes}
    failures = [(paths[shape_id], error) for shape_id, error in made.failures]
    return replace(made, seconds=time.monotonic() - started, failures=failures)


def _make_part(
    recipe: Recipe,
    command: str,
    held: Mapping[str, PreviousArtefacts],
    shapes: Sequence[Shape],
    part: Part,
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> None:
    make_artefacts(
        shapes,
        folder,
        recipe,
        command=command,
        part=part,
        elsewhere=held,
        overwrite=True,  # all in the folder is unfinished work, which a node that died may have damaged
        workers=workers,
        progress=progress,
    )
