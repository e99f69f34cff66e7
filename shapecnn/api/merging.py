"""Merge the parts that several machines have made of one collection, into the result of one run."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shapecnn.artefacts.manifest import REMEDY
from shapecnn.artefacts.merging import merge_artefacts
from shapecnn.artefacts.reading import shard_names
from shapecnn.errors import StoredDataError, UsageError, caution
from shapecnn.meshes.collection import Say
from shapecnn.meshes.parts import read_parts
from shapecnn.meshes.shards import read_part, unfinished_shard
from shapecnn.search.merging import merge_indexes
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.objects.url import as_path
from shapecnn.storage.outputs import Objects, written
from shapecnn.storage.unfinished import WORK
from shapecnn.workers.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Merged:
    """Result of a merge.

    Attributes:
        kind: What the merged folder holds: ``views``, ``voxels`` or ``index``.
        shards: Number of shards of the collection.
        parts: Number of parts that were read; larger than ``shards`` if a shard was there twice.
        total: Number of shapes in the merged folder, without those that failed.
        failures: Path and error of each mesh that failed in its part, in order of id. For views and voxel grids, the
            path is the id.
        seconds: Duration of the merge in seconds.
        removed: Number of shapes that the folder held before and that were removed, because they are in no part or
            failed there. Zero if the folder was replaced as a whole.
    """

    kind: Literal["views", "voxels", "index"]
    shards: int
    parts: int
    total: int
    failures: list[tuple[str, str]]
    seconds: float
    removed: int = 0


def merge(
    parts: Sequence[str | Path],
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
    objects: Objects | None = None,
    say: Say = caution,
    command: str = "shapecnn merge PART... OUT",
) -> Merged:
    """Merge the artefacts or the indexes of all shards of a collection.

    The merged folder has the same files, byte for byte, as one run on the whole collection; an index has them if the
    collection was at the same path. The order of the parts has no effect, nor has a part that is given twice. The parts
    stay as they are.

    Args:
        parts: Folders that :func:`prepare` or :func:`update_index` made with ``shard``, at least one for each shard;
            or their URLs.
        out: Folder to write the merged artefacts or the merged index to.
        overwrite: Whether to replace results made with other settings, and files that shapecnn did not write.
        progress: Callback that receives the number of copied shapes and the number of all shapes; it is not called for
            an index.
        objects: How merged views or grids are stored if ``out`` is a URL: ``files``, an object for each file, or
            ``shards``, tar files of about 64 MB; None: as they are at ``out``, or else ``files``.
        say: Callback that receives each note for the user as one line of text.
        command: Command line that error messages suggest for making ``out``.

    Returns:
        What was merged, with the path and the error of each mesh that failed in its part.

    Raises:
        UsageError: A folder is not a part, or is unfinished; a shard is missing; or ``out`` is or contains a part, or
            contains files that shapecnn did not write.
        MismatchError: The parts were made with different settings, of different collections or by different versions
            of shapecnn, or two parts of one shard differ; or ``out`` was made with other settings.
        StoredDataError: A part, or the result in ``out``, is damaged.
        ObjectStoreError: The object store of a URL cannot be reached, or refuses.
        BusyError: Another process is writing to ``out``.

    Example:
        >>> import shapecnn
        >>> settings = shapecnn.VoxelSettings(resolution=16, padding=1)
        >>> for shard in ("1/2", "2/2"):
        ...     part = shapecnn.prepare("meshes", f"part-{shard[0]}", settings, shard=shard)
        >>> shapecnn.merge(["part-1", "part-2"], "merged").total
        9
    """
    started = time.monotonic()
    if isinstance(parts, str | os.PathLike):
        raise UsageError(f"Name the parts in a list, such as [{str(parts)!r}], not as one path.")
    folders = [*{path.resolve(): path for path in map(as_path, parts)}.values()]
    out = as_path(out)
    _require_apart(folders, out)
    for folder in folders:
        if (folder / WORK).is_dir():
            raise UsageError(f"{folder} is unfinished: run the command that makes it again, then merge again.")
        if kind_of(folder) != "index":
            require_kind(
                folder,
                "artefacts",
                "Name the parts, made by shapecnn render, voxelize or index with --shard, and last the merged folder.",
            )
    described = read_parts(folders, REMEDY)
    shards = described[folders[0]].count
    if kind_of(folders[0]) == "index":
        with written(out, overwrite=overwrite, objects=objects) as place:
            changes, _ = merge_indexes(described, place, command=command, overwrite=overwrite, say=say)
        seconds = time.monotonic() - started
        return Merged("index", shards, len(folders), changes.total, changes.failures, seconds, changes.removed)
    with written(out, overwrite=overwrite, objects=objects, names=shard_names) as place:
        kind, made = merge_artefacts(described, place, command=command, overwrite=overwrite, progress=progress)
    total = made.written + made.skipped
    return Merged(kind, shards, len(folders), total, made.failures, time.monotonic() - started, made.removed)


def _require_apart(folders: Sequence[Path], out: Path) -> None:
    """Raise UsageError if the merged folder is a part, or one of the two would be inside the other."""
    if not folders:
        raise UsageError("There is nothing to merge: name the folders that were made with --shard.")
    with contextlib.suppress(StoredDataError):  # a damaged folder is refused, or replaced, when it is written
        if unfinished_shard(out) or (kind_of(out) is not None and read_part(out, REMEDY) is not None):
            raise UsageError(f"{out} is a part itself: name the folder for the merged result last, after all parts.")
    place = out.resolve()
    for folder in folders:
        if place.is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(place):
            raise UsageError(f"{out} and {folder} are one folder, or one is in the other: choose a folder beside it.")
