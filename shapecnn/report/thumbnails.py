"""Draw small pictures of shapes for an HTML page, from their views or their voxel grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.models.input import InputArray
from shapecnn.report.html import png_base64

SIDE = 96  # width and height of one view, in pixels
SMALL = 72  # width and height of a small picture, in pixels
SHOWN_VIEWS = 3  # number of views in a picture, evenly spread over all views
_NEAR, _FAR = 90, 200  # grey values of the nearest and the farthest cell of a grid; the background is 255


ReadInput = Callable[[Entry], InputArray]
"""Function that reads the network input of a shape: its views or grids."""


class Pictures:
    """Pictures of the shapes on a page. A shape, or its rotation, is read once, however often the page shows it."""

    def __init__(self, read: ReadInput) -> None:
        """Remember how shapes are read; nothing is read before a picture is asked for.

        Args:
            read: Function that reads the views or grids of a shape.
        """
        self._read = read
        self._drawn: dict[tuple[str, int], tuple[str, str]] = {}

    def of(self, entry: Entry, rotation: int = 0) -> str:
        """Return the :func:`thumbnail` of a shape, the base64 text of a PNG.

        Args:
            entry: The shape.
            rotation: Index of the rotation of its grid to draw; unused for views.
        """
        return self._draw(entry, rotation)[0]

    def small(self, entry: Entry, rotation: int = 0) -> str:
        """Return the small picture of a shape: its first view, or its grid from one side; see :meth:`of`."""
        return self._draw(entry, rotation)[1]

    def _draw(self, entry: Entry, rotation: int) -> tuple[str, str]:
        key = entry.id, rotation
        if key not in self._drawn:
            array = self._read(entry)
            self._drawn[key] = thumbnail(array, rotation), thumbnail(array, rotation, views=1, side=SMALL)
        return self._drawn[key]


def thumbnail(array: InputArray, rotation: int = 0, *, views: int = SHOWN_VIEWS, side: int = SIDE) -> str:
    """Draw a small picture of a shape: three of its views side by side, or one grid from three sides.

    Args:
        array: Network input of the shape: V views of S × S pixels, (V, S, S) uint8; or R rotations of a grid of
            N × N × N cells, (R, N, N, N) uint8 of 0 and 1.
        rotation: Index of the rotation to draw, from 0; unused for views.
        views: Largest number of views, or of sides of a grid, in the picture.
        side: Width and height of each of them, in pixels.

    Returns:
        The base64 text of a PNG, at most ``views`` · ``side`` pixels wide and ``side`` pixels high.
    """
    pictures = projections(array[rotation]) if array.ndim == 4 else array
    shown = pictures[:: max(1, len(pictures) // views)][:views]
    return png_base64(np.concatenate([_resize(picture, side) for picture in shown], axis=1))


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


def _resize(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    from PIL import Image

    smooth = Image.Resampling.BOX if picture.shape[0] >= side else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((side, side), smooth))
