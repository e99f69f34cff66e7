"""Read an artefact folder: its settings, its table of shapes, and the views or grids of each shape as arrays."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import MANIFEST, REMEDY, SETTINGS, Entry, artefact_files, artefact_stems, read_entries
from shapecnn.errors import ItemError, StoredDataError, UsageError
from shapecnn.settings.views_and_grids import input_settings, require_current
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.objects.shards import sample_name
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.reading import sha256
from shapecnn.storage.sealed import Sealed, open_sealed, printable
from shapecnn.storage.unfinished import WORK
from shapecnn.views import split_sheet
from shapecnn.views.cameras import columns
from shapecnn.voxels import binvox


@dataclass(frozen=True, slots=True, repr=False)
class Artefacts:
    """Rendered views or voxel grids of a collection, written by ``render``, ``voxelize`` or ``data import``.

    Each file is read only when it is requested.

    Attributes:
        folder: The artefact folder.
        settings: Content of ``settings.json``.
        entries: Rows of the manifest in order of id, without the failed shapes.
        failed: Rows of the failed shapes, in order of id.
    """

    folder: Path
    settings: Mapping[str, Any]
    entries: tuple[Entry, ...]
    _stems: Mapping[str, str]
    _sealed: Sealed
    failed: tuple[Entry, ...] = ()

    def __repr__(self) -> str:
        """Return a short description: the folder, the kind of artefacts and the number of shapes."""
        return f"<Artefacts {self.folder}: {self.settings['kind']} of {len(self.entries)} shapes>"

    def select(self, split: str | None) -> list[Entry]:
        """Return the shapes of one split.

        Args:
            split: Name of the split; None selects the shapes without a split.

        Returns:
            The selected :attr:`entries`, in order of id.
        """
        return [entry for entry in self.entries if entry.split == split]

    def pictures(self, entry: Entry) -> NDArray[np.uint8]:
        """Read the rendered views of one shape.

        Args:
            entry: One of :attr:`entries`.

        Returns:
            (V, S, S) uint8: V views of S × S pixels, from 0 (black) to 255 (white, the background).

        Raises:
            StoredDataError: A file is missing or damaged, or has the wrong size.
            UsageError: The folder holds voxel grids, not views.
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
        """Read the voxel grids of one shape, one grid for each rotation.

        Args:
            entry: One of :attr:`entries`.

        Returns:
            (K, R, R, R) bool: K rotations of a grid with R cells along each side, indexed [rotation, x, y, z] with z
            up. Filled cells are True.

        Raises:
            StoredDataError: A file is missing or damaged, or has the wrong size.
            UsageError: The folder holds views, not voxel grids.
        """
        self._require("voxels", "shapecnn voxelize COLLECTION OUT")
        side = self.settings["resolution"]
        return np.stack([self._decoded(name, _grid, side) for name in self._names(entry)])

    def digest(self, entry: Entry) -> str:
        """Compute one hash of all artefact files of a shape.

        Two shapes with the same hash are the same input for a network, so no network can distinguish them.

        Args:
            entry: One of :attr:`entries`.

        Returns:
            SHA-256 (hex) of the concatenated artefact files.

        Raises:
            StoredDataError: A file is missing or damaged.
        """
        return sha256(b"".join(self.contents(entry)))

    def contents(self, entry: Entry) -> Iterator[bytes]:
        """Read the artefact files of a shape one after the other, without decoding them.

        Args:
            entry: One of :attr:`entries`.

        Yields:
            Content of each file, in the order of views or rotations.

        Raises:
            StoredDataError: A file is missing or damaged.
        """
        return map(self._sealed.read, self._names(entry))

    def hashes(self, entry: Entry) -> dict[str, str]:
        """Return the recorded hashes of a shape's artefact files, without reading the files.

        Args:
            entry: One of :attr:`entries`.

        Returns:
            SHA-256 (hex) of each file by its path in the folder, in the order of views or rotations.

        Raises:
            StoredDataError: ``SHA256SUMS`` does not list a file.
        """
        try:
            return {name: self._sealed.sums[name] for name in self._names(entry)}
        except KeyError as missing:
            raise StoredDataError(
                f"{self.folder / SUMS} has no hash of {printable(missing.args[0])}. {self._sealed.remedy}"
            ) from None

    def file(self, entry: Entry) -> Path:
        """Return the path of a shape's first artefact file: its first view, its contact sheet or its first rotation."""
        return self.folder / self._names(entry)[0]

    def files_without_hash(self) -> list[str]:
        """Return the paths of artefact files that cannot be read because ``SHA256SUMS`` has no hash of them."""
        return [name for entry in self.entries for name in self._names(entry) if name not in self._sealed.sums]

    def _names(self, entry: Entry) -> list[str]:
        return artefact_files(self.settings, self._stems[entry.id])

    def _decoded(self, name: str, decode: Callable[..., NDArray[Any]], *size: int) -> NDArray[Any]:
        content = self._sealed.read(name)
        with self._sealed.validating(name):
            return decode(content, *size)

    def _require(self, kind: str, command: str) -> None:
        if self.settings["kind"] != kind:
            names = {"views": "views", "voxels": "voxel grids"}
            raise UsageError(
                f"{self.folder} holds {names[self.settings['kind']]}, not {names[kind]}. "
                f"To make {names[kind]}: {command}"
            )


