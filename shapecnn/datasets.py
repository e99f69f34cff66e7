"""A folder of artefacts, read back: what it was made with, what is in it, and the pictures or grids of each shape."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts import MANIFEST, SETTINGS, Entry, artefact_files, read_manifest
from shapecnn.collection import artefact_stems
from shapecnn.config import settings_hash
from shapecnn.errors import ItemError, StoredDataError, UsageError
from shapecnn.storage import WORK, published, read_json, sha256
from shapecnn.views import split_sheet
from shapecnn.views.cameras import COLUMNS
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

    def select(self, split: str | None) -> list[Entry]:
        """The entries of one split, in order of id."""
        return [entry for entry in self.entries if entry.split == split]

    def pictures(self, entry: Entry) -> NDArray[np.uint8]:
        """The views of one shape, (V, S, S) uint8, 255 where there is nothing.

        Raises StoredDataError if they are missing, damaged or of another size, UsageError if these are grids.
        """
        self._require("views", "shapecnn render COLLECTION OUT")
        views, size = self.settings["views"], self.settings["size"]
        paths = self._paths(entry)
        if self.settings["layout"] == "files":
            return np.stack([_grey(path, self._bytes(path), size, size) for path in paths])
        columns = COLUMNS[views]
        sheet = _grey(paths[0], self._bytes(paths[0]), columns * size, views // columns * size)
        return split_sheet(sheet, views)

    def grids(self, entry: Entry) -> NDArray[np.bool_]:
        """The grids of one shape, (rotations, R, R, R) bool, [rotation, x, y, z] with z up.

        Raises StoredDataError if they are missing, damaged or of another size, UsageError if these are pictures.
        """
        self._require("voxels", "shapecnn voxelize COLLECTION OUT")
        return np.stack([_grid(path, self._bytes(path), self.settings["resolution"]) for path in self._paths(entry)])

    def digest(self, entry: Entry) -> str:
        """SHA-256 (hex) of the artefacts of one shape, the same for shapes that look the same to a network.

        Raises StoredDataError if they are missing.
        """
        return sha256(b"".join(map(self._bytes, self._paths(entry))))

    def _paths(self, entry: Entry) -> list[Path]:
        return [self.folder / name for name in artefact_files(self.settings, self._stems[entry.id])]

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoredDataError(
                f"{path} cannot be read ({error.strerror}). Run the command that made it once more, which makes only"
                f" what is missing: {_command(self.folder, self.settings)} (with the same options)."
            ) from None

    def _require(self, kind: str, command: str) -> None:
        if self.settings["kind"] != kind:
            names = {"views": "pictures", "voxels": "grids"}
            raise UsageError(
                f"{self.folder} holds {names[self.settings['kind']]}, not {names[kind]}. To make those: {command}"
            )


def open_artefacts(folder: Path) -> Artefacts:
    """The artefacts in ``folder``.

    Raises UsageError if it is not a finished folder of artefacts, StoredDataError if its settings or its manifest are
    damaged.
    """
    if not published(folder, SETTINGS).exists() or not published(folder, MANIFEST).exists():
        if (folder / WORK).exists():
            raise UsageError(f"The artefacts in {folder} are unfinished. Run the command that makes them once more.")
        raise UsageError(
            f"{folder} is no folder of artefacts. To make one, in a folder of its own: shapecnn render COLLECTION OUT,"
            f" shapecnn voxelize COLLECTION OUT or shapecnn data import SRC OUT"
        )
    settings = _read_settings(folder)
    entries = read_manifest(folder)
    stems = artefact_stems([entry.id for entry in entries])  # of all: failed ones too decide which keep their extension
    made = sorted((entry for entry in entries if entry.status == "ok"), key=lambda entry: entry.id)
    return Artefacts(
        folder, settings, tuple(made), {entry.id: stem for entry, stem in zip(entries, stems, strict=True)}
    )


def _read_settings(folder: Path) -> dict[str, Any]:
    path = published(folder, SETTINGS)
    settings = read_json(path)
    if not isinstance(settings, dict) or settings.get("schema_version") != 1:
        raise StoredDataError(f"{path} is damaged or of another version. Remove {folder} and make it again.")
    hashed = {key: value for key, value in settings.items() if key not in ("schema_version", "hash", "layout")}
    pictures = settings.get("kind") == "views"
    if settings.get("hash") != settings_hash(hashed) or (pictures and settings.get("layout") not in ("sheet", "files")):
        raise StoredDataError(f"{path} has been altered: its hash is another. Remove {folder} and make it again.")
    return settings


def _command(folder: Path, settings: Mapping[str, Any]) -> str:
    """What makes such artefacts."""
    out = shlex.quote(str(folder))
    if settings.get("origin") == "imported":
        return f"shapecnn data import SRC {out}"
    return f"shapecnn {'render' if settings['kind'] == 'views' else 'voxelize'} COLLECTION {out}"


def _grey(path: Path, data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode == "L" and image.size == (width, height):
                return np.asarray(image)
            found = f"it is {image.mode} with {image.width} × {image.height} pixels, not L with {width} × {height}"
    except Exception as error:  # a decoder fed with anything raises anything
        found = f"it cannot be read as PNG: {error}"
    raise _damaged(path, found)


def _grid(path: Path, data: bytes, side: int) -> NDArray[np.bool_]:
    try:
        grid = binvox.read(data)
    except ItemError as error:
        raise _damaged(path, str(error)) from None
    if grid.shape != (side, side, side):
        raise _damaged(path, f"it has {' × '.join(map(str, grid.shape))} cells, not {side} × {side} × {side}")
    return grid


def _damaged(path: Path, found: str) -> StoredDataError:
    return StoredDataError(f"{path} is damaged: {found}. Remove it and run the command that made it once more.")
