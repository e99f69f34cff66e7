"""Compute an engineered descriptor by its name: ``sph``, ``lfd`` or ``fisher``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shapecnn.settings.networks import DescriptorName

Descriptor = NDArray[np.float32]


def describe(name: DescriptorName, array: NDArray[np.uint8]) -> Descriptor:
    """Compute an engineered descriptor of one shape.

    Args:
        name: ``sph`` (spherical harmonics), ``lfd`` (light field) or ``fisher`` (Fisher vectors).
        array: Input of the descriptor, uint8. For ``sph``: R rotations of a grid of N cells a side, (R, N, N, N), with
            values 0 and 1. For ``lfd``: 100 silhouettes of S pixels a side, (100, S, S). For ``fisher``: V views of S
            pixels a side, (V, S, S).

    Returns:
        (D,) float32, the D values of the descriptor; :func:`descriptor_size` returns D.
    """
    return _DESCRIPTORS[name](array)


def descriptor_size(name: DescriptorName) -> int:
    """Return the number of values of an engineered descriptor.

    Args:
        name: ``sph``, ``lfd`` or ``fisher``.
    """
    return _SIZES[name]()


def _sph(grids: NDArray[np.uint8]) -> Descriptor:
    """Return the mean descriptor of all rotations: a rotation changes a grid only by the rounding to cells."""
    from shapecnn.descriptors.spherical_harmonics import spherical_harmonics

    descriptors = [spherical_harmonics(grid.view(np.bool_)) for grid in grids]
    return np.asarray(np.mean(descriptors, axis=0, dtype=np.float32))


def _lfd(silhouettes: NDArray[np.uint8]) -> Descriptor:
    from shapecnn.descriptors.light_field import light_field, to_row

    return to_row(light_field(silhouettes))


def _fisher(views: NDArray[np.uint8]) -> Descriptor:
    from shapecnn.descriptors.fisher_vectors import fisher_vector

    return fisher_vector(views)


def _sph_size() -> int:
    from shapecnn.descriptors.spherical_harmonics import LENGTH

    return LENGTH


def _lfd_size() -> int:
    from shapecnn.descriptors.light_field import ROW

    return ROW


def _fisher_size() -> int:
    from shapecnn.descriptors.fisher_vectors import length

    return length()


_DESCRIPTORS: dict[DescriptorName, Callable[[NDArray[np.uint8]], Descriptor]] = {
    "sph": _sph,
    "lfd": _lfd,
    "fisher": _fisher,
}
_SIZES: dict[DescriptorName, Callable[[], int]] = {"sph": _sph_size, "lfd": _lfd_size, "fisher": _fisher_size}
