"""Read the parts that jobs on several machines made of one collection, and check that they belong together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self, TypeVar

from shapecnn.errors import MismatchError, StoredDataError, UsageError, counted
from shapecnn.meshes.shards import Part, read_part
from shapecnn.storage.sealed import printable
from shapecnn.workers.progress import stage

_MOST_RANGES = 100  # largest number of ranges of missing shards in a message


class Held(Protocol):
    """What a part holds of one shape of its shard."""

    @property
    def id(self) -> str:
        """Id of the shape."""

    @property
    def path(self) -> str:
        """Path of the mesh file, which may be different in two parts of one shard."""

    @property
    def folder(self) -> Path:
        """Folder of the part."""

    def equals(self, other: Self) -> bool:
        """Return whether another part of the same shard holds the same of the shape, except for its path."""


HeldT = TypeVar("HeldT", bound=Held)


def read_parts(folders: Iterable[Path], remedy: str) -> dict[Path, Part]:
    """Read which shards folders hold, and check that they are all the shards of one collection.

    Args:
        folders: Folders of artefacts or of indexes, at least one. A shard may be there twice.
        remedy: Sentence that ends error messages about damaged files, and says what to do.

    Returns:
        The description of each part, by folder, in the given order.

    Raises:
        UsageError: A folder was made without ``--shard``, or a shard is missing.
        MismatchError: Two parts are of different divisions, collections or versions of shapecnn.
        StoredDataError: ``shard.json`` of a part is damaged or of another version.
    """
    parts: dict[Path, Part] = {}
    for folder in folders:
        part = read_part(folder, remedy)
        if part is None:
            raise UsageError(
                f"{folder} holds a whole collection, not a shard: name folders that were made with --shard."
            )
        parts[folder] = part
    _require_complete(parts)
    return parts


def _require_complete(parts: Mapping[Path, Part]) -> None:
    """Raise MismatchError or UsageError unless parts are all the shards of one collection."""
    (first, one), *others = parts.items()
    for folder, other in others:
        if other.count != one.count:
            raise MismatchError(
                f"{folder} is shard {other.shard} and {first} is shard {one.shard}: merge parts of one division, with "
                f"the same number of shards."
            )
        if other.version != one.version:
            raise MismatchError(
                f"{folder} was made by shapecnn {other.version} and {first} by shapecnn {one.version}: make all parts "
                f"with one version."
            )
        if (other.shapes, other.collection) != (one.shapes, one.collection):
            sizes = f"{counted(other.shapes, 'shape')} there and {one.shapes} in {first}"
            detail = sizes if other.shapes != one.shapes else f"other ids, labels or splits than in {first}"
            raise MismatchError(
                f"{folder} was made of another collection ({detail}): run the commands of all shards again on the same "
                f"collection."
            )
    missing = sorted({*range(1, one.count + 1)} - {part.number for part in parts.values()})
    if missing:
        raise UsageError(
            f"{'Shard' if len(missing) == 1 else 'Shards'} {_ranges(missing)} of {one.count} "
            f"{'is' if len(missing) == 1 else 'are'} missing: make {'it' if len(missing) == 1 else 'them'} with "
            f"--shard {missing[0]}/{one.count}{'' if len(missing) == 1 else ' and so on'}, and merge again."
        )


def same_options(first: Path) -> str:
    """Return the advice for parts that were made with different options.

    Args:
        first: Folder of the first part, with which the others are compared.
    """
    return f"The values here are those of {first}: make all parts with the same options."


def collect(parts: Mapping[Path, Part], read: Callable[[Path], Iterable[HeldT]], remedy: str) -> list[HeldT]:
    """Read what all parts hold.

    Args:
        parts: The parts by folder, from :func:`read_parts`.
        read: Function that returns what a part holds, of each shape of its shard, failed ones included.
        remedy: Sentence that ends error messages about damaged parts, and says what to do.

    Returns:
        What the parts hold of each shape of the collection, in order of id; if several parts hold the same, the first
        by path.

    Raises:
        StoredDataError: A part holds a shape of another shard, or a shape is in no part.
        MismatchError: Two parts of one shard differ in a shape.
    """
    held: dict[str, HeldT] = {}
    with stage("Reading the parts", "parts") as seen:
        for done, (folder, part) in enumerate(parts.items(), start=1):
            for item in read(folder):
                _require_member(folder, part, item.id, remedy)
                known = held.get(item.id)
                if known is not None and not known.equals(item):
                    raise MismatchError(
                        f"{known.folder} and {folder} are the same shard, but hold different content for "
                        f"{printable(item.id)}: leave out the one that is not current."
                    )
                if known is None or item.path < known.path:
                    held[item.id] = item
            seen(done, len(parts))
    _require_total(parts, len(held))
    return [held[shape_id] for shape_id in sorted(held)]


def _require_member(folder: Path, part: Part, shape_id: str, remedy: str) -> None:
    """Raise StoredDataError if a part holds a shape of another shard."""
    if not part.shard.holds(shape_id):
        raise StoredDataError(
            f"{folder} holds {printable(shape_id)}, which does not belong to shard {part.shard}. {remedy}"
        )


def _require_total(parts: Mapping[Path, Part], count: int) -> None:
    """Raise StoredDataError unless the parts together hold as many shapes as their collection."""
    folder, part = next(iter(parts.items()))
    if count != part.shapes:
        raise StoredDataError(
            f"The parts hold {counted(count, 'shape')}, but the collection of {folder} has {part.shapes}: run the "
            f"commands of all shards again, with --overwrite."
        )


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text for ``sbatch --array``.

    Example:
        >>> _ranges([2, 5, 6, 7])
        '2,5-7'
    """
    runs = [[*run] for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    spans = [(run[0][1], run[-1][1]) for run in runs]
    texts = [str(low) if low == high else f"{low}-{high}" for low, high in spans]
    more = len(texts) - _MOST_RANGES
    return ",".join(texts[:_MOST_RANGES]) + (f" and {more} more ranges" if more > 0 else "")
