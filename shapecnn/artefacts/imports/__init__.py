"""Convert pictures or voxel grids made by other programs to artefacts, as ``render`` and ``voxelize`` write them.

::

    folder or zip of PNG or JPEG files ── pictures ──> contact sheets
    npz, binvox files ─────────────────── grids ─────> binvox files

A layout defines which parts of a file path are the label, the split, the name of the shape and the number of the view.
It is detected from the file names (:mod:`layouts`). A first pass over the source determines the settings, such as the
number and the size of the views. The worker processes then read each shape once.

Input: a folder, a zip or an npz file made by another program. Output: an artefact folder. Use
:func:`import_artefacts`, :func:`conflicts` and :data:`LAYOUTS`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shapecnn.artefacts.imports.grids import open_binvox, open_npz
from shapecnn.artefacts.imports.layouts import find_layout
from shapecnn.artefacts.imports.pictures import open_views_by_name, open_views_by_shape
from shapecnn.artefacts.maker import Maker
from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import shard_names
from shapecnn.artefacts.writing import Summary, make_artefacts
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.labels import Labels
from shapecnn.storage.outputs import Objects, written
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

LAYOUTS: dict[str, Callable[[Path], tuple[Sequence[Any], Maker[Any]]]] = {
    "views-by-shape": open_views_by_shape,
    "views-by-name": open_views_by_name,
    "voxels-npz": open_npz,
    "binvox": open_binvox,
}
"""Function that reads each layout; it returns the shapes, in order of id, and the maker of their artefacts."""


def import_artefacts(
    source: Path,
    out: Path,
    layout: str | None = None,
    *,
    command: str,
    labels: Labels = "auto",
    overwrite: bool = False,
    workers: Workers = ONE_PER_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
    objects: Objects | None = None,
) -> Summary:
    """Convert pictures or voxel grids made by other programs to artefacts.

    Args:
        source: A folder, a zip or a file, depending on the layout.
        out: The artefact folder, outside ``source``; or its URL.
        layout: A key of :data:`LAYOUTS`; None to detect the layout.
        command: Shell command that makes ``out``; error messages quote it.
        labels: Source of the labels and splits of binvox files. The other layouts define label and split themselves.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        workers: Number, time limit and memory limit of the worker processes.
        progress: Called with the number of finished shapes and the number of all shapes.
        say: Called with the detected layout, in one sentence.
        objects: How the artefacts are stored at a URL; see :func:`shapecnn.storage.outputs.written`.

    Returns:
        Numbers of written, skipped and failed shapes, and the error of each failed shape.

    Raises:
        UsageError: ``source`` does not have this layout, or fits several layouts; or ``out`` already has files of the
            same names that shapecnn did not write.
        CollectionError: ``source`` contains no pictures or grids, or two of its shapes would be written to the same
            file.
        MismatchError: ``out`` holds artefacts made with other settings.
        StoredDataError: A stored file in ``out`` is missing or damaged.
        BusyError: Another process is writing to ``out``.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"The output folder {out} is inside the imported folder {source}: choose a folder outside.")
    if layout is None:
        layout = find_layout(source)
        say(f"Note: {source} is read with the layout {layout}.")
    if labels != "auto" and layout != "binvox":
        raise UsageError(
            f"--labels {labels} cannot be used: the layout {layout} defines label and split. Leave the option out."
        )
    items, maker = open_binvox(source, labels) if layout == "binvox" else LAYOUTS[layout](source)
    with written(out, overwrite=overwrite, objects=objects, names=shard_names) as place:
        return make_artefacts(
            items, place, maker, command=command, overwrite=overwrite, workers=workers, progress=progress
        )


def conflicts(entries: Sequence[Entry]) -> list[list[str]]:
    """Find shapes with identical source files but different labels.

    Args:
        entries: Rows of the manifest; failed shapes are ignored.

    Returns:
        Groups of shapes: each is the list of the ids whose source files are identical and whose labels differ.
    """
    groups = defaultdict(list)
    for entry in entries:
        if entry.status == "ok":
            groups[entry.sha256].append(entry)
    return [[entry.id for entry in group] for group in groups.values() if len({entry.label for entry in group}) > 1]
