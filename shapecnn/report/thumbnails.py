"""Draw the network input of a shape as one small picture for a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.input import InputArray
from shapecnn.report.html import png_base64

SIDE = 96  # pixels of one view
SHOWN_VIEWS = 3  # evenly spread over all views
_NEAR, _FAR = 90, 200  # greys of the nearest and the farthest cell; the background is 255


def thumbnail(array: InputArray, rotation: int = 0) -> str:
    """Draw three views side by side, or one grid from three sides.

    Args:
        array: Network input of a shape: views (V, S, S) uint8, or grids (R, N, N, N) uint8 of 0 and 1.
        rotation: Which grid to draw.

    Returns:
        The base64 text of a PNG, at most 3 · SIDE pixels wide and SIDE pixels high.
    """
    if array.ndim == 4:
        pictures = projections(array[rotation])
    else:
        pictures = array[:: max(1, len(array) // SHOWN_VIEWS)][:SHOWN_VIEWS]
    return png_base64(np.concatenate([_resize(picture) for picture in pictures], axis=1))


def projections(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a grid from +x, from −y and from above; nearer cells are darker.

    In the two side views z points up, in the view from above y does.

    Args:
        grid: (N, N, N) uint8 of 0 and 1, indexed [x, y, z] with z up.

    Returns:
        The pictures, (3, N, N) uint8, background 255.
    """
    front = np.flip(grid, 0).transpose(0, 2, 1)  # [depth, up, right]: from +x, y is to the right
    side = grid.transpose(1, 2, 0)  # from −y, x is to the right
    top = np.flip(grid, 2).transpose(2, 1, 0)
    return np.stack([_shade_depth(np.flip(cells, 1)) for cells in (front, side, top)])  # rows count downwards


def _shade_depth(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a grid along its first axis, whose first cells are nearest, as an (N, N) picture shaded by depth."""
    nearest = cells.argmax(axis=0)
    grey = _NEAR + (_FAR - _NEAR) * nearest / max(len(cells) - 1, 1)
    return np.where(cells.any(axis=0), grey, 255).astype(np.uint8)


def _resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    smooth = Image.Resampling.BOX if picture.shape[0] >= SIDE else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((SIDE, SIDE), smooth))
