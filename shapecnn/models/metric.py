"""Learned metric of a run: a low-rank linear projection of its features, stored in the same folder as its weights.

A metric is valid only for the weights that it was learned for. The file ``metric.json`` contains the hash of these
weights.
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

SHARPNESS = 8.0  # factor of the cosines with the class anchors in the soft assignment
_LONGEST = 1e18  # largest length of the projection z before normalization; the square must be finite in float32
SHARE = 0.5  # weight of the projection z relative to the soft assignment to class anchors


@dataclass(frozen=True, slots=True)
class Projection:
    """Learned metric: projects a feature of D values to a vector z of d values, compares z with an anchor per class.

    z = matrix (f − centre), scaled to unit length. Here f is the feature with each value raised to ``power``, scaled to
    unit length. The soft assignment to C classes is exp(8 · cosine of z with each anchor), scaled to unit length.
    Shapes are compared by assignment and z: the assignment separates the classes, and z orders the shapes of a class.

    Attributes:
        matrix: (d, D) float32, projection matrix from D to d values.
        centre: (D,) float32, vector that is subtracted from f.
        anchors: (C, d) float32, one vector of unit length for each of C classes.
        power: Exponent of the feature values, in (0, 1]; ½ reduces the influence of a few large values.
        digest: SHA-256 (hex) of the file with the arrays.
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
        """Build a learned metric from its arrays, and compute its digest (SHA-256).

        Args:
            matrix: (d, D) float32, projects D feature values on d values.
            centre: (D,) float32, subtracted from the feature before the projection.
            anchors: (C, d) float32, one vector of unit length for each of C classes.
            power: Exponent of the feature values, in (0, 1].
        """
        return cls(matrix, centre, anchors, power, sha256(_content(matrix, centre, anchors, power)))

    def __call__(self, feature: Feature) -> Feature:
        """Compute the metric feature of a shape. The similarity of two shapes is the cosine of their metric features.

        Args:
            feature: (D,) float32, feature of the shape from the network: D values, not necessarily of unit length.

        Returns:
            (C + d,) float32 of unit length: the soft assignment to the anchors of C classes, then the projection z (d
            values) times :data:`SHARE`; see the class.
        """
        z = self.project(feature)
        powers = np.exp(SHARPNESS * (self.anchors @ z - 1))
        return unit(np.concatenate([unit(powers), SHARE * z]))

    def project(self, feature: Feature) -> Feature:
        """Project a feature of D values on d values, and scale the result to unit length.

        Args:
            feature: (D,) float32, feature of a shape from the network: D values, not necessarily of unit length.

        Returns:
            (d,) float32 of unit length, the projection z; see the class.
        """
        return unit(self.matrix @ (raised(feature, self.power) - self.centre))


def raised(feature: Feature, power: float) -> Feature:
    """Raise each value of a feature to a power, keep its sign, and scale the feature to unit length.

    Args:
        feature: (D,) float32, D values, not necessarily of unit length.
        power: Exponent, in (0, 1].

    Returns:
        (D,) float32 of unit length.
    """
    return unit((np.sign(feature) * np.abs(feature) ** np.float32(power)).astype(np.float32))


def metric_bytes(projection: Projection, weights: str, described: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a learned metric as a dictionary from file name to content.

    Args:
        projection: Learned metric.
        weights: SHA-256 (hex) of the weights of the run.
        described: Settings and results of learning the metric, stored for people who read the file.
    """
    return {
        PROJECTION: _content(projection.matrix, projection.centre, projection.anchors, projection.power),
        METRIC: json_bytes({"schema_version": FORMAT, "weights": weights, **described}),
    }


def read_metric(folder: Path, weights: str, size: int) -> tuple[Projection, dict[str, Any]] | None:
    """Read the learned metric of a run.

    Args:
        folder: Folder of the run.
        weights: SHA-256 (hex) of the weights of the run.
        size: Number of features of the run.

    Returns:
        The learned metric and the content of ``metric.json``; None if the run has no metric.

    Raises:
        StoredDataError: The metric is damaged or from another version of shapecnn.
        MismatchError: The metric was learned for other weights than those of the run.
    """
    remedy = f"To learn the metric anew: {learn_command(folder)}"
    sealed = open_sealed(folder, remedy)
    if METRIC not in sealed.sums:
        return None
    header = sealed.json(METRIC, FORMAT)
    if header.get("weights") != weights:
        raise MismatchError(
            f"The metric in {folder} was learned for weights with hash {str(header.get('weights'))[:8]}, and the "
            f"weights of the run have hash {weights[:8]}. {remedy}"
        )
    content = sealed.read(PROJECTION)
    with sealed.validating(PROJECTION):
        arrays = read_arrays(content)
        matrix = array_of(arrays, "matrix", np.float32, (None, size))
        centre = array_of(arrays, "centre", np.float32, (size,))
        anchors = array_of(arrays, "anchors", np.float32, (None, len(matrix)))
        (power,) = array_of(arrays, "power", np.float32, (1,))
        if not 0 < power <= 1:
            raise ValueError(f"the power is {power}, but must be above 0 and at most 1")
        if np.linalg.norm(anchors.astype(np.float64), axis=1).max(initial=0) > 1.01:
            raise ValueError("the anchors are not of unit length")
        if _norm(matrix) * (1 + _norm(centre)) > _LONGEST:
            raise ValueError("the matrix or centre has huge values")
    return Projection(matrix, centre, anchors, float(power), sealed.sums[PROJECTION]), header


def _norm(array: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


def learn_command(folder: Path) -> str:
    """Return the shell command that learns a metric for a run.

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
