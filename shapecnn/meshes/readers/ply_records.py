"""The records of one element of PLY: their layout by the header, arrays for their content, and errors.

Shared by the readers of text (:mod:`ply_text`) and binary (:mod:`ply_binary`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted

CORNERS, SKIPPED = 3, 4
"""Roles of a property; roles 0, 1 and 2 are the coordinates x, y and z."""

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
END, INDEX, FULL, WITHIN_LINE = range(4, 8)
"""Statuses of the kernels, in addition to those of :func:`tokens.number`."""


class Column(NamedTuple):
    """One property of an element.

    Attributes:
        role: 0, 1, 2, CORNERS or SKIPPED.
        type: NumPy type of the value, one of TYPES.
        length: NumPy type of the length of a list; None for a scalar.
    """

    role: int
    type: str
    length: str | None


class Records(NamedTuple):
    """The layout of the records of one element.

    Attributes:
        name: Name of the element.
        promised: Number of records by the header.
        columns: The properties of each record.
        vertices: Number of vertices in the file; corners are less than it.
        strips: Whether the element has triangle strips, in which -1 is a valid corner.
    """

    name: str
    promised: int
    columns: list[Column]
    vertices: int
    strips: bool

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the role, the index of the type and the index of the length type (-1: a scalar) of each column."""
        return (
            np.array([column.role for column in self.columns]),
            np.array([TYPES.index(column.type) for column in self.columns]),
            np.array([TYPES.index(column.length) if column.length else -1 for column in self.columns]),
        )


class Content(NamedTuple):
    """The content of the records of one element.

    Attributes:
        points: (n, 3) float64 coordinates of vertices; (0, 3) for other elements.
        corners: (k,) int32, the corners of all records one after the other.
        sizes: (n,) int32, the number of corners of each record.
        spare: Number of further numbers on the line of each record in text, which the header does not declare.
    """

    points: NDArray[np.float64]
    corners: NDArray[np.int32]
    sizes: NDArray[np.int32]
    spare: int = 0


def allocate(records: Records, least: int, left: int) -> Content:
    """Allocate arrays for the promised records, once the rest of the file is long enough for them.

    Args:
        records: The layout of the records.
        least: The smallest size of a record in bytes.
        left: The length of the rest of the file in bytes.

    Raises:
        MeshError: truncated.
    """
    if records.promised * least > left:
        told = f"the header declares {_counted(records)}, more than the remaining {left} bytes can hold"
        raise MeshError("truncated", told)
    roles = {column.role for column in records.columns}
    lists = records.promised if CORNERS in roles else 0
    points = np.empty((records.promised if roles & {0, 1, 2} else 0, 3))
    return Content(points, np.empty(3 * lists, np.int32), np.empty(lists, np.int32))


def _counted(records: Records) -> str:
    plural = {"vertex": "vertices", "face": "faces"}.get(records.name, f"records of {quoted(records.name)}")
    return f"{records.promised} {plural}"


def record_error(where: str, records: Records, index: int, status: int) -> MeshError:
    """Return the error for one record.

    Args:
        where: Its line, as the beginning of the message; empty for binary files.
        records: The layout of the records.
        index: Number of the record, from 0.
        status: Status of the kernel.
    """
    name = records.name if records.name in ("vertex", "face") else f"record of {quoted(records.name)}"
    place = f"{where}{name} {index + 1} of {records.promised}"
    if status == END:
        return MeshError("truncated", f"the header declares {_counted(records)}, but the file contains only {index}")
    if status == INDEX:
        return MeshError(
            "index", f"{place} refers to a vertex that does not exist: the file has {records.vertices} vertices"
        )
    if status == WITHIN_LINE:
        why = "does not end at the end of a line, as earlier records do: a line is missing, too short or too long"
        return MeshError("format", f"{place} {why}")
    return MeshError("format", f"{place} contains a value that does not fit the header")
