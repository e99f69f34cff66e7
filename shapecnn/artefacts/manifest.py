"""The manifest of a folder of artefacts: its rows, and how the files of each shape are called."""

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
"""What helps against damaged artefacts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a manifest: what became of one item."""

    id: str
    label: str | None
    split: str | None
    sha256: str | None  # of what it is made from; None where that was not read to the end
    status: Literal["ok", "failed"]
    error: str | None
    note: str | None = None  # what its file holds and the artefacts do not; earlier versions had no such column


def artefact_files(settings: Mapping[str, Any], stem: str) -> list[str]:
    """Relative paths of the artefacts of one item under these ``settings.json``, in the order of views or rotations."""
    if settings["kind"] == "voxels":
        count = settings.get("rotations", 1)
        return [f"{stem}.binvox"] if count == 1 else [f"{stem}_r{k:02d}.binvox" for k in range(count)]
    if settings["layout"] == "sheet":
        return [f"{stem}.png"]
    return [f"{stem}_{view:03d}.png" for view in range(1, settings["views"] + 1)]


def read_manifest(out: Path) -> list[Entry]:
    """The rows of a finished manifest, by id.  Raises StoredDataError."""
    sealed = open_sealed(out, REMEDY)
    content = sealed.read(MANIFEST)
    with sealed.expecting(MANIFEST):
        return read_table(Entry, content)


def artefact_stems(ids: Sequence[str]) -> list[str]:
    """For each id the path of its artefact without extension: the id without its own, kept where ids differ only in it.

    Raises CollectionError if two of them would still write one output (``a.off.obj`` beside ``a.off`` and
    ``a.ply``).
    """
    bare = [str(PurePosixPath(i).with_suffix("")) for i in ids]
    shared = Counter(bare)
    stems = [i if shared[stem] > 1 else stem for i, stem in zip(ids, bare, strict=True)]
    owners: dict[str, str] = {}
    for shape_id, stem in zip(ids, stems, strict=True):
        other = owners.setdefault(stem, shape_id)
        if other != shape_id:
            both = f"{other} and {shape_id}"
            raise CollectionError(visible(f"{both} would be written to one file, {stem}: rename one of them."))
    return stems
