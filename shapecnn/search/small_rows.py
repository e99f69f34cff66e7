"""Small rows of an index: the pooled feature in one byte a number, and each view in two bits a number.

A number of a pooled feature is stored as the signed square root of its share of the largest number of the feature, in
steps of 1/127. Decoding and encoding again gives the same bytes. :mod:`shapecnn.shared.codes` describes the codes of
views. A shape with 12 views of 1280 numbers takes 5.3 kB instead of 41 kB, and 1.4 kB without views.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.codes import inner_products, query_table
from shapecnn.shared.similarity import scale_to_unit

Features = NDArray[np.float32]

_STEPS = 127
_BLOCK = 4096  # features decoded at a time


def pack(features: Features) -> NDArray[np.int8]:
    """Encode pooled features.

    Args:
        features: (N, D) float32, N features of D numbers.

    Returns:
        (N, D) int8, from -127 to 127; 0 for zero vectors.
    """
    roots = np.sqrt(np.abs(features))
    largest = roots.max(axis=1, keepdims=True, initial=0)
    steps = np.rint(_STEPS * (roots / np.where(largest > 0, largest, 1)))
    return np.copysign(steps, features).astype(np.int8)


def unpack(packed: NDArray[np.int8]) -> Features:
    """Decode pooled features: (N, D) int8 to (N, D) float32 of unit length."""
    values = packed.astype(np.float32)
    return scale_to_unit(values * np.abs(values))


@dataclass(frozen=True, slots=True, eq=False)
class PackedFeatures:
    """Pooled features of N shapes, encoded, of which those that are asked for are decoded.

    Attributes:
        packed: (N, D) int8, the encoded features; may be memory-mapped.
    """

    packed: NDArray[np.int8]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of shapes N, and number of values D of each feature."""
        return self.packed.shape

    def __len__(self) -> int:
        """Return the number of shapes."""
        return len(self.packed)

    def __getitem__(self, rows: Any) -> Features:
        """Decode the feature of one row, or the features of several rows, as an array is indexed."""
        chosen = self.packed[rows]
        return unpack(chosen) if chosen.ndim == 2 else unpack(chosen[None])[0]

    def __iter__(self) -> Iterator[Features]:
        """Decode one feature after the other."""
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Decode all features: (N, D) float32."""
        decoded = np.empty(self.shape, np.float32)
        for start in range(0, len(decoded), _BLOCK):
            decoded[start : start + _BLOCK] = self[start : start + _BLOCK]
        return decoded.astype(dtype or np.float32, copy=False)


def same_features(one: Features | PackedFeatures, other: Features | PackedFeatures) -> bool:
    """Tell whether two sets of features are stored alike and have the same values."""
    if isinstance(one, PackedFeatures) and isinstance(other, PackedFeatures):
        return np.array_equal(one.packed, other.packed)
    packed = isinstance(one, PackedFeatures) or isinstance(other, PackedFeatures)
    return not packed and np.array_equal(np.asarray(one), np.asarray(other))


@dataclass(frozen=True, slots=True, eq=False)
class PackedViews:
    """Features of V views of N shapes, encoded.

    Attributes:
        codes: (N, V, B) uint8, the codes; may be memory-mapped.
        factors: (N, V) float16, the factors of the codes.
        size: Number of values D of each feature.
    """

    codes: NDArray[np.uint8]
    factors: NDArray[np.float16]
    size: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of shapes N, of views V, and of values D of each feature."""
        return (*self.factors.shape, self.size)

    def __len__(self) -> int:
        """Return the number of shapes."""
        return len(self.codes)

    def __getitem__(self, rows: Any) -> PackedViews:
        """Return the views of some of the shapes."""
        return PackedViews(self.codes[rows], self.factors[rows], self.size)

    def similarities(self, query: Features) -> Features:
        """Estimate the cosines of one picture and all views.

        Args:
            query: (D,) float32 of unit length, the feature of the picture.

        Returns:
            (N, V) float32, from -1 to 1.
        """
        count, views, size = self.codes.shape
        products = inner_products(self.codes.reshape(-1, size), self.factors.reshape(-1), query_table(query))
        return np.clip(products, -1, 1).reshape(count, views)
