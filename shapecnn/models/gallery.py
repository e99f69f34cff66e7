"""Gallery of a run: the features of its training shapes, stored in the same folder as its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.similarity import unit
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.reading import parse_json

LARGEST = 20_000  # largest number of stored shapes, 51 MB with 1280 features each; more shapes are sampled evenly


@dataclass(frozen=True, slots=True)
class Gallery:
    """Gallery of a run: ids, classes and features of N training shapes.

    Attributes:
        ids: Ids of the shapes.
        labels: Class of each shape.
        units: (N, D) float16, D features of each shape, scaled to unit length.
        lengths: (N,) float32, lengths of the features before scaling.
    """

    ids: Sequence[str]
    labels: Sequence[str]
    units: NDArray[np.float16]
    lengths: NDArray[np.float32]

    @classmethod
    def of(cls, ids: Sequence[str], labels: Sequence[str], features: NDArray[np.float32]) -> Gallery:
        """Build a gallery from M shapes. If M is above 20 000, only 20 000 shapes are kept, at equal steps in the list.

        Args:
            ids: Ids of the M shapes.
            labels: Class of each shape.
            features: (M, D) float32, D features of each shape, of any length.
        """
        rows = np.linspace(0, len(ids) - 1, min(len(ids), LARGEST)).round().astype(np.int64)
        lengths = np.linalg.norm(features[rows], axis=1)
        units = unit(features[rows])
        return cls(
            [ids[row] for row in rows],
            [labels[row] for row in rows],
            units.astype(np.float16),
            lengths.astype(np.float32),
        )

    @property
    def features(self) -> NDArray[np.float32]:
        """Features before scaling to unit length, precise to float16: (N, D) float32, of N shapes with D features."""
        return self.units.astype(np.float32) * self.lengths[:, None]

    @classmethod
    def read(cls, content: bytes, size: int) -> Gallery:
        """Read a gallery from bytes that :meth:`to_bytes` wrote.

        Args:
            content: Bytes of the file.
            size: Number of features of each shape.

        Raises:
            ValueError: The bytes are not a valid gallery.
        """
        tensors = read_arrays(content)
        units = array_of(tensors, "units", np.float16, (None, size))
        lengths = array_of(tensors, "lengths", np.float32, (len(units),))
        shapes = parse_json(array_of(tensors, "shapes", np.uint8, (None,)).tobytes())
        if not isinstance(shapes, dict):
            raise ValueError("the ids and labels are not in a JSON object")
        ids, labels = (_texts(shapes.get(name), len(units)) for name in ("ids", "labels"))
        if not len(units):
            raise ValueError("the gallery contains no shapes")
        if np.abs(units).max() > 1.01:
            raise ValueError("the features are not of unit length")
        return cls(ids, labels, units, lengths)

    def to_bytes(self) -> bytes:
        """Return the gallery as the bytes of a safetensors file.

        Ids and labels are stored as JSON in an array of bytes, because the format cannot store text.
        """
        from safetensors.numpy import save

        shapes = json.dumps({"ids": list(self.ids), "labels": list(self.labels)}).encode()
        tensors = {"units": self.units, "lengths": self.lengths, "shapes": np.frombuffer(shapes, np.uint8)}
        content: bytes = save(tensors)
        return content


def _texts(value: object, count: int) -> list[str]:
    """Check that a value read from JSON is a list of ``count`` strings, and return it; otherwise raise ValueError."""
    if not isinstance(value, list) or len(value) != count or not all(isinstance(text, str) for text in value):
        raise ValueError("the gallery does not list one id and one label, as texts, for each shape")
    return value
