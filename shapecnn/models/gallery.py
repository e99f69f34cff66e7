"""Features of the training shapes of a run, stored beside its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.similarity import unit
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.reading import parse_json

LARGEST = 20_000  # shapes, 51 MB at 1280 numbers each; of more shapes every few by id are stored


@dataclass(frozen=True, slots=True)
class Gallery:
    """N training shapes with their features.

    Attributes:
        ids: Ids of the shapes.
        labels: Their classes.
        units: (N, D) float16, features scaled to unit length.
        lengths: (N,) float32, lengths of the features.
    """

    ids: Sequence[str]
    labels: Sequence[str]
    units: NDArray[np.float16]
    lengths: NDArray[np.float32]

    @classmethod
    def of(cls, ids: Sequence[str], labels: Sequence[str], features: NDArray[np.float32]) -> Gallery:
        """Return the gallery of M shapes, or of :data:`LARGEST` evenly spaced ones if there are more.

        Args:
            ids: M ids.
            labels: M classes.
            features: (M, D) float32 of any length.
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
        """Features of the shapes, (N, D) float32, with the precision of float16."""
        return self.units.astype(np.float32) * self.lengths[:, None]

    @classmethod
    def read(cls, content: bytes, size: int) -> Gallery:
        """Read a gallery from bytes that :meth:`to_bytes` wrote.

        Args:
            content: Bytes of the file.
            size: D, length of a feature.

        Raises:
            ValueError: The bytes are something else.
        """
        tensors = read_arrays(content)
        units = array_of(tensors, "units", np.float16, (None, size))
        lengths = array_of(tensors, "lengths", np.float32, (len(units),))
        shapes = parse_json(array_of(tensors, "shapes", np.uint8, (None,)).tobytes())
        if not isinstance(shapes, dict):
            raise ValueError("its shapes have no names")
        ids, labels = (_texts(shapes.get(name), len(units)) for name in ("ids", "labels"))
        if not len(units):
            raise ValueError("it is empty")
        if np.abs(units).max() > 1.01:
            raise ValueError("its features are not of unit length")
        return cls(ids, labels, units, lengths)

    def to_bytes(self) -> bytes:
        """Return the gallery as safetensors; ids and labels are JSON in an array of bytes: the format has no text."""
        from safetensors.numpy import save

        shapes = json.dumps({"ids": list(self.ids), "labels": list(self.labels)}).encode()
        tensors = {"units": self.units, "lengths": self.lengths, "shapes": np.frombuffer(shapes, np.uint8)}
        content: bytes = save(tensors)
        return content


def _texts(value: object, count: int) -> list[str]:
    """Return a value that must be a list of ``count`` texts; raise ValueError for any other."""
    if not isinstance(value, list) or len(value) != count or not all(isinstance(text, str) for text in value):
        raise ValueError("its ids and labels are not those of its shapes")
    return value