def open_artefacts(folder: str | Path) -> Artefacts:
    """Open a folder of artefacts (rendered views or voxel grids). The views or grids are read later, shape by shape.

    Args:
        folder: Folder that :func:`shapecnn.prepare`, ``render``, ``voxelize`` or ``data import`` made, or its URL.

    Returns:
        The artefacts of all shapes except the failed ones. ``entries`` lists the shapes; ``pictures(entry)`` and
        ``grids(entry)`` read one shape from disk.

    Raises:
        UsageError: ``folder`` is not a folder of artefacts, or the command that makes it did not finish.
        StoredDataError: The stored settings or the manifest are damaged.
        MismatchError: The artefacts are from a version of shapecnn that draws or voxelizes meshes differently.

    Example:
        >>> import shapecnn
        >>> artefacts = shapecnn.open_artefacts("views")
        >>> artefacts.pictures(artefacts.entries[0]).shape
        (12, 32, 32)
    """
    folder = as_path(folder)
    if kind_of(folder) is None and (folder / WORK).is_dir():
        raise UsageError(
            f"The artefacts in {folder} are unfinished. To finish them, run the command that makes them again."
        )
    require_kind(
        folder,
        "artefacts",
        "To make artefacts of meshes: shapecnn render COLLECTION OUT, or shapecnn voxelize COLLECTION OUT. To convert "
        "views or grids of other programs: shapecnn data import SRC OUT",
    )
    sealed = open_sealed(folder, REMEDY)
    entries = read_entries(sealed)
    settings = _settings(sealed)
    with sealed.validating(MANIFEST):
        stems = artefact_stems([entry.id for entry in entries])  # the ids of failed shapes affect the stems too
    ordered = sorted(entries, key=lambda entry: entry.id)
    remedy = (
        f"Run the command that made it once more, which makes only the missing and damaged files: "
        f"{_command(folder, settings)} (with the same options)."
    )
    return Artefacts(
        folder,
        settings,
        tuple(entry for entry in ordered if entry.status == "ok"),
        {entry.id: stem for entry, stem in zip(entries, stems, strict=True)},
        replace(sealed, remedy=remedy),
        tuple(entry for entry in ordered if entry.status == "failed"),
    )


def shard_names(folder: Path) -> dict[str, str]:
    """Name the files of artefacts for tar shards, so that all files of a shape are one sample of WebDataset.

    Args:
        folder: Folder of the artefacts.

    Returns:
        Name in a shard of each view or grid, by its path in the folder; such as ``chair/a.003.png``, for view 3 of
        ``chair/a``.
    """
    artefacts = open_artefacts(folder)
    stems = ((artefacts._stems[entry.id], artefacts._names(entry)) for entry in artefacts.entries)
    return {name: sample_name(stem, name[len(stem) + 1 :]) for stem, names in stems for name in names}


def _settings(sealed: Sealed) -> dict[str, Any]:
    """Read the ``settings.json`` of an artefact folder, and check its version, its hash and its layout."""
    settings = sealed.json(SETTINGS)
    remedy = f"Make the artefacts again: {_command(Path('OUT'), settings)} (with the same options)."
    require_current(settings, str(sealed.folder), remedy)
    with sealed.validating(SETTINGS):
        if settings.get("schema_version") != 1:
            raise ValueError("schema_version must be 1")
        parsed = input_settings(settings)
        if settings.get("hash") != parsed.digest():
            raise ValueError("the stored hash does not match the settings")
        if parsed.kind == "views" and settings.get("layout") not in ("sheet", "files"):
            raise ValueError("layout must be sheet or files")
    return settings


def _command(folder: Path, settings: Mapping[str, Any]) -> str:
    """Return the shell command that makes artefacts of this kind, with placeholders, to quote in error messages."""
    out = shlex.quote(str(folder))
    if settings.get("origin") == "imported":
        return f"shapecnn data import SRC {out}"
    return f"shapecnn {'render' if settings.get('kind') == 'views' else 'voxelize'} COLLECTION {out}"


def _grey(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """Decode a grey PNG file as (height, width) uint8; raise ValueError for another format, mode or size."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode == "L" and image.size == (width, height):
                return np.asarray(image)
            problem = (
                f"the picture is {image.mode} with {image.width} × {image.height} pixels, not L with {width} × {height}"
            )
    except Exception as error:  # on arbitrary input, a decoder can raise any exception
        problem = f"the file cannot be read as PNG: {error}"
    raise ValueError(problem)


def _grid(data: bytes, side: int) -> NDArray[np.bool_]:
    """Decode a binvox file as (side, side, side) bool; raise ValueError for another format or size."""
    try:
        grid = binvox.read(data)
    except ItemError as error:
        raise ValueError(str(error)) from None
    if grid.shape != (side, side, side):
        raise ValueError(f"the grid has {' × '.join(map(str, grid.shape))} cells, not {side} × {side} × {side}")
    return grid
