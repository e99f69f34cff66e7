"""Interfaces of the objects that turn a mesh, pictures or a grid into the content of artefact files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar


class BatchItem(Protocol):
    """One shape to convert to artefact files (views or voxel grids), given as a mesh, a set of pictures or a grid.

    Each shape becomes one row of the manifest, the table of shapes of the artefact folder.
    """

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str | None: ...  # noqa: D102
    @property
    def split(self) -> str | None: ...  # noqa: D102
    @property
    def path(self) -> str:
        """Path of the source file, for error messages."""


ItemT = TypeVar("ItemT", bound=BatchItem, contravariant=True)


class Maker(Protocol[ItemT]):
    """Object that turns one shape into the content of its artefact files (views or grids).

    It is pickled and sent to the worker processes.
    """

    @property
    def measures(self) -> bool:
        """Whether the sources are meshes, of which area and volume are recorded."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``settings.json``: the settings, their hash, and for views the layout of the files."""

    def open(self, item: ItemT) -> tuple[str, Callable[[], ArtefactData]]:
        """Read the source file or files of one shape.

        Args:
            item: The shape.

        Returns:
            SHA-256 (hex) of the source, and a function that makes the artefacts from the source.

        Raises:
            ItemError: The source cannot be used. Calling the returned function, and iterating over the contents that it
                returns, may raise ItemError, too.
        """


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest records about the source of the artefacts of one shape; see the columns of the same names.

    Attributes:
        note: Sentence on what the reader of the source file ignored, such as trailing bytes; None if nothing.
        area: Surface area of the normalized mesh; None if the source is not a mesh.
        volume: Volume that the normalized mesh encloses; None if it is not closed, or the source is not a mesh.
    """

    note: str | None = None
    area: float | None = None
    volume: float | None = None


NO_FACTS = Facts()
"""Facts of a source of which nothing is recorded."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A complete artefact file of unfinished work, which is moved to its place.

    Attributes:
        path: The file, on the file system of the artefact folder.
        sha256: SHA-256 (hex) of its content.
    """

    path: Path
    sha256: str


class ArtefactData(NamedTuple):
    """Content of the artefact files of one shape, before they are written to disk.

    Attributes:
        contents: Iterator over the bytes of each file, in the order of views or rotations; computes one file at a time.
            A file that is complete already is given as :class:`Finished`.
        facts: Values for the manifest.
    """

    contents: Iterator[bytes | Finished]
    facts: Facts = NO_FACTS
