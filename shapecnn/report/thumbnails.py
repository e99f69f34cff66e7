"""What a network saw of a shape, as one small picture for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.input import InputArray
from shapecnn.report.html import embedded

SIDE = 96  # pixels of one view
SHOWN_VIEWS = 3  # evenly spread
_NEAR, _FAR = 90, 200  # grey of a cell in front and of one behind; nothing is 255


def thumbnail(looks: InputArray, rotation: int = 0) -> str:
    """Base64 of a PNG: three of the views (V, S, S), or one of the grids (R, N, N, N) from three sides."""
    if looks.ndim == 4:
        pictures = projections(looks[rotation])
    else:
        pictures = looks[:: max(1, len(looks) // SHOWN_VIEWS)][:SHOWN_VIEWS]
    return embedded(np.concatenate([_scaled(picture) for picture in pictures], axis=1))


def projections(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(3, N, N) uint8: what is seen of a grid [x, y, z] from +x, from −y and from above, nearer cells darker.

    From the sides z is up; from above y is.
    """
    front = np.flip(grid, 0).transpose(0, 2, 1)  # [depth, up, right]: from +x, y is to the right
    side = grid.transpose(1, 2, 0)  # from −y, x is to the right
    top = np.flip(grid, 2).transpose(2, 1, 0)
    return np.stack([_depth(np.flip(seen, 1)) for seen in (front, side, top)])  # rows count downwards


def _depth(seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, N) grey of a grid seen along its first axis, whose first cells are nearest."""
    nearest = seen.argmax(axis=0)
    grey = _NEAR + (_FAR - _NEAR) * nearest / max(len(seen) - 1, 1)
    return np.where(seen.any(axis=0), grey, 255).astype(np.uint8)


def _scaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    smooth = Image.Resampling.BOX if picture.shape[0] >= SIDE else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((SIDE, SIDE), smooth))
