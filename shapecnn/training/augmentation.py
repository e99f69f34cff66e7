"""Random changes of what a network sees of a shape, drawn once and the same for all its views or rotations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.models.input import InputArray
from shapecnn.settings.experiment import Augmentation


class Change(NamedTuple):
    """flip: mirrored.  turns: quarter turns about z.  shift: pixels or cells along the last axes."""

    flip: bool = False
    turns: int = 0
    shift: tuple[int, ...] = ()


def draw_change(settings: Augmentation, axes: int, random: np.random.Generator) -> Change:
    """One change of pictures (2 axes) or grids (3 axes)."""
    flip = bool(settings.flip and random.integers(2))
    turns = int(random.integers(4)) if settings.turn else 0
    shift = random.integers(-settings.shift, settings.shift + 1, axes).tolist() if settings.shift else []
    return Change(flip, turns, tuple(shift))


def apply_change(looks: InputArray, change: Change) -> InputArray:
    """(V, S, S) pictures or (R, N, N, N) grids [rotation, x, y, z], changed; what is shifted in is empty space."""
    volumetric = looks.ndim == 4
    if change.flip:
        looks = np.flip(looks, 1 if volumetric else 2)  # x of the grid, or left and right in the pictures
    if change.turns:
        looks = np.rot90(looks, change.turns, axes=(1, 2))
    if any(change.shift):
        looks = _shifted(looks, change.shift, empty=0 if volumetric else 255)
    return looks


def _shifted(looks: InputArray, shift: tuple[int, ...], empty: int) -> NDArray[np.uint8]:
    moved = np.full_like(looks, empty)
    sizes = looks.shape[1:]
    source = tuple(slice(max(0, -by), min(size, size - by)) for by, size in zip(shift, sizes, strict=True))
    target = tuple(slice(max(0, by), min(size, size + by)) for by, size in zip(shift, sizes, strict=True))
    moved[(slice(None), *target)] = looks[(slice(None), *source)]
    return moved
