"""Indexes: the features of a collection, kept up to date and searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.labels import Labels
from shapecnn.models.engine import Device
from shapecnn.search.index import HEADER, read_index
from shapecnn.search.plan import IndexRequest, plan_index
from shapecnn.search.query import Answers, Searcher
from shapecnn.search.update import IndexChanges, bring_up_to_date
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Orientation, Up
from shapecnn.shared.results import framed, show_with
from shapecnn.storage.own import require_own
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


def update_index(
    collection: str | Path,
    folder: str | Path,
    model: str | None = None,
    *,
    settings: dict[str, Any] | None = None,
    feature: str | None = None,
    up: Up | None = None,
    orientation: Orientation | None = None,
    labels: Labels | None = None,
    limit: FaceLimit = NO_LIMIT,
    overwrite: bool = False,
    device: Device = "auto",
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
    command: str = "shapecnn index COLLECTION INDEX",
) -> IndexChanges:
    """Make an index of a collection, or bring it up to date.

    New and changed meshes are computed, and meshes that are gone leave the index. What is None stays as the index was
    made; for a new index it is the default.

    Args:
        collection: Folder of meshes, a zip of one, or a CSV with the header path,label,split.
        folder: Folder of the index.
        model: ``@imagenet``, the default, or the folder of a run.
        settings: Settings of ``@imagenet``, by key.
        feature: ``penultimate``, the default, or ``metric``, what a learned metric makes of it.
        up: Axis that points up in the meshes; by default z.
        orientation: ``upright``, the default, or ``auto``, which turns each mesh to axes found in it.
        labels: What names label and split of a shape: ``auto``, the default, ``folder`` or ``none``.
        limit: How many faces a mesh may have, and whether larger ones are simplified.
        overwrite: Replace an index that was made with other settings, and files that shapecnn did not write.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes that read, draw and fill meshes.
        progress: Called with the number of shapes done and of all shapes.
        say: Called with notes for the person.
        command: Command that makes this index, for messages.

    Returns:
        What has changed.

    Raises:
        CollectionError: The collection cannot be listed.
        MismatchError: The index was made with another model or other settings.
        UsageError: There is no such model, or files are in the way that shapecnn did not write.
        StoredDataError: The index or its model is damaged.
        BusyError: Another process is writing the index.

    Example:
        >>> import shapecnn
        >>> changes = shapecnn.update_index("meshes", "index-of-run", "run")
        >>> changes.added, changes.total
        (9, 9)
    """
    folder = Path(folder)
    require_own(HEADER, folder, overwrite)
    request = IndexRequest(model, feature, settings, orientation, up, labels, limit)
    plan = plan_index(folder, request, overwrite)
    if plan.model.input.imported:
        say(plan.model.input.note(plan.model.name))
    if plan.new and plan.model.up not in (None, plan.record.up):
        say(
            f"Note: the meshes that {plan.model.name} was trained on were read with --up {plan.model.up}; this "
            f"collection is read with --up {plan.record.up}."
        )
    return bring_up_to_date(
        Path(collection),
        folder,
        plan,
        command=command,
        overwrite=overwrite,
        device=device,
        workers=workers,
        progress=progress,
        say=say,
    )


def open_index(
    folder: str | Path, model: str | None = None, *, device: Device = "auto", workers: Workers = ONE_A_CORE
) -> Searcher:
    """Open an index to search it.

    Args:
        folder: Folder of the index.
        model: Folder of the run that it was made with, if that has moved.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes that read, draw and fill meshes.

    Returns:
        The index. It loads its network with the first query and keeps it.

    Raises:
        UsageError: There is no index, or its run is not there any more.
        MismatchError: The run is another one.
        StoredDataError: The index or its run is damaged or from another version.

    Example:
        >>> import shapecnn
        >>> index = shapecnn.open_index("index")
        >>> answers = index.query("meshes/box/train/0.off", k=3)
        >>> answers[0].hits[0].shape.id
        'box/train/0.off'
    """
    folder = Path(folder)
    index = read_index(folder)
    return Searcher(index, index.record.open(folder, model), device, workers, str(folder))


def answers_page(answers: Answers, workers: Workers = ONE_A_CORE) -> str:
    """Return the HTML page that ``shapecnn query --html`` writes.

    Args:
        answers: What a query returned.
        workers: Processes that draw the meshes.
    """
    from shapecnn.report.pages import query_page

    return query_page(answers, answers.searched, answers.where, workers=workers)


show_with(Answers, lambda answers: framed(answers_page(answers)))
