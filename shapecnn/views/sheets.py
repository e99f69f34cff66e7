"""Join the views of a shape side by side in one picture (a contact sheet), and cut a contact sheet into views."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.views.cameras import columns


def contact_sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange the views of a shape in one picture, row by row and without gaps.

    Args:
        pictures: V views of S × S pixels, (V, S, S) uint8.

    Returns:
        The contact sheet, (rows · S, columns · S) uint8. See :func:`shapecnn.views.cameras.columns` for the layout.
    """
    per_row = columns(len(pictures))
    size = pictures.shape[1]
    grid = pictures.reshape(-1, per_row, size, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, per_row * size))


def split_sheet(sheet: NDArray[np.uint8], views: int) -> NDArray[np.uint8]:
    """Cut a contact sheet into views; this is the inverse of :func:`contact_sheet`.

    Args:
        sheet: The contact sheet, (rows · S, columns · S) uint8, for views of S × S pixels.
        views: Number V of views on the sheet.

    Returns:
        The views, (V, S, S) uint8.
    """
    per_row = columns(views)
    size = sheet.shape[1] // per_row
    grid = sheet.reshape(views // per_row, size, per_row, size)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(views, size, size))
