"""Interface between the makers of artefacts and the code that writes them to a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from shapecnn.settings.base import Settings


class BatchItem(Protocol):
    """Source of one row of the manifest: a mesh, the pictures of a shape, or a grid."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str | None: ...  # noqa: D102
    @property
    def split(self) -> str | None: ...  # noqa: D102
    @property
    def path(self) -> str:
        """Path of the source, for messages."""


ItemT = TypeVar("ItemT", bound=BatchItem, contravariant=True)


class Maker(Protocol[ItemT]):
    """Maker of the artefacts of one item; it is pickled and sent to the worker processes."""

    @property
    def settings(self) -> Settings:
        """Every setting that changes a pixel or a cell."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``settings.json``: the settings, their hash, and the layout of pictures."""

    def open(self, item: ItemT) -> tuple[str, Callable[[], ArtefactData]]:
        """Read the source of an item.

        Args:
            item: The item.

        Returns:
            SHA-256 (hex) of the source, and a function that makes the artefacts from it.

        Raises:
            ItemError: The source cannot be used. The function, and the iterator that it returns, raise it too.
        """


class ArtefactData(NamedTuple):
    """Artefacts of one item, before they are written.

    Attributes:
        contents: Content of each file, in the order of views or rotations; computed as they are requested.
        note: What the source contains and the artefacts do not show, in one sentence; None if there is nothing to note.
    """

    contents: Iterator[bytes]
    note: str | None = None
