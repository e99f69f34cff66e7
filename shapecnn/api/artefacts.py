"""Artefacts: views or grids of all meshes of a collection, in a folder."""

from __future__ import annotations

from pathlib import Path

from shapecnn.artefacts import reading
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import Artefacts
from shapecnn.artefacts.writing import Summary
from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.labels import Labels
from shapecnn.settings.views_and_grids import Layout, ViewSettings, VoxelSettings
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress


def prepare(
    collection: str | Path,
    out: str | Path,
    settings: ViewSettings | VoxelSettings | None = None,
    *,
    layout: Layout = "sheet",
    max_faces: int | None = None,
    labels: Labels = "auto",
    overwrite: bool = False,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
    command: str = "shapecnn render COLLECTION OUT",
) -> Summary:
    """Draw or voxelize all meshes of a collection.

    A second call makes only what is new or has changed, and removes the artefacts of meshes that are gone.

    Args:
        collection: Folder of meshes, a zip of one, or a CSV with the header path,label,split.
        out: Folder of the artefacts.
        settings: ``ViewSettings`` to draw views, the default, or ``VoxelSettings`` to fill grids.
        layout: ``sheet``: one contact sheet of all views; ``files``: a file for each view.
        max_faces: Faces that a mesh may have where none is simplified; None: as many as memory holds.
        labels: What names label and split of a shape: ``auto``, ``folder`` or ``none``.
        overwrite: Replace artefacts that were made with other settings, and files that shapecnn did not write.
        workers: Processes that read, draw and fill meshes.
        progress: Called with the number of meshes done and of all meshes.
        say: Called with notes for the person.
        command: Command that makes ``out``, for messages.

    Returns:
        Counts and failures.

    Raises:
        CollectionError: The collection cannot be listed.
        UsageError: Files that shapecnn did not write are in the way.
        MismatchError: ``out`` was made with other settings.
        StoredDataError: ``out`` is damaged.
        BusyError: Another process is writing to ``out``.
        MissingLibraryError: The renderer does not load.

    Example:
        >>> import shapecnn
        >>> made = shapecnn.prepare("meshes", "new-grids", shapecnn.VoxelSettings(resolution=16, padding=1))
        >>> made.written, made.failed
        (9, 0)
    """
    return prepare_collection(
        Path(collection),
        Path(out),
        Recipe(settings or ViewSettings(), layout, max_faces),
        command=command,
        labels=labels,
        overwrite=overwrite,
        workers=workers,
        progress=progress,
        say=say,
    )


def open_artefacts(folder: str | Path) -> Artefacts:
    """Open a folder of artefacts.

    Args:
        folder: Folder that :func:`prepare` or ``shapecnn data import`` made.

    Returns:
        The artefacts: ``entries`` are the shapes; ``pictures(entry)`` and ``grids(entry)`` read those of one shape.

    Raises:
        UsageError: It is not a finished folder of artefacts.
        StoredDataError: Its settings or its manifest are damaged.
        MismatchError: An earlier version of shapecnn made it, and would make other artefacts now.

    Example:
        >>> import shapecnn
        >>> artefacts = shapecnn.open_artefacts("views")
        >>> artefacts.pictures(artefacts.entries[0]).shape
        (12, 32, 32)
    """
    return reading.open_artefacts(Path(folder))
