"""Data augmentation: random changes of pictures or grids, the same for all views or rotations of a shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.input import InputArray
from shapecnn.settings.stages import Augmentation


class Change(NamedTuple):
    """Augmentation of one shape: a flip, a rotation, a scaling and a shift of its pictures or grids.

    Attributes:
        flip: Whether left and right are swapped.
        turns: Number of quarter turns about z; 0 for pictures.
        shift: Shift in pixels (2 axes) or cells (3 axes); empty for no shift.
        stretch: Factor by which the shape is scaled along each axis about the centre; empty for no scaling.
    """

    flip: bool = False
    turns: int = 0
    shift: tuple[int, ...] = ()
    stretch: tuple[float, ...] = ()


def draw_change(settings: Augmentation, axes: int, random: np.random.Generator) -> Change:
    """Draw a random augmentation for one shape.

    Args:
        settings: Enabled augmentations, the largest shift and the largest scaling.
        axes: Number of axes to shift and scale along: 2 for pictures, 3 for grids.
        random: Random generator.

    Returns:
        The flip, rotation, scaling and shift.
    """
    flip = bool(settings.flip and random.integers(2))
    turns = int(random.integers(4)) if settings.turn else 0
    shift = random.integers(-settings.shift, settings.shift + 1, axes).tolist() if settings.shift else []
    largest = np.log1p(settings.stretch)
    stretch = np.exp(random.uniform(-largest, largest, axes)).tolist() if settings.stretch else []
    return Change(flip, turns, tuple(shift), tuple(stretch))


def apply_change(array: InputArray, change: Change) -> InputArray:
    """Apply an augmentation to all views or rotations of a shape.

    Args:
        array: V pictures of S × S pixels, (V, S, S) uint8; or R grids of N × N × N cells, (R, N, N, N) uint8, with
            axes [rotation, x, y, z].
        change: The augmentation.

    Returns:
        The changed pictures or grids, of the same size and dtype. New pixels are background, and new cells are empty.
    """
    volumetric = array.ndim == 4
    empty = 0 if volumetric else 255
    if change.flip:
        array = np.flip(array, 1 if volumetric else 2)  # the x axis of grids, or the horizontal axis of pictures
    if change.turns:
        array = np.rot90(array, change.turns, axes=(1, 2))
    if change.stretch:
        array = _stretched(array, change.stretch, empty)
    if any(change.shift):
        array = _shifted(array, change.shift, empty)
    return array


def _stretched(array: InputArray, factors: tuple[float, ...], empty: int) -> NDArray[np.uint8]:
    """Scale an array along all axes except the first, about its centre, to the nearest pixels or cells.

    What leaves the array is lost; new entries at the border get the value ``empty``.
    """
    for axis, factor in enumerate(factors, start=1):
        size = array.shape[axis]
        centre = (size - 1) / 2
        source = np.rint((np.arange(size) - centre) / factor + centre).astype(np.int64)
        outside = (source < 0) | (source >= size)
        array = np.take(array, np.where(outside, 0, source), axis)
        array[(slice(None),) * axis + (outside,)] = empty
    return array


def _shifted(array: InputArray, shift: tuple[int, ...], empty: int) -> NDArray[np.uint8]:
    """Shift an array along all axes except the first; new entries at the border get the value ``empty``."""
    moved = np.full_like(array, empty)
    sizes = array.shape[1:]
    source = tuple(slice(max(0, -by), min(size, size - by)) for by, size in zip(shift, sizes, strict=True))
    target = tuple(slice(max(0, by), min(size, size + by)) for by, size in zip(shift, sizes, strict=True))
    moved[(slice(None), *target)] = array[(slice(None), *source)]
    return moved
