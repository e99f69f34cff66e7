"""Detect the layout of imported pictures or grids from the names of the files.

A layout must fit all pictures, or all grids. If several layouts fit, the user has to choose: a wrong layout would group
the pictures into wrong shapes without any error.
"""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from shapecnn.artefacts.imports.pictures import BY_NAME, BY_SHAPE, EXTENSIONS
from shapecnn.errors import CollectionError, UsageError
from shapecnn.meshes.collection import list_files, printable
from shapecnn.meshes.mesh import EXTENSIONS as MESHES
from shapecnn.storage.kinds import explain_kind, kind_of
from shapecnn.storage.publishing import written_hashes

GRIDS = frozenset({".binvox"})
_ARRANGEMENTS = {"views-by-shape": BY_SHAPE, "views-by-name": BY_NAME}


def find_layout(source: Path) -> str:
    """Detect the layout of imported pictures or grids: how a file path gives label, split and shape.

    Args:
        source: A folder, a zip, an npz, or a CSV that lists binvox files.

    Returns:
        A key of :data:`shapecnn.artefacts.imports.LAYOUTS`.

    Raises:
        CollectionError: ``source`` does not exist, fits no layout, or was made by shapecnn.
        UsageError: ``source`` fits several layouts.
    """
    if source.is_file() and source.suffix.lower() == ".npz":
        return "voxels-npz"
    if source.is_file() and source.suffix.lower() == ".csv":
        return "binvox"
    _require_foreign(source)
    names = sorted(printable(file.id) for file in list_files(source, EXTENSIONS | GRIDS))
    grids = [name for name in names if PurePosixPath(name).suffix.lower() in GRIDS]
    pictures = sorted({*names} - {*grids})
    readings = _readings(pictures)
    if grids:
        readings["binvox"] = f"*.binvox: {grids[0]}"
    if len(readings) == 1:
        return next(iter(readings))
    if readings:
        choices = " and ".join(f"as {layout} ({why})" for layout, why in readings.items())
        ways = "two" if len(readings) == 2 else "three"
        raise UsageError(f"{source} can be read in {ways} ways: {choices}. Choose one with --layout.")
    if pictures:
        raise CollectionError(
            f"The pictures in {source}, such as {pictures[0]}, fit neither the layout {BY_SHAPE.pattern} nor "
            f"{BY_NAME.pattern}. Move or rename the pictures to fit one of them.{_too_deep(source, pictures)}"
        )
    if list_files(source, MESHES):
        raise CollectionError(
            f"{source} holds meshes, neither views nor grids. To make views or grids: shapecnn render or "
            f"shapecnn voxelize {shlex.quote(str(source))} OUT"
        )
    views, solids = (", ".join(sorted(extensions)) for extensions in (EXTENSIONS, GRIDS))
    raise CollectionError(
        f"{source} holds neither views ({views}) nor grids ({solids}). Pass a folder or zip of such files, or an npz."
    )


def _require_foreign(source: Path) -> None:
    """Raise CollectionError if shapecnn made ``source``, or it lies inside an artefact folder."""
    problem = explain_kind(source, "a folder of views or grids that other programs made")
    resolved = source.resolve()
    parent = next(
        (folder for folder in resolved.parents if kind_of(folder) == "artefacts" and _wrote(folder, resolved)), None
    )
    if problem is None and parent is not None:
        problem = (
            f"{source} is a part of {parent}, a folder of artefacts, which needs no import: pass {parent} directly."
        )
    if problem is not None:
        raise CollectionError(problem)


def _wrote(folder: Path, source: Path) -> bool:
    """Tell whether shapecnn wrote any file in ``source``, a path inside the artefact folder ``folder``."""
    return any((folder / name).is_relative_to(source) for name in written_hashes(folder))


def _too_deep(source: Path, pictures: list[str]) -> str:
    """Return advice to import a parent folder, if ``source`` is only one class or split of a data set; else ``""``."""
    if not source.is_dir():
        return ""
    resolved = source.resolve()
    for prefix in (resolved.parts[-1:], resolved.parts[-2:], resolved.parts[-3:]):
        names = ["/".join([*prefix, name]) for name in pictures]
        if any(all(each.place(PurePosixPath(name).parts) for name in names) for each in _ARRANGEMENTS.values()):
            return f" {source} may be a part of a larger data set: try {resolved.parents[len(prefix) - 1]}."
    return ""


def _readings(pictures: list[str]) -> dict[str, str]:
    """Return the layouts that fit the paths of all pictures; if there is none, those that fit some pictures.

    The result maps each layout to its path pattern and an example path, for an error message.
    """
    fitting = {
        layout: [name for name in pictures if arrangement.place(PurePosixPath(name).parts)]
        for layout, arrangement in _ARRANGEMENTS.items()
    }
    best = [layout for layout, names in fitting.items() if names and len(names) == len(pictures)]
    best = best or [layout for layout, names in fitting.items() if names]
    return {layout: f"{_ARRANGEMENTS[layout].pattern}: {fitting[layout][0]}" for layout in best}
