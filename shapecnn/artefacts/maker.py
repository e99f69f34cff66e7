"""Interfaces of the objects that turn a mesh, pictures or a grid into the content of artefact files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from shapecnn.settings.base import Settings


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
    def settings(self) -> Settings:
        """Settings of the views or voxel grids: all that affect a pixel of a view or a cell of a grid."""

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


class ArtefactData(NamedTuple):
    """Content of the artefact files of one shape, before they are written to disk.

    Attributes:
        contents: Iterator over the bytes of each file, in the order of views or rotations; computes one file at a time.
        note: Sentence on what the reader of the source file ignored, such as trailing bytes; None if nothing.
    """

    contents: Iterator[bytes]
    note: str | None = None
