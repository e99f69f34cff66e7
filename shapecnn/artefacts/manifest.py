"""Manifest of an artefact folder: its rows, and the file names of each shape's artefacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from shapecnn.errors import (
    CollectionError,
    visible,
)
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import read_table

MANIFEST, SETTINGS = "manifest.parquet", "settings.json"


REMEDY = "Put it back from a copy, or run the command that made it once more, with --overwrite."
"""Last sentence of an error message about damaged artefacts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a manifest: the result for one shape.

    Attributes:
        id: Path of the shape in its collection, with extension.
        label: Class name; None if unknown.
        split: ``train``, ``val`` or ``test``; None if unknown.
        sha256: SHA-256 (hex) of the files that the artefacts were made from; None if they could not be read.
        status: ``ok`` if the shape has artefacts, else ``failed``.
        error: Why it failed, in one sentence; None for ``ok``.
        note: What its file contains and the artefacts do not show, in one sentence; None if there is nothing to note,
            and in manifests of earlier versions, which lack this column.
    """

    id: str
    label: str | None
    split: str | None
    sha256: str | None
    status: Literal["ok", "failed"]
    error: str | None
    note: str | None = None


def artefact_files(settings: Mapping[str, Any], stem: str) -> list[str]:
    """Return the relative paths of one shape's artefacts.

    Args:
        settings: Content of ``settings.json``.
        stem: Path of the artefact without suffix and extension; see :func:`artefact_stems`.

    Returns:
        One path for each file, in the order of views or rotations.
    """
    if settings["kind"] == "voxels":
        count = settings.get("rotations", 1)
        return [f"{stem}.binvox"] if count == 1 else [f"{stem}_r{k:02d}.binvox" for k in range(count)]
    if settings["layout"] == "sheet":
        return [f"{stem}.png"]
    return [f"{stem}_{view:03d}.png" for view in range(1, settings["views"] + 1)]


def read_manifest(out: Path) -> list[Entry]:
    """Read the manifest of a finished artefact folder.

    Args:
        out: The artefact folder.

    Returns:
        Its rows in order of id, including failed shapes.

    Raises:
        StoredDataError: The manifest or its hash is missing or damaged.
    """
    sealed = open_sealed(out, REMEDY)
    content = sealed.read(MANIFEST)
    with sealed.validating(MANIFEST):
        return read_table(Entry, content)


def artefact_stems(ids: Sequence[str]) -> list[str]:
    """Return the path of each shape's artefact without extension.

    This is the id without its extension; ids that differ only in their extension keep it.

    Args:
        ids: Unique ids of all shapes of the folder, failed ones included.

    Returns:
        One stem for each id, in the same order; all are different.

    Raises:
        CollectionError: Two stems are still equal, such as for ``a.off.obj`` beside ``a.off`` and ``a.ply``.
    """
    bare = [str(PurePosixPath(i).with_suffix("")) for i in ids]
    counts = Counter(bare)
    stems = [i if counts[stem] > 1 else stem for i, stem in zip(ids, bare, strict=True)]
    owners: dict[str, str] = {}
    for shape_id, stem in zip(ids, stems, strict=True):
        other = owners.setdefault(stem, shape_id)
        if other != shape_id:
            both = f"{other} and {shape_id}"
            raise CollectionError(visible(f"{both} would be written to one file, {stem}: rename one of them."))
    return stems
