"""What others made of shapes, as artefacts of our own.

::

    folder or zip of PNG or JPEG files ── pictures ──> contact sheets
    npz, binvox files ─────────────────── grids ─────> binvox files

A layout says where label, split, name and view stand in what is imported; it is found by looking (:mod:`layouts`). What
is imported is listed and looked at first, which gives the settings (how many views, of what size); the items are then
read by the workers, each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shapecnn.artefacts.imports.grids import open_binvox, open_npz
from shapecnn.artefacts.imports.layouts import find_layout
from shapecnn.artefacts.imports.pictures import open_views_by_name, open_views_by_shape
from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.writing import Maker, Summary, make_artefacts
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.labels import Labels
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

LAYOUTS: dict[str, Callable[[Path], tuple[Sequence[Any], Maker[Any]]]] = {
    "views-by-shape": open_views_by_shape,
    "views-by-name": open_views_by_name,
    "voxels-npz": open_npz,
    "binvox": open_binvox,
}
"""For each layout: the items of a source, in order of id, and how they become artefacts."""


def import_artefacts(
    source: Path,
    out: Path,
    layout: str | None = None,
    *,
    command: str,
    labels: Labels = "auto",
    overwrite: bool = False,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
    say: Say = silent,
) -> Summary:
    """Turn what ``source`` holds into artefacts in ``out``; see :func:`shapecnn.artefacts.writing.make_artefacts`.

    Args:
        source: A folder, a zip or a file, as the layout has it.
        out: The folder of the artefacts.
        layout: How it is laid out, one of LAYOUTS; None: found by looking.
        command: What the person typed, for advice.
        labels: What the folders of a collection of binvox files mean; the other layouts say themselves.
        overwrite: Whether what is not shapecnn's own is replaced.
        workers: Who reads it.
        progress: Told how many are done, and of how many.
        say: Told which layout was found.

    Raises:
        UsageError: ``source`` does not hold this layout, or it fits more than one and none was given.
        CollectionError: ``source`` holds nothing of the kind.
        Others: As make_artefacts does.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{out} lies in {source}, which is imported: choose a folder outside it.")
    if layout is None:
        layout = find_layout(source)
        say(f"Note: {source} is read as {layout}.")
    if labels != "auto" and layout != "binvox":
        raise UsageError(f"--labels {labels}: in the layout {layout} it is certain where label and split stand.")
    items, maker = open_binvox(source, labels) if layout == "binvox" else LAYOUTS[layout](source)
    return make_artefacts(items, out, maker, command=command, overwrite=overwrite, workers=workers, progress=progress)


def conflicts(entries: Sequence[Entry]) -> list[list[str]]:
    """Ids of items that are the same to the last byte and yet have different labels, one list for each content."""
    same = defaultdict(list)
    for entry in entries:
        if entry.status == "ok":
            same[entry.sha256].append(entry)
    return [[entry.id for entry in group] for group in same.values() if len({entry.label for entry in group}) > 1]
