"""Merge artefact folders that hold the shards of one collection, so that the result is that of one run.

The shapes of all parts pass through :mod:`shapecnn.artefacts.writing`, which writes, continues and publishes the merged
folder as it does for ``render`` and ``voxelize``. Each file is copied after its hash has been checked. It is not
linked: an edit of a merged file would change the part, too. Only files of unfinished work are moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shapecnn.artefacts.maker import ArtefactData, Facts, Finished
from shapecnn.artefacts.manifest import REMEDY, Entry
from shapecnn.artefacts.previous import PreviousArtefacts, require_same_stored
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.artefacts.writing import Summary, make_artefacts
from shapecnn.errors import ItemError
from shapecnn.meshes.parts import collect, same_options
from shapecnn.meshes.shards import Part
from shapecnn.storage.sealed import Sealed
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class PartItem:
    """One shape of a part.

    Implements :class:`shapecnn.artefacts.maker.BatchItem` and :class:`shapecnn.meshes.parts.Held`.

    Attributes:
        entry: Row of the manifest of the part.
        part: Artefacts of the part.
    """

    entry: Entry
    part: Artefacts

    @property
    def folder(self) -> Path:
        """Folder of the part."""
        return self.part.folder

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 (hex) of each artefact file, by its path in the part; empty for a failed shape."""
        return self.part.hashes(self.entry) if self.entry.status == "ok" else {}

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

    def equals(self, other: PartItem) -> bool:
        """Return whether another part of the same shard holds the same of the shape.

        Args:
            other: What the other part holds.
        """
        return (self.entry, self.hashes) == (other.entry, other.hashes)

    @property
    def facts(self) -> Facts:
        """What the part records about the mesh."""
        return Facts(self.entry.note, self.entry.area, self.entry.volume)


@dataclass(frozen=True, slots=True)
class Copier:
    """Reads the artefact files of a shape from its part. Implements :class:`shapecnn.artefacts.maker.Maker`.

    Attributes:
        stored: Content of ``settings.json``, the same in all parts.
        moves: Whether files are moved out of the parts, which are unfinished work, instead of copied.
    """

    stored: dict[str, Any]
    moves: bool = False

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
        failure = ItemError("format", str(entry.error))

        def read() -> ArtefactData:
            if entry.status == "failed":
                raise failure
            return ArtefactData(_moved(item) if self.moves else item.part.contents(entry), item.facts)

        if entry.sha256 is None:
            raise failure
        return entry.sha256, read


def _moved(item: PartItem) -> Iterator[Finished]:
    sealed = Sealed(item.folder, item.hashes, REMEDY)
    for name, digest in sealed.sums.items():
        sealed.check(name)  # a node that died may have lost what it wrote
        yield Finished(item.folder / name, digest)


def merge_artefacts(
    parts: Mapping[Path, Part],
    out: Path,
    *,
    command: str,
    unfinished: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> tuple[Literal["views", "voxels"], Summary]:
    """Merge the artefacts of all shards of a collection into one folder.

    Args:
        parts: The parts by folder, in any order, from :func:`shapecnn.meshes.parts.read_parts`.
        out: The merged artefact folder: absent, empty, or made by an earlier command.
        command: Shell command that makes ``out``; error messages quote it.
        unfinished: Whether the parts are unfinished work in ``out``, which the caller has locked. Then their files are
            moved, not copied.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        progress: Called with the number of finished shapes and the number of all shapes.

    Returns:
        Kind of the artefacts, ``views`` or ``voxels``; and the numbers of written, skipped, failed and removed shapes,
        and the error of each failed shape.

    Raises:
        UsageError: A folder is not a folder of artefacts, or ``out`` has files that shapecnn did not write.
        MismatchError: The parts were made with different settings, or differ in a shape.
        StoredDataError: A part is damaged.
        BusyError: Another process is writing to ``out``.
    """
    stored: dict[str, Any] = {}

    def read(folder: Path) -> Iterator[PartItem]:
        artefacts = open_artefacts(folder)
        if not stored:
            stored.update(artefacts.settings)
        require_same_stored(stored, artefacts.settings, str(folder), same_options(next(iter(parts))))
        return (PartItem(entry, artefacts) for entry in (*artefacts.entries, *artefacts.failed))

    items = collect(parts, read, REMEDY)
    summary = make_artefacts(
        items,
        out,
        Copier(stored, moves=unfinished),
        command=command,
        keeps=_kept,
        locked=unfinished,
        overwrite=overwrite,
        workers=None,
        progress=progress,
    )
    return stored["kind"], summary


def _kept(item: PartItem, previous: PreviousArtefacts) -> Facts | None:
    """Return what the part records, if files in the merged folder are its own; of one mesh, others may have been made.

    An earlier version of shapecnn may have recorded less of the same files.
    """
    return item.facts if item.entry.status == "ok" and tuple(item.hashes.values()) == previous.hashes else None
