"""Contact sheets: the views of a shape side by side in one picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.views.cameras import columns


def contact_sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange the views of a shape in one picture, row by row and without gaps.

    Args:
        pictures: V views, (V, S, S) uint8.

    Returns:
        The sheet, (rows · S, columns · S) uint8; :func:`shapecnn.views.cameras.columns` gives the number of columns.
    """
    per_row = columns(len(pictures))
    size = pictures.shape[1]
    grid = pictures.reshape(-1, per_row, size, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, per_row * size))


def split_sheet(sheet: NDArray[np.uint8], views: int) -> NDArray[np.uint8]:
    """Cut a contact sheet into its views; the inverse of :func:`contact_sheet`.

    Args:
        sheet: The sheet, (rows · S, columns · S) uint8.
        views: The number of views V on the sheet.

    Returns:
        The views, (V, S, S) uint8.
    """
    per_row = columns(views)
    size = sheet.shape[1] // per_row
    grid = sheet.reshape(views // per_row, size, per_row, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(views, size, size))
