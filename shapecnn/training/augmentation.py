"""Augmentation: random changes of pictures or grids, the same for all views or rotations of a shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.input import InputArray
from shapecnn.settings.experiment import Augmentation


class Change(NamedTuple):
    """Change of a shape's pictures or grids.

    Attributes:
        flip: Whether left and right are swapped.
        turns: Number of quarter turns about z, of grids only.
        shift: Pixels or cells along each of the last axes; empty for none.
    """

    flip: bool = False
    turns: int = 0
    shift: tuple[int, ...] = ()


def draw_change(settings: Augmentation, axes: int, random: np.random.Generator) -> Change:
    """Draw the change of one shape.

    Args:
        settings: Which changes occur.
        axes: 2 for pictures, 3 for grids.
        random: Draws the change.

    Returns:
        The change.
    """
    flip = bool(settings.flip and random.integers(2))
    turns = int(random.integers(4)) if settings.turn else 0
    shift = random.integers(-settings.shift, settings.shift + 1, axes).tolist() if settings.shift else []
    return Change(flip, turns, tuple(shift))


def apply_change(array: InputArray, change: Change) -> InputArray:
    """Apply a change to all views or rotations of a shape.

    Args:
        array: (V, S, S) uint8 pictures, or (R, N, N, N) uint8 grids [rotation, x, y, z].
        change: The change.

    Returns:
        The changed pictures or grids, same shape and dtype. Space that a shift leaves free is empty.
    """
    volumetric = array.ndim == 4
    if change.flip:
        array = np.flip(array, 1 if volumetric else 2)  # x of the grid, or left and right in the pictures
    if change.turns:
        array = np.rot90(array, change.turns, axes=(1, 2))
    if any(change.shift):
        array = _shifted(array, change.shift, empty=0 if volumetric else 255)
    return array


def _shifted(array: InputArray, shift: tuple[int, ...], empty: int) -> NDArray[np.uint8]:
    moved = np.full_like(array, empty)
    sizes = array.shape[1:]
    source = tuple(slice(max(0, -by), min(size, size - by)) for by, size in zip(shift, sizes, strict=True))
    target = tuple(slice(max(0, by), min(size, size + by)) for by, size in zip(shift, sizes, strict=True))
    moved[(slice(None), *target)] = array[(slice(None), *source)]
    return moved
