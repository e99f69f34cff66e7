"""How what others made is laid out, found by looking at the names of files.

A layout is one that fits all pictures, or all grids. Where two fit, the person is asked: whoever takes the one for the
other gets other shapes, without a word.
"""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from shapecnn.artefacts.imports.pictures import BY_NAME, BY_SHAPE, EXTENSIONS
from shapecnn.errors import CollectionError, UsageError
from shapecnn.meshes.collection import list_files, printable
from shapecnn.meshes.mesh import EXTENSIONS as MESHES
from shapecnn.storage.kinds import kind_of, taken_for
from shapecnn.storage.publishing import written

GRIDS = frozenset({".binvox"})
_ARRANGEMENTS = {"views-by-shape": BY_SHAPE, "views-by-name": BY_NAME}


def find_layout(source: Path) -> str:
    """The layout of ``source``, one of :data:`shapecnn.artefacts.imports.LAYOUTS`.

    Raises:
        CollectionError: There is no such source, or it fits no layout.
        UsageError: It fits more than one.
    """
    if source.is_file() and source.suffix.lower() == ".npz":
        return "voxels-npz"
    if source.is_file() and source.suffix.lower() == ".csv":
        return "binvox"
    _require_others(source)
    names = sorted(printable(file.id) for file in list_files(source, EXTENSIONS | GRIDS))
    grids = [name for name in names if PurePosixPath(name).suffix.lower() in GRIDS]
    pictures = sorted({*names} - {*grids})
    readings = _readings(pictures)
    if grids:
        readings["binvox"] = f"*.binvox: {grids[0]}"
    if len(readings) == 1:
        return next(iter(readings))
    if readings:
        told = " and ".join(f"as {layout} ({why})" for layout, why in readings.items())
        ways = "two" if len(readings) == 2 else "three"
        raise UsageError(f"{source} can be read in {ways} ways: {told}. Say which with --layout.")
    if pictures:
        patterns = f"neither {BY_SHAPE.pattern} nor {BY_NAME.pattern}"
        raise CollectionError(f"{source} is {patterns}: {pictures[0]} lies elsewhere.{_too_deep(source, pictures)}")
    if list_files(source, MESHES):
        raise CollectionError(
            f"{source} holds meshes and neither views nor grids of them: to make these, shapecnn render or shapecnn "
            f"voxelize {shlex.quote(str(source))} OUT."
        )
    views, solids = (", ".join(sorted(extensions)) for extensions in (EXTENSIONS, GRIDS))
    raise CollectionError(
        f"{source} holds neither views ({views}) nor grids ({solids}). Give a folder or a zip that does, or an npz."
    )


def _require_others(source: Path) -> None:
    """Raise CollectionError for what shapecnn made itself, also where it is a folder below or above what was given."""
    told = taken_for(source, "a folder of views or grids that others made")
    whole = source.resolve()
    around = next(
        (folder for folder in whole.parents if kind_of(folder) == "artefacts" and _wrote(folder, whole)), None
    )
    if told is None and around is not None:
        told = f"{source} is a part of {around}, a folder of artefacts, which need no import: use that folder as it is."
    if told is not None:
        raise CollectionError(told)


def _wrote(folder: Path, source: Path) -> bool:
    """Whether shapecnn wrote anything in ``source``, which lies below artefacts and may be somebody else's."""
    return any((folder / name).is_relative_to(source) for name in written(folder))


def _too_deep(source: Path, pictures: list[str]) -> str:
    """What to give instead, where a class or a split inside the folder that is meant was given."""
    if not source.is_dir():
        return ""
    whole = source.resolve()
    for around in (whole.parts[-1:], whole.parts[-2:], whole.parts[-3:]):
        placed = ["/".join([*around, name]) for name in pictures]
        if any(all(each.place(PurePosixPath(name).parts) for name in placed) for each in _ARRANGEMENTS.values()):
            return f" It may lie inside what can be imported: try {whole.parents[len(around) - 1]}."
    return ""


def _readings(pictures: list[str]) -> dict[str, str]:
    """The layouts that fit all pictures, or where none does, some of them; each with its pattern and an example."""
    fitting = {
        layout: [name for name in pictures if arrangement.place(PurePosixPath(name).parts)]
        for layout, arrangement in _ARRANGEMENTS.items()
    }
    best = [layout for layout, names in fitting.items() if names and len(names) == len(pictures)]
    best = best or [layout for layout, names in fitting.items() if names]
    return {layout: f"{_ARRANGEMENTS[layout].pattern}: {fitting[layout][0]}" for layout in best}
