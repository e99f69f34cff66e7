"""The shapes that a run was trained on, as its network sees them, kept beside its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.reading import parse_json

LARGEST = 20_000  # shapes: 51 MB of 1280 numbers each; of more, as many evenly spaced by id


@dataclass(frozen=True, slots=True)
class Gallery:
    """N shapes.  units: (N, D) float16, their features at unit length.  lengths: (N,) float32."""

    ids: Sequence[str]
    labels: Sequence[str]
    units: NDArray[np.float16]
    lengths: NDArray[np.float32]

    @classmethod
    def of(cls, ids: Sequence[str], labels: Sequence[str], features: NDArray[np.float32]) -> Gallery:
        """That of these shapes, or of :data:`LARGEST` of them.  features: (N, D)."""
        rows = np.linspace(0, len(ids) - 1, min(len(ids), LARGEST)).round().astype(np.int64)
        lengths = np.linalg.norm(features[rows], axis=1)
        units = features[rows] / np.where(lengths > 0, lengths, 1)[:, None]
        return cls(
            [ids[row] for row in rows],
            [labels[row] for row in rows],
            units.astype(np.float16),
            lengths.astype(np.float32),
        )

    @property
    def features(self) -> NDArray[np.float32]:
        """(N, D), as they were but for the last bits."""
        return self.units.astype(np.float32) * self.lengths[:, None]

    @classmethod
    def read(cls, content: bytes, size: int) -> Gallery:
        """What :meth:`to_bytes` wrote.  size: D.  Raises ValueError for anything else."""
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
        """As safetensors, which know no text: ids and labels are JSON in an array of bytes."""
        from safetensors.numpy import save

        shapes = json.dumps({"ids": list(self.ids), "labels": list(self.labels)}).encode()
        tensors = {"units": self.units, "lengths": self.lengths, "shapes": np.frombuffer(shapes, np.uint8)}
        content: bytes = save(tensors)
        return content


def _texts(value: object, count: int) -> list[str]:
    """``value``, if it is so many texts; else ValueError."""
    if not isinstance(value, list) or len(value) != count or not all(isinstance(text, str) for text in value):
        raise ValueError("its ids and labels are not those of its shapes")
    return value
