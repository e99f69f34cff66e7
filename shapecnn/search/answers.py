"""Results of a search: one answer for each query mesh or picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError
from shapecnn.meshes.source import MeshArrays
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit
from shapecnn.settings.views_and_grids import Up
from shapecnn.shared.results import ResultList


@dataclass(frozen=True, slots=True)
class Answer:
    """Search results of one query, or the error if the query cannot be used.

    Attributes:
        path: Path of the mesh or picture file, or the name of a mesh in memory.
        up: Axis that points up in the query mesh: ``x``, ``y`` or ``z``.
        hits: The most similar shapes of the index, best first.
        error: Reason why the query cannot be used; None if it was answered.
        picture: (S, S) uint8, the query photograph or drawing as converted for the network, S × S grey pixels; None for
            a mesh.
        mesh: Query mesh, if it was given in memory rather than as a file.
    """

    path: str
    up: Up
    hits: list[Hit]
    error: ItemError | None = None
    picture: NDArray[np.uint8] | None = None
    mesh: MeshArrays | None = field(default=None, repr=False, compare=False)


class Answers(ResultList[Answer]):
    """List of search results, one answer for each query, in the order of the queries.

    The list prints as a table. A notebook shows the table with pictures.

    Attributes:
        searched: Index that was searched.
        where: Folder of the index.
    """

    __slots__ = ("searched", "where")

    def __init__(self, answers: Iterable[Answer], index: Index, where: str) -> None:
        super().__init__(answers)
        self.searched, self.where = index, where

    def rows(self) -> list[dict[str, Any]]:
        """Return one table row for each hit of each query, and one row with the error for each failed query."""
        columns = ("query", "rank", "score", "label", "id", "path", "view", "error")
        rows: list[tuple[Any, ...]] = []
        for answer in self:
            if answer.error is not None:
                rows.append((answer.path, *[None] * 6, str(answer.error)))
            rows += [
                (answer.path, rank, hit.score, hit.shape.label, hit.shape.id, hit.shape.path, hit.view, None)
                for rank, hit in enumerate(answer.hits, 1)
            ]
        return [dict(zip(columns, row, strict=True)) for row in rows]
