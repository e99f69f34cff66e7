"""Divide a collection into shards, which several machines process, and record which shard a folder holds.

A hash of its id decides to which shard a shape belongs. So the shard of a shape does not depend on the other shapes, on
the order of files, on the platform or on the version of Python. A folder that holds the result of one shard is called a
part. It is an ordinary folder of artefacts or an ordinary index, with one more file, ``shard.json``, by which ``merge``
knows which parts belong together and whether all of them are there; see :mod:`parts`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from shapecnn import __version__
from shapecnn.errors import MismatchError, UsageError, quoted
from shapecnn.meshes.collection import Shape
from shapecnn.settings.base import Settings
from shapecnn.storage.journal import scan_journal
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK

PART = "shard.json"
SHARD = "shard"  # key of the shard in the header of the journal of an unfinished part

_FORMAT = 1
_TEXT = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the shards of a collection.

    Attributes:
        number: Number of this shard, from 1 to ``count``.
        count: Number of shards into which the collection is divided, at least 1.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the value of ``--shard``.

        Args:
            text: Number of the shard and number of shards, such as ``2/8``.

        Raises:
            UsageError: ``text`` has another form, or there is no shard of this number.

        Example:
            >>> Shard.parse("2/8")
            Shard(number=2, count=8)
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--shard {quoted(text)} is not of the form I/N, such as 2/8 for the second of 8 shards. If a number "
                f"is missing, check that the variable it comes from is set."
            )
        number, count = int(match[1]), int(match[2])
        if number == 0:
            raise UsageError(
                f"--shard {text}: shards are counted from 1. Add 1 to a number that is counted from 0, such as "
                f"--shard $((JOB_COMPLETION_INDEX + 1))/{count}."
            )
        if number > count:
            raise UsageError(f"--shard {text}: there is no shard {number} of {count}. Use a number from 1 to {count}.")
        return cls(number, count)

    def holds(self, shape_id: str) -> bool:
        """Return whether a shape belongs to this shard.

        Args:
            shape_id: Id of the shape. The first 8 bytes of the BLAKE2b hash of its UTF-8 text, as a number with the
                highest byte first, modulo ``count`` give the number of its shard, counted from 0.
        """
        return _number(shape_id, self.count) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class Part(Settings):
    """Content of ``shard.json``: the shard that a folder holds, and the collection that was divided.

    Attributes:
        number: Number of the shard, from 1 to ``count``.
        count: Number of shards.
        shapes: Number of shapes of the whole collection, those of other shards included.
        collection: SHA-256 (hex) of the ids, labels and splits of all shapes of the collection.
        version: Version of shapecnn that made the part.
    """

    number: int = Field(ge=1)
    count: int = Field(ge=1, le=999_999)  # what Shard.parse accepts
    shapes: int = Field(ge=0)
    collection: str = Field(pattern="^[0-9a-f]{64}$")
    version: str

    @property
    def shard(self) -> Shard:
        """The shard that the part holds."""
        return Shard(self.number, self.count)

    def content(self) -> bytes:
        """Return the content of ``shard.json``."""
        return json_bytes({"schema_version": _FORMAT, **self.model_dump(mode="json")})


def divide(shapes: Sequence[Shape], shard: Shard | None) -> tuple[list[Shape], Part | None]:
    """Return the shapes of one shard, and its description.

    Args:
        shapes: All shapes of a collection, in order of id.
        shard: The shard; None for the whole collection.

    Returns:
        The shapes of the shard, in order of id; there may be none. And the description of the part that holds them,
        None without a shard.
    """
    if shard is None:
        return [*shapes], None
    return [shape for shape in shapes if shard.holds(shape.id)], _described(shapes, shard)


def divide_all(shapes: Sequence[Shape], count: int) -> list[tuple[list[Shape], Part]]:
    """Divide a collection into all its shards.

    Args:
        shapes: All shapes of the collection, in order of id.
        count: Number of shards, at least 1.

    Returns:
        For each shard, in order of their numbers, what :func:`divide` returns.
    """
    shards: list[list[Shape]] = [[] for _ in range(count)]
    for shape in shapes:
        shards[_number(shape.id, count) - 1].append(shape)
    first = _described(shapes, Shard(1, count))
    return [(chosen, first.model_copy(update={"number": i})) for i, chosen in enumerate(shards, start=1)]


def _number(shape_id: str, count: int) -> int:
    """Return the number of the shard to which a shape belongs, from 1 to ``count``."""
    digest = hashlib.blake2b(shape_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count + 1


def _described(shapes: Sequence[Shape], shard: Shard) -> Part:
    """Return the description of the part that holds a shard of these shapes."""
    digest = hashlib.sha256()
    for shape in shapes:
        digest.update(json.dumps([shape.id, shape.label, shape.split]).encode() + b"\n")
    return Part(
        number=shard.number,
        count=shard.count,
        shapes=len(shapes),
        collection=digest.hexdigest(),
        version=__version__,
    )


def read_part(folder: Path, remedy: str) -> Part | None:
    """Read which shard a folder holds.

    Args:
        folder: Folder of artefacts, or of an index.
        remedy: Sentence that ends error messages about damaged files, and says what to do.

    Returns:
        The description of the part; None if the folder was made without ``--shard``.

    Raises:
        StoredDataError: ``shard.json`` is damaged or of another version.
    """
    sealed = open_sealed(folder, remedy)
    if PART not in sealed.sums:
        return None
    described = sealed.json(PART, _FORMAT)
    with sealed.validating(PART):
        part = Part.from_options(**described)
        if part.number > part.count:
            raise ValueError(f"there is no shard {part.number} of {part.count}")
    return part


def unfinished_shard(folder: Path) -> str | None:
    """Return the shard that an interrupted command has begun in a folder, such as ``2/8``; None if there is none.

    Args:
        folder: Any path.
    """
    _, header = next(scan_journal(folder / WORK), (0, {}))
    shard: str | None = header.get(SHARD)
    return shard


def require_same_shard(asked: Part | None, stored: str | None, where: str, rebuild: str) -> None:
    """Raise MismatchError unless a folder holds the shard that a command makes.

    Args:
        asked: The part that the command makes; None for the whole collection.
        stored: The shard in the folder, such as ``2/8``; None for the whole collection.
        where: Name of the folder, which begins the message.
        rebuild: Sentence that says what to do, which ends the message.

    Raises:
        MismatchError: The shards differ.
    """
    wanted = None if asked is None else str(asked.shard)
    if stored == wanted:
        return
    if wanted is None:
        raise MismatchError(
            f"{where} holds shard {stored} of a collection, not all of it. Add --shard {stored} to continue with this "
            f"shard. {rebuild}"
        )
    held = "a whole collection" if stored is None else f"shard {stored} of a collection"
    raise MismatchError(f"{where} holds {held}, not shard {wanted}. {rebuild}")
