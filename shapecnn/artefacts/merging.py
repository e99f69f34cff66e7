"""Merge artefact folders that hold the shards of one collection, so that the result is that of one run.

The shapes of all parts pass through :mod:`shapecnn.artefacts.writing`, which writes, continues and publishes the merged
folder as it does for ``render`` and ``voxelize``. Each file is copied after its hash has been checked. It is not
linked: an edit of a merged file would change the part, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.artefacts.maker import ArtefactData, Facts
from shapecnn.artefacts.manifest import REMEDY, Entry, read_manifest
from shapecnn.artefacts.previous import PreviousArtefacts
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.artefacts.writing import Summary, make_artefacts
from shapecnn.errors import ItemError, MismatchError
from shapecnn.meshes.shards import Part, different, require_members, require_total
from shapecnn.settings.base import Settings
from shapecnn.settings.views_and_grids import input_settings, require_same
from shapecnn.storage.sealed import Sealed
from shapecnn.workers.progress import Progress, no_progress, stage


@dataclass(frozen=True, slots=True)
class PartItem:
    """One shape of a part. Implements :class:`shapecnn.artefacts.maker.BatchItem`.

    Attributes:
        entry: Row of the manifest of the part.
        folder: Folder of the part.
        hashes: SHA-256 (hex) of each artefact file, by its path in the part; empty for a failed shape.
    """

    entry: Entry
    folder: Path
    hashes: dict[str, str]

    @property
    def id(self) -> str:
        """Id of the shape."""
        return self.entry.id

    @property
    def label(self) -> str | None:
        """Class of the shape; None if unknown."""
        return self.entry.label

    @property
    def split(self) -> str | None:
        """Split of the shape; None if unknown."""
        return self.entry.split

    @property
    def path(self) -> str:
        """Id of the shape: a part does not know the path of the mesh file."""
        return self.entry.id

    @property
    def facts(self) -> Facts:
        """What the part records about the mesh."""
        return Facts(self.entry.note, self.entry.area, self.entry.volume)


@dataclass(frozen=True, slots=True)
class Copier:
    """Reads the artefact files of a shape from its part. Implements :class:`shapecnn.artefacts.maker.Maker`.

    Attributes:
        stored: Content of ``settings.json``, the same in all parts.
    """

    stored: dict[str, Any]

    @property
    def settings(self) -> Settings:
        """Settings of the views or voxel grids."""
        return input_settings(self.stored)

    @property
    def measures(self) -> bool:
        """Whether area and volume are recorded: always True, because parts are made of meshes."""
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``settings.json``."""
        return self.stored

    def open(self, item: PartItem) -> tuple[str, Callable[[], ArtefactData]]:
        """Return the recorded hash of the mesh file of a shape, and a function that reads the artefact files.

        Args:
            item: The shape.

        Raises:
            ItemError: The shape failed in its part. If its mesh could be hashed, the returned function raises this
                error.
        """
        entry = item.entry

        def read() -> ArtefactData:
            if entry.error is not None:
                raise ItemError("format", entry.error)
            return ArtefactData(_contents(item), item.facts)

        if entry.sha256 is None:
            read()
        return entry.sha256 or "", read


def _contents(item: PartItem) -> Iterator[bytes]:
    sealed = Sealed(item.folder, item.hashes, REMEDY)
    return map(sealed.read, item.hashes)


def merge_artefacts(
    parts: Mapping[Path, Part],
    out: Path,
    *,
    command: str,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Summary:
    """Merge the artefacts of all shards of a collection into one folder.

    Args:
        parts: The parts by folder, in any order, from :func:`shapecnn.meshes.shards.read_parts`.
        out: The merged artefact folder: absent, empty, or made by an earlier command.
        command: Shell command that makes ``out``; error messages quote it.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        progress: Called with the number of finished shapes and the number of all shapes.

    Returns:
        Numbers of written, skipped and failed shapes, and the error of each failed shape.

    Raises:
        UsageError: A folder is not a folder of artefacts, or ``out`` has files that shapecnn did not write.
        MismatchError: The parts were made with different settings, or differ in a shape.
        StoredDataError: A part is damaged.
        BusyError: Another process is writing to ``out``.
    """
    items: dict[str, PartItem] = {}
    stored: dict[str, Any] = {}
    with stage("Reading the parts", "parts") as seen:
        for done, (folder, part) in enumerate(parts.items(), start=1):
            artefacts = open_artefacts(folder)
            stored = stored or {**artefacts.settings}
            _require_same_settings(stored, artefacts, next(iter(parts)))
            _collect(artefacts, part, items)
            seen(done, len(parts))
    require_total(parts, len(items))
    ordered = [items[shape_id] for shape_id in sorted(items)]
    return make_artefacts(
        ordered,
        out,
        Copier(stored),
        command=command,
        keeps=_is_current,
        overwrite=overwrite,
        workers=None,
        progress=progress,
    )


def _is_current(item: PartItem, previous: PreviousArtefacts) -> bool:
    """Return whether files in the merged folder are those of the part; of the same mesh, others may have been made."""
    held = tuple(item.hashes.values()), item.facts
    return item.entry.error is None and held == (previous.hashes, previous.facts)


def _collect(artefacts: Artefacts, part: Part, items: dict[str, PartItem]) -> None:
    """Add the shapes of a part to ``items``; those of a part of the same shard must have the same content."""
    folder = artefacts.folder
    entries = read_manifest(folder)
    require_members(folder, part, (entry.id for entry in entries), REMEDY)
    for entry in entries:
        hashes = artefacts.hashes(entry) if entry.status == "ok" else {}
        known = items.setdefault(entry.id, PartItem(entry, folder, hashes))
        if (known.entry, known.hashes) != (entry, hashes):
            raise different(entry.id, known.folder, folder)


def _require_same_settings(stored: dict[str, Any], artefacts: Artefacts, first: Path) -> None:
    """Raise MismatchError unless the artefacts of a part have the settings of the first part."""
    remedy = f"The values here are those of {first}: make all parts with the same options."
    settings = {key: value for key, value in artefacts.settings.items() if key not in ("schema_version", "layout")}
    require_same(input_settings(stored).to_json(), settings, str(artefacts.folder), remedy)
    layouts = artefacts.settings.get("layout"), stored.get("layout")
    if layouts[0] != layouts[1]:
        raise MismatchError(
            f"{artefacts.folder} was made with --layout {layouts[0]} and {first} with --layout {layouts[1]}: make all "
            f"parts with the same options."
        )
