"""Draw a small picture of a shape for an HTML page, from its views or its voxel grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.input import InputArray
from shapecnn.report.html import png_base64

SIDE = 96  # width and height of one view, in pixels
SHOWN_VIEWS = 3  # number of views in a picture, evenly spread over all views
_NEAR, _FAR = 90, 200  # grey values of the nearest and the farthest cell of a grid; the background is 255


def thumbnail(array: InputArray, rotation: int = 0) -> str:
    """Draw a small picture of a shape: three of its views side by side, or one grid from three sides.

    Args:
        array: Network input of the shape: V views of S × S pixels, (V, S, S) uint8; or R rotations of a grid of
            N × N × N cells, (R, N, N, N) uint8 of 0 and 1.
        rotation: Index of the rotation to draw, from 0; unused for views.

    Returns:
        The base64 text of a PNG, at most 3 · SIDE pixels wide and SIDE pixels high.
    """
    if array.ndim == 4:
        pictures = projections(array[rotation])
    else:
        pictures = array[:: max(1, len(array) // SHOWN_VIEWS)][:SHOWN_VIEWS]
    return png_base64(np.concatenate([_resize(picture) for picture in pictures], axis=1))


def projections(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a voxel grid from three sides (from +x, from −y and from above), with nearer cells darker.

    The z axis points up in the first two pictures, and the y axis points up in the picture from above.

    Args:
        grid: Grid of N × N × N cells, (N, N, N) uint8 of 0 (empty) and 1 (filled), indexed [x, y, z] with z up.

    Returns:
        Three pictures of N × N pixels, (3, N, N) uint8, with background 255.
    """
    front = np.flip(grid, 0).transpose(0, 2, 1)  # [depth, up, right]: from +x, y is to the right
    side = grid.transpose(1, 2, 0)  # from −y, x is to the right
    top = np.flip(grid, 2).transpose(2, 1, 0)
    return np.stack([_shade_depth(np.flip(cells, 1)) for cells in (front, side, top)])  # rows count downwards


def _shade_depth(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a voxel grid seen along its first axis, with nearer cells darker.

    Args:
        cells: Grid of N × N × N cells, (N, N, N); cells with index 0 on the first axis are nearest.

    Returns:
        The picture, (N, N) uint8, with background 255.
    """
    nearest = cells.argmax(axis=0)
    grey = _NEAR + (_FAR - _NEAR) * nearest / max(len(cells) - 1, 1)
    return np.where(cells.any(axis=0), grey, 255).astype(np.uint8)


def _resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    smooth = Image.Resampling.BOX if picture.shape[0] >= SIDE else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((SIDE, SIDE), smooth))
