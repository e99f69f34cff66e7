"""What a header of PLY promises of the records of one element, room for them, and the complaint where they are others.

Shared by the readers of text (:mod:`ply_text`) and of bytes (:mod:`ply_binary`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MeshError, quoted

CORNERS, SKIPPED = 3, 4
"""What becomes of a property, beside 0, 1, 2: the coordinate of that axis."""

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
END, INDEX, FULL, WITHIN_LINE = range(4, 8)
"""What a kernel may find beside what :func:`tokens.number` does."""


class Column(NamedTuple):
    """A property.  role: 0, 1, 2, CORNERS or SKIPPED.  type, length: its NumPy type, and that of a list's length."""

    role: int
    type: str
    length: str | None


class Records(NamedTuple):
    """What to read: an element of a header, in a file of ``vertices`` of them.  strips: -1 is a corner, too."""

    name: str
    promised: int
    columns: list[Column]
    vertices: int
    strips: bool

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of each column: its role, the numbers of its type and of the type of a list's length (-1: no list)."""
        return (
            np.array([column.role for column in self.columns]),
            np.array([TYPES.index(column.type) for column in self.columns]),
            np.array([TYPES.index(column.length) if column.length else -1 for column in self.columns]),
        )


class Found(NamedTuple):
    """points: (n, 3) of vertices, else (0, 3).  corners: (k,) int32 of all records.  sizes: (n,) how many each has.
    spare: numbers at the end of each line of text that no header declares."""

    points: NDArray[np.float64]
    corners: NDArray[np.int32]
    sizes: NDArray[np.int32]
    spare: int = 0


def room_for(records: Records, least: int, left: int) -> Found:
    """Room for all records, of at least so many bytes each, in the bytes that are left.  Raises MeshError: truncated.

    The header's counts are promises: what they take is bounded by what the file can hold.
    """
    if records.promised * least > left:
        raise MeshError("truncated", f"the header promises {_counted(records)}, more than its {left} bytes can hold")
    roles = {column.role for column in records.columns}
    listed = records.promised if CORNERS in roles else 0
    points = np.empty((records.promised if roles & {0, 1, 2} else 0, 3))
    return Found(points, np.empty(3 * listed, np.int32), np.empty(listed, np.int32))


def _counted(records: Records) -> str:
    named = {"vertex": "vertices", "face": "faces"}.get(records.name, f"records of {quoted(records.name)}")
    return f"{records.promised} {named}"


def complaint(where: str, records: Records, done: int, status: int) -> MeshError:
    """What is wrong with the record behind those that are done.  where: its line, as the message begins."""
    name = records.name if records.name in ("vertex", "face") else f"record of {quoted(records.name)}"
    place = f"{where}{name} {done + 1} of {records.promised}"
    if status == END:
        return MeshError("truncated", f"the header promises {_counted(records)}, the file ends after {done}")
    if status == INDEX:
        return MeshError("index", f"{place} names a vertex that does not exist (there are {records.vertices})")
    if status == WITHIN_LINE:
        why = "does not end where a line ends, as others do: lines are missing, short or too many"
        return MeshError("format", f"{place} {why}")
    return MeshError("format", f"{place} is not made of the numbers that the header promises")
