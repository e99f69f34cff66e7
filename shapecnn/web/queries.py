"""The queries of the page: uploads and shapes of the collection, kept in memory until newer ones need the room."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.api.records import failure_record
from shapecnn.errors import ItemError, visible
from shapecnn.models.output import Feature
from shapecnn.settings.views_and_grids import Up
from shapecnn.web.files import CollectionMesh, UploadedMesh

ROOM = 256 << 20  # bytes of all kept queries together
MOST = 500  # number of kept queries

Kind = Literal["mesh", "picture", "shape"]


@dataclass(slots=True)
class Query:
    """One query, with what has been computed for it.

    Attributes:
        id: Name in addresses: random for an upload, ``shape-ROW`` for a shape of the collection.
        kind: ``mesh`` or ``picture`` for an upload, ``shape`` for a shape of the collection.
        name: Name of the uploaded file, or id of the shape.
        up: Axis of the mesh file that points up.
        feature: (D,) float32, feature of the mesh or picture, D values.
        mesh: The mesh; None for a picture.
        picture: (S, S) uint8, the picture as the network sees it; None for a mesh.
        kept: Results that were computed for this query, by name.
        turns: A lock for each of these results.
    """

    id: str
    kind: Kind
    name: str
    up: Up
    feature: Feature
    mesh: UploadedMesh | CollectionMesh | None = None
    picture: NDArray[np.uint8] | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    @property
    def size(self) -> int:
        """Bytes that the query takes, about. Another thread may keep a further result meanwhile, hence the list."""
        upload = len(self.mesh.data) if isinstance(self.mesh, UploadedMesh) else 0
        results = sum(getattr(value, "nbytes", 0) or (len(value) if isinstance(value, bytes) else 0)
                      for value in list(self.kept.values()))  # fmt: skip
        return upload + results + 16_384


class Queries:
    """The latest queries; older ones are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Query] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, query: Query) -> Query:
        """Keep a query, and forget the oldest while all together need more than :data:`ROOM` or are too many."""
        with self._lock:
            self._kept[query.id] = query
            self._make_room()
        return query

    def resized(self, query: Query) -> None:
        """Make room for a query that has grown; one that was forgotten meanwhile stays so."""
        with self._lock:
            if self._kept.get(query.id) is query:
                self._make_room()

    def get(self, name: str) -> Query | None:
        """Return a kept query; None if it is not kept any more."""
        with self._lock:
            query = self._kept.get(name)
            if query is not None:
                self._kept.move_to_end(name)
            return query

    def remove(self, name: str) -> bool:
        """Forget a query; return whether it was kept."""
        with self._lock:
            return self._kept.pop(name, None) is not None

    def _make_room(self) -> None:
        while len(self._kept) > 1 and (len(self._kept) > MOST or self._total() > ROOM):
            self._kept.popitem(last=False)

    def _total(self) -> int:
        return sum(query.size for query in self._kept.values())


def new_name() -> str:
    """Return a name for a new query that nobody can guess."""
    return secrets.token_urlsafe(12)


def short_name(name: str) -> str:
    """Return the last part of a file name, without characters that hide or break text, cut to 120 characters."""
    return visible(name.replace("\\", "/").rsplit("/", 1)[-1])[-120:] or "unnamed"


def failure(name: str, error: ItemError) -> dict[str, Any]:
    """Return the JSON object for an upload that cannot be used."""
    return failure_record(short_name(name), error)
