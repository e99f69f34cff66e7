"""Read the manifest of an artefact folder (its table of shapes), and name the artefact files of each shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import CollectionError, visible
from shapecnn.settings.networks import QuantityName
from shapecnn.storage.sealed import Sealed, open_sealed
from shapecnn.storage.tables import read_table

MANIFEST, SETTINGS = "manifest.parquet", "settings.json"


REMEDY = "Put it back from a copy, or run the command that made it once more, with --overwrite."
"""Advice that ends every error message about damaged artefacts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a manifest: a shape, its label and split, and whether its artefacts could be made.

    Attributes:
        id: Path of the source file relative to its collection, with extension.
        label: Class name; None if unknown.
        split: ``train``, ``val`` or ``test``; None if unknown.
        sha256: SHA-256 (hex) of the source files of the artefacts; None if they could not be read.
        status: ``ok`` if the shape has artefacts, else ``failed``.
        error: Why the artefacts could not be made, in one sentence; None for ``ok``.
        note: Sentence on what the reader of the source file ignored, such as trailing bytes. None if nothing was
            ignored, and in manifests of earlier versions of shapecnn, which lack this column.
        area: Surface area of the shape, scaled so that its farthest vertex has distance 1 from the centre of its
            bounding box. None if the artefacts were not made of a mesh, and in manifests of earlier versions.
        volume: Volume that the surface of the scaled shape encloses; None also if the surface is not closed, see
            :func:`shapecnn.meshes.quantities.enclosed_volume`.
    """

    id: str
    label: str | None
    split: str | None
    sha256: str | None
    status: Literal["ok", "failed"]
    error: str | None
    note: str | None = None
    area: float | None = None
    volume: float | None = None


def one_vs_rest(entries: Sequence[Entry], label: str) -> list[Entry]:
    """Replace the label of each shape that is not of one class by ``not`` and the name of this class.

    Args:
        entries: Rows of the manifest. A shape without a label stays as it is.
        label: Name of the class, such as ``mug``; the others become ``not mug``.
    """
    return [entry if entry.label in (label, None) else replace(entry, label=f"not {label}") for entry in entries]


def quantities(entries: Sequence[Entry], name: QuantityName) -> NDArray[np.float64]:
    """Return the area or the volume of N shapes, (N,) float64, with NaN for each shape whose value is not known.

    Args:
        entries: Rows of the manifest.
        name: ``area`` or ``volume``.
    """
    values = [entry.area if name == "area" else entry.volume for entry in entries]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def artefact_files(settings: Mapping[str, Any], stem: str) -> list[str]:
    """Return the paths of one shape's artefact files, relative to the artefact folder.

    Args:
        settings: Content of ``settings.json``.
        stem: Path of the artefact without the number of the view or rotation and without extension; see
            :func:`artefact_stems`.

    Returns:
        One path for each file, in the order of views or rotations.
    """
    if settings["kind"] == "voxels":
        count = settings.get("rotations", 1)
        return [f"{stem}.binvox"] if count == 1 else [f"{stem}_r{k:02d}.binvox" for k in range(count)]
    if settings["layout"] == "sheet":
        return [f"{stem}.png"]
    return [f"{stem}_{view:03d}.png" for view in range(1, settings["views"] + 1)]


def why_unknown(entries: Sequence[Entry]) -> str:
    """Return a sentence for messages: why the area or the volume of some or all shapes of a folder is not known."""
    if any(entry.area is not None for entry in entries):
        return "Only a closed, consistently oriented surface has a volume."
    return (
        "Its meshes were not measured: run the command that made it once more, which keeps finished artefacts. "
        "Imported views and grids have no meshes."
    )


def read_manifest(out: Path) -> list[Entry]:
    """Read the manifest (the table of shapes) of a finished artefact folder.

    Args:
        out: The artefact folder.

    Returns:
        The rows of the manifest in order of id, including failed shapes.

    Raises:
        StoredDataError: The manifest or its stored hash is missing or damaged.
    """
    return read_entries(open_sealed(out, REMEDY))


def read_entries(sealed: Sealed) -> list[Entry]:
    """Read the manifest of an artefact folder whose hashes have been read; see :func:`read_manifest`.

    Args:
        sealed: The artefact folder.

    Raises:
        StoredDataError: The manifest or its stored hash is missing or damaged.
    """
    content = sealed.read(MANIFEST)
    with sealed.validating(MANIFEST):
        return read_table(Entry, content)


def artefact_stems(ids: Sequence[str]) -> list[str]:
    """Return the stem of each shape: the path of its artefact, relative to the artefact folder, without extension.

    The stem is the id without its file extension. Ids that differ only in their extension keep the extension.

    Args:
        ids: Unique ids of all shapes of the artefact folder, including failed shapes.

    Returns:
        One stem for each id, in the same order; no two stems are equal.

    Raises:
        CollectionError: Two shapes would get the same stem, such as ``a.off.obj`` beside ``a.off`` and ``a.ply``.
    """
    bare = [str(PurePosixPath(i).with_suffix("")) for i in ids]
    counts = Counter(bare)
    stems = [i if counts[stem] > 1 else stem for i, stem in zip(ids, bare, strict=True)]
    owners: dict[str, str] = {}
    for shape_id, stem in zip(ids, stems, strict=True):
        other = owners.setdefault(stem, shape_id)
        if other != shape_id:
            both = f"{other} and {shape_id}"
            raise CollectionError(visible(f"{both} would both be written to the file {stem}: rename one of them."))
    return stems
