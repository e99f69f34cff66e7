"""Build, update and open indexes, which store the features of a collection for similarity search."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from shapecnn.errors import caution
from shapecnn.meshes.collection import Say
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.on_cluster import require_divisible
from shapecnn.meshes.shards import Shard
from shapecnn.models.device import Device
from shapecnn.search.changes import IndexChanges
from shapecnn.search.header import RowSize, SearchKind
from shapecnn.search.index import HEADER, read_index
from shapecnn.search.on_cluster import index_on_cluster
from shapecnn.search.plan import IndexRequest, plan_index
from shapecnn.search.query import Answers, Searcher
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import NO_LIMIT, FaceLimit, Orientation, Up
from shapecnn.shared.checks import require_choice, require_path
from shapecnn.shared.results import framed, show_with
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.outputs import written
from shapecnn.storage.own import require_own
from shapecnn.workers.pool import ONE_PER_CORE, Workers, as_workers
from shapecnn.workers.progress import Progress, no_progress


def update_index(
    collection: str | Path,
    folder: str | Path,
    model: str | Path | None = None,
    *,
    settings: dict[str, Any] | None = None,
    feature: str | None = None,
    up: Up | None = None,
    orientation: Orientation | None = None,
    labels: Labels | None = None,
    limit: FaceLimit = NO_LIMIT,
    shard: str | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
    rows: RowSize | None = None,
    pictures: bool | None = None,
    kind: SearchKind | None = None,
    check: bool = False,
    device: Device = "auto",
    workers: Workers | int = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = caution,
    command: str = "shapecnn index COLLECTION INDEX",
) -> IndexChanges:
    """Build the index of a collection, or bring an existing index up to date.

    An update computes the features of new and changed meshes, and removes the shapes whose mesh the collection no
    longer has. An option that is None keeps the value stored in the index; in a new index it has its default.

    Args:
        collection: Folder of meshes, zip file of such a folder, or CSV file with the header path,label,split; or the
            URL of such a folder or CSV, such as ``s3://bucket/meshes``.
        folder: Folder of the index, or its URL.
        model: ``@imagenet`` (the default), ``@sph``, ``@lfd``, ``@fisher``, or the folder of a run.
        settings: Values for settings of a model without training, by key. For all models of networks also the key
            ``descriptor``: ``sph`` or ``fisher`` joins the feature of the network with this engineered descriptor, and
            the similarity is the mean of both; None joins none.
        feature: ``penultimate`` (the default) compares the input of the classifier; ``metric`` compares the features
            that the learned metric of the run computes from it.
        up: Axis that points up in the meshes: ``x``, ``y`` or ``z`` (the default).
        orientation: ``upright`` (the default), or ``auto`` to align each mesh with axes computed from its geometry.
        labels: Source of the label and the split of each shape: ``auto`` (the default), ``folder`` or ``none``.
        limit: Largest number of faces of a mesh, and whether a larger mesh is simplified or refused.
        shard: Shard of the collection to index, such as ``2/8`` for the second of 8 shards, which :func:`merge` joins;
            None for the whole collection.
        cluster: Ray cluster that indexes the collection: ``ray`` for the one that this machine belongs to, or
            ``ray://HOST:PORT``; None for this machine alone. ``workers`` is then the number for each task, and networks
            run on GPUs only with ``device="cuda"``.
        overwrite: Whether to replace an index made with other settings, and files that shapecnn did not write.
        rows: How features are stored. ``full``: as float32 and float16, 41 kB for a shape of ``@imagenet``. ``small``:
            in one byte a number, and two bits a number for views, 5.3 kB. None: as the index has them; a new index has
            small rows from 10,000 shapes.
        pictures: Whether to store features of views, which a search by pictures needs; True for a new index.
        kind: How the index is searched. ``exact``: a search compares all shapes. ``ivf``: it compares those that an
            inverted file names; not for ``@lfd``, nor for ``@imagenet`` joined with a descriptor. ``auto`` (the
            default): ``ivf`` from 100,000 shapes where it is possible. None: as the index has it.
        check: Whether to read and hash every mesh file. Otherwise a file whose size and times are as before is
            taken to be unchanged.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Number of worker processes that read the meshes and draw or voxelize them, or their limits as well.
        progress: Callback that receives the number of finished shapes and the number of all shapes.
        say: Callback that receives each note for the user as one line of text; by default, notes are Python warnings.
        command: Command line that error messages suggest for making the index.

    Returns:
        Numbers of added, updated, unchanged and removed shapes, and the error of each failed mesh.

    Raises:
        CollectionError: The collection cannot be listed.
        MismatchError: The index was made with another model or other settings, or of another shard.
        UsageError: The model or the shard does not exist, or ``folder`` contains files that shapecnn did not write.
        StoredDataError: The index or the model is damaged.
        ObjectStoreError: The object store of a URL cannot be reached, or refuses.
        BusyError: Another process is writing to ``folder``.
        ClusterError: The cluster cannot be reached, or has lost a shard too often.

    Example:
        >>> import shapecnn
        >>> changes = shapecnn.update_index("meshes", "index-of-run", "run")
        >>> changes.added, changes.total
        (9, 9)
    """
    require_choice("labels", labels or "auto", Labels)
    require_choice("up", up or "z", Up)
    require_choice("orientation", orientation or "upright", Orientation)
    require_choice("feature", feature or "penultimate", Literal["penultimate", "metric"])
    require_choice("rows", rows or "full", RowSize)
    require_choice("kind", kind or "auto", SearchKind)
    collection, folder = require_path("collection", collection), as_path(folder)
    part = None if shard is None else Shard.parse(shard)
    if cluster is not None:
        require_divisible(part, folder)
    with written(folder, overwrite=overwrite) as place:
        require_own(HEADER, place, overwrite)
        request = IndexRequest(
            None if model is None else str(model),
            feature,
            settings,
            orientation,
            up,
            labels,
            limit,
            rows,
            pictures,
            kind,
        )
        plan = plan_index(place, request, overwrite)
        if plan.model.input.imported:
            say(plan.model.input.note(plan.model.name))
        if plan.new and plan.model.up not in (None, plan.record.up):
            say(
                f"Note: the meshes that {plan.model.name} was trained on were read with --up {plan.model.up}; this "
                f"collection is read with --up {plan.record.up}."
            )
        if cluster is not None:
            return index_on_cluster(
                collection,
                place,
                plan,
                cluster,
                command=command,
                overwrite=overwrite,
                check=check,
                device=device,
                workers=as_workers(workers),
                progress=progress,
                say=say,
            )
        return bring_up_to_date(
            collection,
            place,
            plan,
            command=command,
            shard=part,
            overwrite=overwrite,
            check=check,
            device=device,
            workers=as_workers(workers),
            progress=progress,
            say=say,
        )


def open_index(
    folder: str | Path,
    model: str | Path | None = None,
    *,
    device: Device = "auto",
    workers: Workers | int = ONE_PER_CORE,
) -> Searcher:
    """Open an index for similarity search.

    Args:
        folder: Folder of the index, or its URL.
        model: New folder of the run that computed the features, if the run has moved since.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Number of worker processes that read the meshes and draw or voxelize them, or their limits as well.

    Returns:
        An object that searches the index. The network is loaded at the first query and stays in memory.

    Raises:
        UsageError: ``folder`` holds no index, or the run of the index does not exist any more.
        MismatchError: The run is not the one that computed the features of the index.
        StoredDataError: The index or the run is damaged or from another version.

    Example:
        >>> import shapecnn
        >>> index = shapecnn.open_index("index")
        >>> answers = index.query("meshes/box/train/0.off", k=3)
        >>> answers[0].hits[0].shape.id
        'box/train/0.off'
    """
    folder = as_path(folder)
    index = read_index(folder)
    return Searcher(
        index,
        index.record.open(folder, None if model is None else str(model)),
        device,
        as_workers(workers),
        str(folder),
    )


def answers_page(answers: Answers, workers: Workers | int = ONE_PER_CORE) -> str:
    """Return the answers to queries as an HTML page, which ``shapecnn query --html`` writes.

    Args:
        answers: Result of :meth:`shapecnn.Searcher.query` or :meth:`shapecnn.Searcher.query_pictures`.
        workers: Worker processes that draw the meshes.
    """
    from shapecnn.report.pages import query_page

    return query_page(answers, answers.searched, answers.where, workers=as_workers(workers))


show_with(Answers, lambda answers: framed(answers_page(answers)))
