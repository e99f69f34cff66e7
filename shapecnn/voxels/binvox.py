"""Write and read binvox files: a short text header, then runs of equal cells as pairs of bytes (value, count).

In the file, x varies slowest, then z, and y fastest. In memory, a grid is indexed [x, y, z].

Format: https://www.patrickmin.com/binvox/binvox.html
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError

_MAX_SIDE = 1024  # largest number of cells along one side
_MAX_COUNT = 255  # largest number of cells in one run: the count is one byte
_HEADER = re.compile(rb"#binvox 1[ \t\r]*\n((?:[^\n]{0,200}\n){0,100}?)data[ \t\r]*\n")
_DIM = re.compile(rb"^dim[ \t]+(\d{1,4})[ \t]+(\d{1,4})[ \t]+(\d{1,4})[ \t\r]*$", re.MULTILINE)

Vector = tuple[float, float, float]


def write(grid: NDArray[np.bool_], translate: Vector = (0.0, 0.0, 0.0), scale: float = 1.0) -> bytes:
    """Return a voxel grid as the content of a binvox file.

    Args:
        grid: Cells of a grid of resolution R, (R, R, R) bool, indexed [x, y, z].
        translate: Position in space of the corner of the grid where x, y and z are smallest.
        scale: Length of each side of the grid in space.

    Returns:
        The content of the file.
    """
    in_file_order = grid.transpose(0, 2, 1)
    cells = in_file_order.ravel()
    starts = np.concatenate(([0], np.flatnonzero(cells[1:] != cells[:-1]) + 1))
    lengths = np.diff(starts, append=cells.size)
    pieces = -(-lengths // _MAX_COUNT)  # a long run is split into several
    pairs = np.full((pieces.sum(), 2), _MAX_COUNT, np.uint8)
    pairs[:, 0] = np.repeat(cells[starts], pieces)
    pairs[np.cumsum(pieces) - 1, 1] = lengths - (pieces - 1) * _MAX_COUNT
    fields = _line("dim", *in_file_order.shape) + _line("translate", *translate) + _line("scale", scale)
    return f"#binvox 1\n{fields}data\n".encode("ascii") + pairs.tobytes()


def read(data: bytes) -> NDArray[np.bool_]:
    """Return the voxel grid in the content of a binvox file.

    The lengths of the runs are checked before the grid is allocated, so a false size in the header costs no memory.

    Args:
        data: The content of the file.

    Returns:
        The grid of X × Y × Z cells, (X, Y, Z) bool, indexed [x, y, z], with at most 1024 cells along each side.

    Raises:
        ItemError: The content is not a valid binvox file (kind: format).
    """
    header = _HEADER.match(data)
    dim = _DIM.search(header[1]) if header else None
    if header is None or dim is None:
        raise _damaged("the file does not begin with #binvox 1 and the size of the grid")
    shape = int(dim[1]), int(dim[2]), int(dim[3])
    if min(shape) < 1 or max(shape) > _MAX_SIDE:
        raise _damaged(f"the size of the grid is {shape} cells, but each side must have 1 to {_MAX_SIDE} cells")
    runs = np.frombuffer(data, np.uint8, offset=header.end())
    if runs.size % 2:
        raise _damaged("the file is cut off: its last run of equal cells has no length")
    values, counts = runs[0::2], runs[1::2]
    if (values > 1).any():
        raise _damaged(f"a cell is {values.max()}, but only 0 and 1 are allowed")
    expected, actual = shape[0] * shape[1] * shape[2], int(counts.sum(dtype=np.int64))
    if actual != expected:
        raise _damaged(f"the file holds {actual} cells, but its header declares {expected}")
    in_file_order = np.repeat(values.astype(np.bool_), counts).reshape(shape)
    return np.ascontiguousarray(in_file_order.transpose(0, 2, 1))


def _line(key: str, *numbers: float) -> str:
    """Return one line of the header of a binvox file."""
    return " ".join([key, *map(str, numbers)]) + "\n"


def _damaged(complaint: str) -> ItemError:
    return ItemError("format", f"the binvox grid is damaged: {complaint}")
