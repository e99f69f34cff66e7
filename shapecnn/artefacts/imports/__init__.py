"""Import of pictures and grids that other programs made, as artefacts.

::

    folder or zip of PNG or JPEG files ── pictures ──> contact sheets
    npz, binvox files ─────────────────── grids ─────> binvox files

A layout says where the paths hold label, split, name and view; it is detected from the file names (:mod:`layouts`). A
first pass over the source gives the settings, such as the number and size of views; the workers then read each item
once.

In: a folder, a zip or a file of others. Out: an artefact folder. Use :func:`import_artefacts`, :func:`conflicts` and
:data:`LAYOUTS`.
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
from shapecnn.artefacts.writing import Summary, make_artefacts
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
"""Reader of each layout: from a source to its items, in order of id, and their maker."""


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
    """Import pictures or grids as artefacts.

    Args:
        source: A folder, a zip or a file, depending on the layout.
        out: The artefact folder, outside ``source``.
        layout: A key of :data:`LAYOUTS`; None to detect it.
        command: Command line that makes ``out``, for messages.
        labels: Where label and split of binvox files come from; the other layouts define it.
        overwrite: Whether to replace artefacts that have other settings, and files that shapecnn did not write.
        workers: The worker processes.
        progress: Called with the number of finished items and their total.
        say: Called with the detected layout, in one sentence.

    Returns:
        Counts and failures of this run.

    Raises:
        UsageError: ``source`` does not have this layout, or fits several; or files that shapecnn did not write are in
            the way.
        CollectionError: ``source`` contains no pictures or grids, or two of its shapes would be written to one file.
        MismatchError: ``out`` was made with other settings.
        StoredDataError: ``out`` is damaged.
        BusyError: Another process is writing to ``out``.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{out} lies in {source}, which is imported: choose a folder outside it.")
    if layout is None:
        layout = find_layout(source)
        say(f"Note: {source} is read as {layout}.")
    if labels != "auto" and layout != "binvox":
        raise UsageError(f"--labels {labels}: the layout {layout} defines label and split. Leave the option out.")
    items, maker = open_binvox(source, labels) if layout == "binvox" else LAYOUTS[layout](source)
    return make_artefacts(items, out, maker, command=command, overwrite=overwrite, workers=workers, progress=progress)


def conflicts(entries: Sequence[Entry]) -> list[list[str]]:
    """Find identical items with different labels.

    Args:
        entries: Rows of the manifest; failed ones are ignored.

    Returns:
        One list of ids for each source content that has several labels.
    """
    groups = defaultdict(list)
    for entry in entries:
        if entry.status == "ok":
            groups[entry.sha256].append(entry)
    return [[entry.id for entry in group] for group in groups.values() if len({entry.label for entry in group}) > 1]
