"""Types for the records of a PLY element (such as all vertices): their layout, their content, and their errors.

The readers of text records (:mod:`ply_text`) and of binary records (:mod:`ply_binary`) share this module.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted

CORNERS, SKIPPED = 3, 4
"""Roles of a property: list of vertex indices, or a property to skip. Roles 0, 1 and 2 are the coordinates x, y, z."""

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
END, INDEX, FULL, WITHIN_LINE = range(4, 8)
"""Status codes of the kernels that read records, in addition to those of :func:`tokens.number`.

END: the file ends before the record does. INDEX: a vertex index is out of range. FULL: an output array is full.
WITHIN_LINE: the record does not end at a line end.
"""


class Column(NamedTuple):
    """One property of a PLY element, such as the x coordinate of a vertex: its role and its types.

    Attributes:
        role: Use of the property: 0, 1 or 2 for the coordinate x, y or z, CORNERS for vertex indices, or SKIPPED.
        type: NumPy type name of the values, one of TYPES.
        length: NumPy type name of the length of a list; None for a scalar.
    """

    role: int
    type: str
    length: str | None


class Records(NamedTuple):
    """Layout of the records of one PLY element, as the header declares it.

    Attributes:
        name: Name of the element, such as ``face``.
        promised: Number of records that the header declares.
        columns: The properties of each record, in the order of the file.
        vertices: Number of vertices in the file. Vertex indices must be smaller.
        strips: Whether the element contains triangle strips. In a strip, the vertex index -1 is valid.
    """

    name: str
    promised: int
    columns: list[Column]
    vertices: int
    strips: bool

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the columns as three arrays, for the compiled functions that read records.

        Returns:
            Role of each column; index of its value type in TYPES; index of its length type in TYPES, -1 for a scalar.
        """
        return (
            np.array([column.role for column in self.columns]),
            np.array([TYPES.index(column.type) for column in self.columns]),
            np.array([TYPES.index(column.length) if column.length else -1 for column in self.columns]),
        )


class Content(NamedTuple):
    """Content of the n records of one PLY element.

    Attributes:
        points: Vertex coordinates, (n, 3) float64; (0, 3) for an element without coordinates.
        corners: Vertex indices of all records one after the other, (k,) int32; empty for an element without vertex
            indices.
        sizes: Number of vertex indices of each record, (n,) int32; empty for an element without vertex indices.
        spare: How many numbers each line of a text file has in addition to those that the header declares. The
            additional numbers are at the end of the line, and are skipped.
    """

    points: NDArray[np.float64]
    corners: NDArray[np.int32]
    sizes: NDArray[np.int32]
    spare: int = 0


def allocate(records: Records, least: int, left: int) -> Content:
    """Allocate arrays for the declared number of records, after a check that the file is long enough for them.

    Args:
        records: Layout of the records.
        least: Smallest possible size of a record in bytes.
        left: Length of the rest of the file in bytes.

    Raises:
        MeshError: The rest of the file is too short (kind: truncated).
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
    """Return the error for a record that cannot be read.

    Args:
        where: Beginning of the message, which names the line: ``line 5: ``; empty for a binary file.
        records: Layout of the records.
        index: Number of the record, from 0.
        status: Status code that the kernel returned.
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
