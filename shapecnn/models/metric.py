"""Learned metric of a run: a low-rank linear projection of its features, stored beside its weights.

It fits only the weights that it was learned for, whose hash ``metric.json`` holds.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import MismatchError
from shapecnn.models.output import Feature
from shapecnn.shared.similarity import unit
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.reading import json_bytes, sha256
from shapecnn.storage.sealed import open_sealed

FORMAT = 1
PROJECTION, METRIC = "metric.safetensors", "metric.json"

SHARPNESS = 8.0  # factor of the cosines in the softmax over the anchors
_LONGEST = 1e18  # largest length of z: its square is finite in float32
SHARE = 0.5  # weight of z relative to the assignment to anchors


@dataclass(frozen=True, slots=True)
class Projection:
    """Projection z = matrix (f − centre), where f is a feature with numbers raised to a power and of unit length.

    Shapes are compared by z and by its soft assignment to the anchors, softmax(SHARPNESS · cosines of z and anchors).
    The assignment separates classes, and z orders the shapes within them.

    Attributes:
        matrix: (d, D) float32.
        centre: (D,) float32.
        anchors: (C, d) float32 of unit length, one for each class.
        power: Exponent of the numbers, in (0, 1]: ½ keeps a few strong ones from dominating, 1 leaves them.
        digest: SHA-256 (hex) of the file of the arrays.
    """

    matrix: NDArray[np.float32]
    centre: NDArray[np.float32]
    anchors: NDArray[np.float32]
    power: float
    digest: str

    @classmethod
    def of(
        cls, matrix: NDArray[np.float32], centre: NDArray[np.float32], anchors: NDArray[np.float32], power: float
    ) -> Projection:
        """Return the projection with these arrays.

        Args:
            matrix: (d, D) float32.
            centre: (D,) float32.
            anchors: (C, d) float32 of unit length.
            power: Exponent of the numbers, in (0, 1].
        """
        return cls(matrix, centre, anchors, power, sha256(_content(matrix, centre, anchors, power)))

    def __call__(self, feature: Feature) -> Feature:
        """Return what is compared of a feature.

        Args:
            feature: (D,) float32 of any length.

        Returns:
            (C + d,) float32 of unit length: assignment to the anchors, and z.
        """
        z = self.project(feature)
        powers = np.exp(SHARPNESS * (self.anchors @ z - 1))
        return unit(np.concatenate([unit(powers), SHARE * z]))

    def project(self, feature: Feature) -> Feature:
        """Return z, (d,) float32 of unit length, of a feature (D,) float32 of any length."""
        return unit(self.matrix @ (raised(feature, self.power) - self.centre))


def raised(feature: Feature, power: float) -> Feature:
    """Raise each number of a feature to a power, keeping its sign, and scale to unit length.

    Args:
        feature: (D,) float32 of any length.
        power: Exponent, in (0, 1].

    Returns:
        (D,) float32 of unit length.
    """
    return unit((np.sign(feature) * np.abs(feature) ** np.float32(power)).astype(np.float32))


def metric_bytes(projection: Projection, weights: str, described: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a metric by name, to be published together.

    Args:
        projection: The metric.
        weights: SHA-256 (hex) of the run's weights.
        described: How it was learned and what it achieves, for people.
    """
    return {
        PROJECTION: _content(projection.matrix, projection.centre, projection.anchors, projection.power),
        METRIC: json_bytes({"schema_version": FORMAT, "weights": weights, **described}),
    }


def read_metric(folder: Path, weights: str, size: int) -> tuple[Projection, dict[str, Any]] | None:
    """Read the metric of a run.

    Args:
        folder: Folder of the run.
        weights: SHA-256 (hex) of the run's weights.
        size: D, length of its features.

    Returns:
        The projection and the content of ``metric.json``; None if no metric was learned.

    Raises:
        StoredDataError: It is damaged or from another version.
        MismatchError: It was learned for other weights.
    """
    remedy = f"To learn it anew: {learn_command(folder)}"
    sealed = open_sealed(folder, remedy)
    if METRIC not in sealed.sums:
        return None
    header = sealed.json(METRIC, FORMAT)
    if header.get("weights") != weights:
        raise MismatchError(
            f"The metric in {folder} was learned for the weights {str(header.get('weights'))[:8]}, and the run has "
            f"{weights[:8]}. {remedy}"
        )
    content = sealed.read(PROJECTION)
    with sealed.validating(PROJECTION):
        arrays = read_arrays(content)
        matrix = array_of(arrays, "matrix", np.float32, (None, size))
        centre = array_of(arrays, "centre", np.float32, (size,))
        anchors = array_of(arrays, "anchors", np.float32, (None, len(matrix)))
        (power,) = array_of(arrays, "power", np.float32, (1,))
        if not 0 < power <= 1:
            raise ValueError(f"its power is {power}")
        if np.linalg.norm(anchors.astype(np.float64), axis=1).max(initial=0) > 1.01:
            raise ValueError("its anchors are not of unit length")
        if _norm(matrix) * (1 + _norm(centre)) > _LONGEST:
            raise ValueError("its numbers are too large")
    return Projection(matrix, centre, anchors, float(power), sealed.sums[PROJECTION]), header


def _norm(array: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


def learn_command(folder: Path) -> str:
    """Return the command that learns the metric of the run in a folder.

    Args:
        folder: Folder of the run.
    """
    return f"shapecnn metric {shlex.quote(str(folder))} --data DIR"


def _content(
    matrix: NDArray[np.float32], centre: NDArray[np.float32], anchors: NDArray[np.float32], power: float
) -> bytes:
    from safetensors.numpy import save

    named = {"matrix": matrix, "centre": centre, "anchors": anchors, "power": np.array([power])}
    return bytes(save({name: np.ascontiguousarray(array, np.float32) for name, array in named.items()}))
