"""A folder of artefacts, read back: what it was made with, what is in it, and the pictures or grids of each shape."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import MANIFEST, REMEDY, SETTINGS, Entry, artefact_files, artefact_stems, read_manifest
from shapecnn.errors import ItemError, UsageError
from shapecnn.settings.artefacts import input_settings, require_current
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.publishing import WORK
from shapecnn.storage.reading import sha256
from shapecnn.storage.sealed import Sealed, open_sealed
from shapecnn.views import split_sheet
from shapecnn.views.cameras import columns
from shapecnn.voxels import binvox


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What ``render``, ``voxelize`` or ``data import`` made of a collection. The artefacts are read when asked for.

    settings: the content of ``settings.json``.  entries: the shapes that have artefacts, in order of id.
    """

    folder: Path
    settings: Mapping[str, Any]
    entries: tuple[Entry, ...]
    _stems: Mapping[str, str]
    _sealed: Sealed

    def select(self, split: str | None) -> list[Entry]:
        """The entries of one split, in order of id."""
        return [entry for entry in self.entries if entry.split == split]

    def pictures(self, entry: Entry) -> NDArray[np.uint8]:
        """The views of one shape, (V, S, S) uint8, 255 where there is nothing.

        Raises StoredDataError if they are missing, damaged or of another size, UsageError if these are grids.
        """
        self._require("views", "shapecnn render COLLECTION OUT")
        views, size = self.settings["views"], self.settings["size"]
        names = self._names(entry)
        if self.settings["layout"] == "files":
            return np.stack([self._decoded(name, _grey, size, size) for name in names])
        across = columns(views)
        sheet = self._decoded(names[0], _grey, across * size, views // across * size)
        return split_sheet(sheet, views)

    def grids(self, entry: Entry) -> NDArray[np.bool_]:
        """The grids of one shape, (rotations, R, R, R) bool, [rotation, x, y, z] with z up.

        Raises StoredDataError if they are missing, damaged or of another size, UsageError if these are pictures.
        """
        self._require("voxels", "shapecnn voxelize COLLECTION OUT")
        side = self.settings["resolution"]
        return np.stack([self._decoded(name, _grid, side) for name in self._names(entry)])

    def digest(self, entry: Entry) -> str:
        """SHA-256 (hex) of the artefacts of one shape, the same for shapes that look the same to a network.

        Raises StoredDataError if they are missing.
        """
        return sha256(b"".join(map(self._sealed.read, self._names(entry))))

    def file(self, entry: Entry) -> Path:
        """The first artefact of one shape."""
        return self.folder / self._names(entry)[0]

    def unlisted(self) -> list[str]:
        """Artefacts that should be there and have no hash: they will not be read."""
        return [name for entry in self.entries for name in self._names(entry) if name not in self._sealed.sums]

    def _names(self, entry: Entry) -> list[str]:
        return artefact_files(self.settings, self._stems[entry.id])

    def _decoded(self, name: str, decode: Callable[..., NDArray[Any]], *size: int) -> NDArray[Any]:
        content = self._sealed.read(name)
        with self._sealed.expecting(name):
            return decode(content, *size)

    def _require(self, kind: str, command: str) -> None:
        if self.settings["kind"] != kind:
            names = {"views": "pictures", "voxels": "grids"}
            raise UsageError(
                f"{self.folder} holds {names[self.settings['kind']]}, not {names[kind]}. To make those: {command}"
            )


def open_artefacts(folder: Path) -> Artefacts:
    """The artefacts in ``folder``.

    Raises UsageError if it is not a finished folder of artefacts, StoredDataError if its settings or its manifest are
    damaged, MismatchError if an earlier version of shapecnn made them, and would make others now.
    """
    if kind_of(folder) is None and (folder / WORK).is_dir():
        raise UsageError(f"The artefacts in {folder} are unfinished. Run the command that makes them once more.")
    require_kind(
        folder,
        "artefacts",
        "To make artefacts of meshes: shapecnn render COLLECTION OUT, or shapecnn voxelize COLLECTION OUT; of views or "
        "grids that others made: shapecnn data import SRC OUT",
    )
    entries = read_manifest(folder)
    sealed = open_sealed(folder, REMEDY)
    settings = _settings(sealed)
    with sealed.expecting(MANIFEST):
        stems = artefact_stems([entry.id for entry in entries])  # failed ones too decide which keep their extension
    made = sorted((entry for entry in entries if entry.status == "ok"), key=lambda entry: entry.id)
    again = (
        f"Run the command that made it once more, which makes only what is missing or damaged: "
        f"{_command(folder, settings)} (with the same options)."
    )
    return Artefacts(
        folder,
        settings,
        tuple(made),
        {entry.id: stem for entry, stem in zip(entries, stems, strict=True)},
        replace(sealed, remedy=again),
    )


def _settings(sealed: Sealed) -> dict[str, Any]:
    settings = sealed.json(SETTINGS)
    again = f"Make it anew: {_command(Path('OUT'), settings)} (with the same options)."
    require_current(settings, str(sealed.folder), again)
    with sealed.expecting(SETTINGS):
        if settings.get("schema_version") != 1:
            raise ValueError("it is of another version")
        known = input_settings(settings)
        if settings.get("hash") != known.digest():
            raise ValueError("its own hash is another")
        if known.kind == "views" and settings.get("layout") not in ("sheet", "files"):
            raise ValueError("its layout is none")
    return settings


def _command(folder: Path, settings: Mapping[str, Any]) -> str:
    """What makes such artefacts."""
    out = shlex.quote(str(folder))
    if settings.get("origin") == "imported":
        return f"shapecnn data import SRC {out}"
    return f"shapecnn {'render' if settings.get('kind') == 'views' else 'voxelize'} COLLECTION {out}"


def _grey(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) of a PNG file; ValueError for any other."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode == "L" and image.size == (width, height):
                return np.asarray(image)
            found = f"it is {image.mode} with {image.width} × {image.height} pixels, not L with {width} × {height}"
    except Exception as error:  # a decoder fed with anything raises anything
        found = f"it cannot be read as PNG: {error}"
    raise ValueError(found)


def _grid(data: bytes, side: int) -> NDArray[np.bool_]:
    """(side, side, side) of a binvox file; ValueError for any other."""
    try:
        grid = binvox.read(data)
    except ItemError as error:
        raise ValueError(str(error)) from None
    if grid.shape != (side, side, side):
        raise ValueError(f"it has {' × '.join(map(str, grid.shape))} cells, not {side} × {side} × {side}")
    return grid
