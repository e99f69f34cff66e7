"""The file ``index.json`` of an index: its model and settings, and the sizes of its arrays.

Format 1 is that of indexes with full rows, format 2 that of indexes with small rows, with an inverted file or without
pictures. Both are read. An index is written in format 1 where it can be: earlier versions of shapecnn read it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self, get_args

from pydantic import Field

from shapecnn.errors import StoredDataError
from shapecnn.meshes.labels import Labels
from shapecnn.settings.base import Settings
from shapecnn.settings.views_and_grids import MOST_VIEWS
from shapecnn.storage.sealed import Sealed, printable

HEADER = "index.json"
FORMAT, SMALL_FORMAT = 1, 2

RowSize = Literal["full", "small"]
"""How features are stored: ``full`` as float32 and float16, or ``small`` as described in :mod:`small_rows`."""

SearchKind = Literal["auto", "exact", "ivf"]
"""How an index is searched: ``exact`` compares all shapes, ``ivf`` those that an inverted file names, ``auto`` chooses
by the number of shapes."""


class Form(NamedTuple):
    """How an index stores the features of its shapes, and how it is searched.

    Attributes:
        rows: How features are stored: ``full`` or ``small``.
        pictures: Whether features of views are stored, if the model has any.
        kind: How the index is searched: ``auto``, ``exact`` or ``ivf``.
    """

    rows: RowSize = "full"
    pictures: bool = True
    kind: SearchKind = "auto"

    @property
    def options(self) -> tuple[str, str, str]:
        """The options of ``shapecnn index`` that give this form."""
        return f"--rows {self.rows}", "--pictures" if self.pictures else "--no-pictures", f"--kind {self.kind}"

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> Self:
        """Read the form from the settings of a finished or unfinished index; raise ValueError for unknown values."""
        form = cls(*(described.get(key, default) for key, default in PLAIN._asdict().items()))
        known = form.rows in get_args(RowSize) and form.kind in get_args(SearchKind)
        if not known or not isinstance(form.pictures, bool):
            raise ValueError("the stored form of the index is of another version")
        return form


PLAIN = Form()


class IndexHeader(Settings):
    """Fields of the file ``index.json``: model, settings, inference engine, and sizes of the stored arrays."""

    model: str
    settings: dict[str, Any]
    labels: Labels = "auto"
    engine: dict[str, str]
    count: int = Field(ge=0)
    feature_size: int = Field(ge=0)
    views: int = Field(ge=0, le=MOST_VIEWS)  # number of views of each shape; 0: no features of views are stored
    gallery: int = 0  # version of the comparison space whose coordinates are stored; 0: no coordinates are stored
    rows: RowSize = "full"
    pictures: bool = True  # whether features of views are stored, if the model has any
    neighbours: int = Field(default=0, ge=0, le=100)  # small rows: number of stored neighbours of each shape
    kind: SearchKind = "auto"
    lists: int = Field(default=0, ge=0)  # number of lists of the inverted file; 0: a search compares all shapes

    @property
    def form(self) -> Form:
        """How the index stores the features of its shapes, and how it is searched."""
        return Form(self.rows, self.pictures, self.kind)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file: in format 1 if the index needs none of the keys of format 2."""
        values = self.model_dump(mode="json")
        later = {key: values.pop(key) for key in ("rows", "pictures", "neighbours", "kind", "lists")}
        if self.form == PLAIN and not self.lists:
            return {"schema_version": FORMAT, **values}
        return {"schema_version": SMALL_FORMAT, **values, **later}


def read_described(sealed: Sealed) -> dict[str, Any]:
    """Read ``index.json`` of either format as a dictionary, without the number of the format.

    Args:
        sealed: Folder of the index.

    Raises:
        StoredDataError: The file is damaged or from another version.
    """
    described = sealed.json(HEADER)
    if described.pop("schema_version", None) not in (FORMAT, SMALL_FORMAT):
        raise StoredDataError(
            f"{printable(sealed.folder / HEADER)} was made by another version of shapecnn. Use that version to read "
            f"the file, or make the file again with this version."
        )
    return described
