"""Make artefacts: folders with the rendered views or voxel grids of all meshes of a collection."""

from __future__ import annotations

from pathlib import Path

from shapecnn.artefacts.on_cluster import prepare_on_cluster
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import shard_names
from shapecnn.artefacts.writing import Summary
from shapecnn.errors import caution
from shapecnn.meshes.collection import Say
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.on_cluster import require_divisible
from shapecnn.meshes.shards import Shard
from shapecnn.settings.views_and_grids import Layout, ViewSettings, VoxelSettings
from shapecnn.shared.checks import require_choice, require_path, require_settings
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.outputs import Objects, written
from shapecnn.workers.pool import ONE_PER_CORE, Workers, as_workers
from shapecnn.workers.progress import Progress, no_progress


def prepare(
    collection: str | Path,
    out: str | Path,
    settings: ViewSettings | VoxelSettings | None = None,
    *,
    layout: Layout = "sheet",
    max_faces: int | None = None,
    labels: Labels = "auto",
    shard: str | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
    workers: Workers | int = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = caution,
    objects: Objects | None = None,
    command: str | None = None,
) -> Summary:
    """Draw or voxelize all meshes of a collection.

    A later call with the same settings processes only new and changed meshes, and deletes the artefacts of meshes that
    the collection no longer has.

    Args:
        collection: Folder of meshes, zip file of such a folder, or CSV file with the header path,label,split; or the
            URL of such a folder or CSV, such as ``s3://bucket/meshes``.
        out: Folder to write the artefacts to, or its URL.
        settings: ``ViewSettings`` to draw views, or ``VoxelSettings`` to fill voxel grids; None: default views.
        layout: ``sheet``: one contact sheet with all views of a mesh; ``files``: one file for each view.
        max_faces: Largest number of faces of a mesh, unless ``settings`` simplify larger meshes; None: no limit.
        labels: Source of the label and the split of each shape: ``auto``, ``folder`` (folder names) or ``none``.
        shard: Shard of the collection to process, such as ``2/8`` for the second of 8 shards, which :func:`merge`
            joins; None for the whole collection.
        cluster: Ray cluster that processes the collection: ``ray`` for the one that this machine belongs to, or
            ``ray://HOST:PORT``; None for this machine alone. ``workers`` is then the number for each task.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        workers: Number of worker processes that read the meshes and draw or voxelize them, or their limits as well.
        progress: Callback that receives the number of finished meshes and the number of all meshes.
        say: Callback that receives each note for the user as one line of text; by default, notes are Python warnings.
        objects: How the views or grids are stored if ``out`` is a URL: ``files``, an object for each file, or
            ``shards``, tar files of about 64 MB; None: as they are at ``out``, or else ``files``.
        command: Command line that error messages suggest for making ``out``.

    Returns:
        Numbers of written, skipped and failed meshes, and the error of each failed mesh.

    Raises:
        CollectionError: The collection cannot be listed.
        UsageError: ``out`` contains files that shapecnn did not write, or the shard does not exist.
        MismatchError: The artefacts in ``out`` were made with other settings, or of another shard.
        StoredDataError: The artefacts in ``out`` are damaged.
        ObjectStoreError: The object store of a URL cannot be reached, or refuses.
        BusyError: Another process is writing to ``out``.
        MissingLibraryError: A library that the renderer needs, or Ray, cannot be loaded.
        ClusterError: The cluster cannot be reached, or has lost a shard too often.

    Example:
        >>> import shapecnn
        >>> made = shapecnn.prepare("meshes", "new-grids", shapecnn.VoxelSettings(resolution=16, padding=1))
        >>> made.written, made.failed
        (9, 0)
    """
    require_choice("layout", layout, Layout)
    require_choice("labels", labels, Labels)
    settings = require_settings(settings or ViewSettings(), ViewSettings | VoxelSettings)
    collection, out = require_path("collection", collection), as_path(out)
    recipe, part = Recipe(settings, layout, max_faces), None if shard is None else Shard.parse(shard)
    command = command or f"shapecnn {'render' if isinstance(settings, ViewSettings) else 'voxelize'} COLLECTION OUT"
    if cluster is not None:
        require_divisible(part, out)
    with written(out, overwrite=overwrite, objects=objects, names=shard_names) as place:
        if cluster is not None:
            return prepare_on_cluster(
                collection,
                place,
                recipe,
                cluster,
                command=command,
                labels=labels,
                overwrite=overwrite,
                workers=as_workers(workers),
                progress=progress,
                say=say,
            )
        return prepare_collection(
            collection,
            place,
            recipe,
            command=command,
            labels=labels,
            shard=part,
            overwrite=overwrite,
            workers=as_workers(workers),
            progress=progress,
            say=say,
        )
